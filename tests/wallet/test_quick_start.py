"""What a service or a command does not load when it starts: docs/decisions/quick-start.md."""

import subprocess
import sys
from typing import Final

import pytest

pytestmark = pytest.mark.slow

HEAVY: Final = ("web3", "eth_account", "eth_keyfile", "py_ecc")
STARTS: Final = (
    "gateway.app, gateway.services, wallet.cli, wallet.keyholder.app, wallet.keyholder.commands,"
    " wallet.identity.app, wallet.identity.services, wallet.supervisor"
)


def test_a_start_loads_neither_web3_nor_eth_account() -> None:
    program = f"import sys, {STARTS}; print([one for one in {HEAVY} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.strip() == b"[]"
