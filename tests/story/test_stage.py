"""Any difference ends the demo with a status other than zero; one that cannot run says why in a line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.errors import LedgerError
from scripts.city.errors import CityError
from scripts.demo import __main__ as demo
from scripts.demo.stage import DemoError, DifferenceError, Stage
from wallet.errors import WalletError


def test_what_is_not_as_expected_is_a_difference_and_counts_as_no_check() -> None:
    stage = Stage()
    with stage.act("The act"):
        assert stage.check("one", 1, 1) == 1
        with pytest.raises(DifferenceError, match=r"^The act: two: expected 2, found 3$"):
            stage.check("two", 3, 2)
        with pytest.raises(DifferenceError, match=r"^The act: three: expected None, found \(\)$"):
            stage.require("three", (), None)
    assert stage.acts[0].checks == 1


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (DifferenceError("one is two"), "not as the story says: one is two"),
        (DemoError("too small"), "too small"),
        (CityError("no city"), "no city"),
        (WalletError("port 1 is in use"), "port 1 is in use"),
        (LedgerError("no chain"), "no chain"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_the_demo_ends_with_one_line_and_status_1(
    error: BaseException,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(demo, "start", raising(error))
    assert demo.main(["--data", str(tmp_path / "data")]) == 1
    assert capsys.readouterr().out.strip() == f"✗ {says}"


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_city_too_small_for_the_story_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--data", str(tmp_path / "data"), "--people", "1"]) == 1
    assert "at least" in capsys.readouterr().out
