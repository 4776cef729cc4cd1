"""The keyholder's commands: `python -m wallet.keyholder [serve|init|register|draw|import|check|journal]`."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # what is loaded stays: looking at it again and again is a tenth of a start
    from wallet.keyholder.commands import main

    gc.enable()
    sys.exit(main())
