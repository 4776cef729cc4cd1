"""A signal at any moment stops everything that was started; a taken port is said in one line."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.story.running import SMALL, Run


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"never said {text!r}: {''.join(seen)}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("starting the chain", signal.SIGTERM),
        ("seed ceremony", signal.SIGTERM),
        ("starting the keyholders", signal.SIGINT),
        ("purposes:", signal.SIGTERM),
    ],
)
def test_a_signal_to_the_demo_leaves_no_process(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    run = Run()
    process = run.start("scripts.demo", "--data", str(tmp_path / "data"), *SMALL)
    wait_for(process, moment)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted" in output
    assert "Traceback" not in output
    assert run.processes() == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["seed ceremony", "ready; Ctrl-C"])
def test_a_signal_to_quancheng_up_leaves_no_process(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "four words and a number")
    run = Run()
    options = ("--password", "env:TEST_PASSWORD", "up", "--demo", str(tmp_path / "data"))
    process = run.start("wallet.cli", *options)
    wait_for(process, moment)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in output
    assert run.processes() == []


def test_a_port_that_is_taken_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "four words and a number")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = Run()
        options = ("up", "--demo", "--port", str(port), str(tmp_path / "data"))
        status, output = run.finish("wallet.cli", "--password", "env:TEST_PASSWORD", *options)
    assert status != 0
    assert [line for line in output.splitlines() if line] == [f"error: port {port} is in use"]
    assert run.processes() == []
