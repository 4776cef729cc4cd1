"""`python -m wallet.cli`: the same as `quancheng`."""

import sys

from wallet.cli.run import main

# The processes that encrypt import this module too, under another name.
if __name__ == "__main__":
    sys.exit(main())
