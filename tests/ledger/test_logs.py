"""A log line says where and how much, never who or what; and a log that fails stops nobody."""

import ast
import errno
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.service import logs
from ledger.service.logs import ALLOWED, describe, get_logger
from tests.support.logs import lines_of, logs_in

ROOT: Final = Path(__file__).parent.parent.parent
SECRET: Final = "370102199001011234"
SET_HERE: Final = {"event", "level", "timestamp"}
PRODUCT: Final = ("ledger", "gateway", "wallet")
LEVELS: Final = ("debug", "info", "warning", "error")

_log = get_logger()


@pytest.fixture
def text() -> Iterator[io.StringIO]:
    with logs_in(io.StringIO()) as text:
        yield text


def test_an_event_is_one_line_of_sorted_json(text: io.StringIO) -> None:
    _log.warning("not ready", reason="first\nsecond", check="database", count=2, error=None)
    written = text.getvalue()
    assert written.endswith("\n")
    (line,) = written.splitlines()
    values = json.loads(line)
    assert list(values) == sorted(values)
    stamp = values.pop("timestamp")
    assert values == {
        "event": "not ready",
        "level": "warning",
        "reason": "first\nsecond",
        "check": "database",
        "count": 2,
        "error": None,
    }
    assert stamp.endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(stamp)) < timedelta(minutes=1)


def test_text_that_is_not_ascii_can_be_read_and_searched(text: io.StringIO) -> None:
    _log.info("stopped", reason="房产")
    assert '"房产"' in text.getvalue()


def test_a_value_that_may_not_be_logged_is_dropped_silently(text: io.StringIO) -> None:
    _log.info("enrolled", count=1, name="张三", id_number=SECRET)
    (line,) = lines_of(text)
    assert line.keys() == SET_HERE | {"count"}


def test_of_a_value_of_another_type_only_the_type_is_shown(text: io.StringIO) -> None:
    careless: Any = SECRET.encode()
    _log.info("failed", error=careless)
    assert [line["error"] for line in lines_of(text)] == ["bytes"]


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_below_the_level_is_not_written(level: str) -> None:
    with logs_in(io.StringIO(), level) as text:
        for each in LEVELS:
            getattr(_log, each)("said")
    assert [line["level"] for line in lines_of(text)] == list(LEVELS[LEVELS.index(level) :])


@pytest.mark.usefixtures("text")
def test_what_is_below_the_level_is_not_even_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ALLOWED", None)
    _log.debug("request", status="200")
    with pytest.raises(TypeError):  # control
        _log.info("request", status="200")


def test_libraries_are_forwarded_without_their_texts(text: io.StringIO) -> None:
    try:
        int(SECRET + "x")
    except ValueError as error:
        logging.getLogger("some.library").exception("%s failed", SECRET)
        told = describe(error)
    logging.getLogger("some.library").warning(SECRET, extra={"values": {"reason": SECRET}})
    assert SECRET not in text.getvalue()
    first, second = lines_of(text)
    assert (first["event"], first["level"], first["reason"]) == ("library", "error", "some.library")
    assert first["error"] == told
    assert told.startswith("ValueError at test_libraries_are_forwarded_without_their_texts:")
    assert (second["reason"], second["error"]) == ("some.library", None)


@pytest.mark.parametrize(("level", "count"), [("debug", 2), ("warning", 2), ("error", 1)])
def test_libraries_are_heard_from_warnings_on(level: str, count: int) -> None:
    with logs_in(io.StringIO(), level) as text:
        for each in LEVELS:
            getattr(logging.getLogger("some.library"), each)("said")
    assert len(lines_of(text)) == count


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "no space left")


class Closed(io.StringIO):
    """A file that somebody closed."""

    def __init__(self) -> None:
        super().__init__()
        self.close()


@pytest.mark.parametrize(("kind", "failure"), [(Full, OSError), (Closed, ValueError)])
def test_a_stream_that_fails_stops_nobody(
    kind: type[io.StringIO], failure: type[Exception]
) -> None:
    stream = kind()
    with pytest.raises(failure):  # control
        stream.write("line")
    with logs_in(stream):
        _log.error("failed", count=1)
        logging.getLogger("some.library").error("failed")


def test_logs_need_no_package() -> None:
    """Without site-packages nothing but the standard library and this repository is there."""
    bare = [sys.executable, "-S", "-c"]
    assert (
        subprocess.run([*bare, "import ledger.service.logs"], cwd=ROOT, check=False).returncode == 0
    )
    control = subprocess.run([*bare, "import uvicorn"], cwd=ROOT, capture_output=True, check=False)
    assert control.returncode == 1


def names_in(source: str) -> set[str]:
    """Names of the values that a module's calls of the logger have."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {
        keyword.arg or "**"
        for call in calls
        if ast.unparse(call.func).rpartition(".")[0] in {"_log", "get_logger()"}
        or ast.unparse(call.func) in {"log", "told"}
        for keyword in call.keywords
    }


def test_what_services_log_is_what_may_be_logged() -> None:
    """A name that is not allowed would be dropped, and one that nobody uses lets something slip."""
    used: set[str] = set()
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text("utf-8")
            if "from ledger.service.logs import" in source:
                used |= names_in(source)
    assert used == ALLOWED - SET_HERE


def test_all_of_our_own_lines_are_events() -> None:
    """A line of another logger of ours would come out as a library's, without its text."""
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            if path != Path(logs.__file__):
                assert "logging.getLogger" not in path.read_text("utf-8"), path


def test_a_name_that_may_not_be_logged_would_be_found() -> None:
    assert names_in("_log.info('x', payload=1)\nget_logger().error('x', key=1, **more)") == {
        "payload",
        "key",
        "**",
    }
