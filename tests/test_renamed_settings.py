"""A setting's former name is refused with the present one: ignoring it would change what a service does in silence."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("module", "former", "present"),
    [
        ("gateway", "QUANCHENG_GATEWAY_PATIENCE", "QUANCHENG_GATEWAY_ACCESS_TIMEOUT"),
        (
            "gateway",
            "QUANCHENG_GATEWAY_ACCESSES_WAITING",
            "QUANCHENG_GATEWAY_MAX_PENDING_ACCESSES",
        ),
        (
            "gateway",
            "QUANCHENG_GATEWAY_ACCESSES_WAITING_OF_ONE",
            "QUANCHENG_GATEWAY_MAX_PENDING_ACCESSES_PER_CONSUMER",
        ),
        ("wallet.keyholder", "QUANCHENG_KEYHOLDER_PATIENCE", "QUANCHENG_KEYHOLDER_BLOCK_TIMEOUT"),
        ("wallet.keyholder", "QUANCHENG_KEYHOLDER_POLL", "QUANCHENG_KEYHOLDER_POLL_INTERVAL"),
        ("wallet.identity", "QUANCHENG_IDENTITY_PATIENCE", "QUANCHENG_IDENTITY_ENROLMENT_TIMEOUT"),
        ("wallet.identity", "QUANCHENG_IDENTITY_POLL", "QUANCHENG_IDENTITY_POLL_INTERVAL"),
    ],
)
def test_a_former_name_is_refused_with_the_present_one(
    module: str, former: str, present: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, former: "3"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert f"{former} is called {present} now" in ended.stderr
    assert "Traceback" not in ended.stderr
