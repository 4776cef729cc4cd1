"""The command line: `quancheng`, one group of commands for each party (docs/cli.md)."""

from wallet.cli.run import main

__all__ = ["main"]
