"""Mutation testing judges what it should: texts of errors are left out, and no module is missing unnoticed."""

import ast
import tomllib

import pytest

from scripts.mutants import ROOT, difference, without_messages


def function(body: str) -> ast.FunctionDef:
    statement = ast.parse(f"def rule(age):\n    {body}\n    return age").body[0]
    assert isinstance(statement, ast.FunctionDef)
    return statement


ORIGINAL = 'if age > 5: raise Refused(Reason.OLD, "too old")'


@pytest.mark.parametrize(
    ("mutant", "counts"),
    [
        ('if age > 5: raise Refused(Reason.OLD, "TOO OLD")', False),
        ('if age > 5: raise Refused(Reason.OLD, "XXtoo oldXX")', False),
        ("if age > 5: raise Refused(Reason.OLD, None)", True),
        ('if age > 5: raise Refused(None, "too old")', True),
        ('if age >= 5: raise Refused(Reason.OLD, "too old")', True),
    ],
)
def test_only_the_text_of_an_error_does_not_count(mutant: str, *, counts: bool) -> None:
    before, after = function(ORIGINAL), function(mutant)
    assert (without_messages(before) != without_messages(after)) is counts
    changed = difference(before, after)
    assert "-" in changed
    assert "return" not in changed


def test_what_is_changed_and_what_must_notice_is_there() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    for name in (*config["only_mutate"], *config["pytest_add_cli_args_test_selection"]):
        assert (ROOT / name).is_file(), name
