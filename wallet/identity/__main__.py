"""The identity authority's commands: `python -m wallet.identity [serve|init|import]`."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # what is loaded stays: looking at it again and again is a tenth of a start
    from wallet.identity.commands import main

    gc.enable()
    sys.exit(main())
