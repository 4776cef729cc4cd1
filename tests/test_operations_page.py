"""docs/operations.md has a row for each rule of the supervision, with its misuse; no page names a setting that is not there."""

import re
from pathlib import Path
from typing import Final

import pytest
from pydantic_settings import BaseSettings

from gateway.settings import AccessSettings, Settings
from gateway.supervision.rules import SUSPENDING, Bounds
from tests.test_security_page import rows_of
from wallet.identity.settings import IdentitySettings
from wallet.keyholder.settings import KeyholderSettings

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = sorted(
    [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob(".github/**/*.md")]
)
SETTINGS: Final[tuple[type[BaseSettings], ...]] = (
    Settings,
    AccessSettings,
    KeyholderSettings,
    IdentitySettings,
)
RULES: Final = (ROOT / "gateway/supervision/rules.py").read_text("utf-8")
ALERTS: Final = rows_of("docs/operations.md", "## Alerts of the supervision")
CODE: Final = "\n".join(
    path.read_text("utf-8")
    for folder in ("gateway", "ledger", "wallet", "scripts", "contracts")
    for kind in ("py", "sol")
    for path in (ROOT / folder).rglob(f"*.{kind}")
)

_VARIABLE: Final = re.compile(r"\bQUANCHENG_[A-Z0-9_]+\b")
_SHORT: Final = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{5,})`")
_SEVERITY: Final = re.compile(r'(?:rule="|_about\(\s*")([\w-]+)",\s*(?:severity=)?"(\w+)"')


def severities() -> dict[str, str]:
    """Every rule of the code with its severity."""
    return dict(_SEVERITY.findall(RULES))


def test_the_rules_of_the_code_are_those_that_are_looked_for() -> None:
    words = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"', RULES)) - {"big"}  # an order of bytes
    assert words - {*severities().values()} == set(severities())
    assert set(SUSPENDING) <= set(severities())


def test_every_rule_has_its_row_with_severity_and_misuse() -> None:
    assert {row[0].strip("` ") for row in ALERTS} == set(severities())
    for name, severity, means, misuse in ALERTS:
        assert severities()[name.strip("` ")] == severity
        assert means
        assert misuse


def test_what_the_rows_say_of_numbers_are_the_bounds_of_the_code() -> None:
    usual = Bounds()
    rows = {row[0].strip("` "): row[2] for row in ALERTS}
    assert f"{usual.rate} accesses" in rows["rate"]
    assert f"{usual.volume_least} at least" in rows["volume"]
    assert f"{usual.odd_least} accesses" in rows["odd-hours"]
    assert f"more than {usual.revocation_known // 60} minutes" in rows["after-revocation"]
    assert {5: "five persons"}[usual.after_revocation] in rows["after-revocation"]
    assert f"more than {usual.identity_acts} " in rows["identity-acts"]
    assert {10: "ten denials"}[usual.denials] in rows["denials"]


KNOWN: Final = {
    f"{kind.model_config['env_prefix']}{name.upper()}"
    for kind in SETTINGS
    for name in kind.model_fields
} | set(_VARIABLE.findall(CODE))
WORDS: Final = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", CODE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    named = set(_VARIABLE.findall(text))
    assert {name for name in named if not name.endswith("_")} - KNOWN == set()
    unknown = {
        name
        for name in _SHORT.findall(text)
        if not name.startswith("QUANCHENG_")
        and not any(each.endswith(f"_{name}") for each in KNOWN)
        and name not in WORDS
    }
    assert unknown == set()
