"""`python -m wallet.cli`: the same as `quancheng`."""

import sys

from wallet.cli.run import main

sys.exit(main())
