"""The keyholder's commands: `python -m wallet.keyholder [serve|init|register|draw|import|check|journal]`."""

import sys

from wallet.keyholder.commands import main

if __name__ == "__main__":
    sys.exit(main())
