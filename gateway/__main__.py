"""`python -m gateway`: serve, with settings from the environment (`QUANCHENG_GATEWAY_*`)."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # what is loaded stays: looking at it again and again is a tenth of a start
    from gateway.app import main

    sys.exit(main())
