"""The identity authority's commands: `python -m wallet.identity [serve|init|import]`."""

import sys

from wallet.identity.commands import main

if __name__ == "__main__":
    sys.exit(main())
