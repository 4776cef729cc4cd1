"""Whatever a command prints: nothing of somebody else's text acts on the reader, and nothing is cropped."""

import ast
import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ledger.plain_text import (
    MAX_NAME,
    escape_surrogates,
    escape_text,
    is_plain,
    print_line,
    print_problem,
)
from tests.support.hostile import HOSTILE, hostile_texts
from tests.wallet.rooms.test_proposals import BANK_NAME, DATASET, NOW, PURPOSE, asked
from wallet.citizen.proposal import Proposal, compose
from wallet.cli.citizen import show_proposal
from wallet.cli.output import Output, broken
from wallet.cli.run import described
from wallet.errors import WalletError

ROOT: Final = Path(__file__).parents[3]
ANY_TEXT: Final = st.text(st.characters(codec="utf-8")) | st.text(st.characters())
"""With halves of surrogate pairs, which names of files have that are no UTF-8."""
_LAYOUT: Final = set("\n─━│┃┌┐└┘├┤┬┴┼┏┓┗┛┡┩┳┻╇╈┠┨┯┷┿╂╋╞╡╪" + "—")


@contextmanager
def terminal(width: int = 80, encoding: str = "utf-8") -> Iterator[io.TextIOWrapper]:
    """Take what is printed, on a terminal or pipe of this width and encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    with (
        patch.object(sys, "stdout", stream),
        patch.object(sys, "stderr", stream),
        patch.dict("os.environ", {"COLUMNS": str(width)}),
    ):
        yield stream


def printed(stream: io.TextIOWrapper) -> str:
    stream.flush()
    binary = stream.buffer
    assert isinstance(binary, io.BytesIO)
    return binary.getvalue().decode(stream.encoding)


def long_proposal() -> Proposal:
    """As long as names, case numbers and templates may be."""
    name = "泉" * 98 + " / " + "word " * 19 + "ends"
    assert len(name) == MAX_NAME
    fields = tuple(f"{number:02} {name}"[:MAX_NAME].strip() for number in range(12))
    dataset = msgspec.structs.replace(DATASET, title=name, fields=fields)
    texts = tuple(
        msgspec.structs.replace(text, template=text.template + "长" * 1500)
        for text in PURPOSE.texts
    )
    purpose = msgspec.structs.replace(PURPOSE, texts=texts)
    wanted = asked(fields=2**12 - 1, case_number="（2026）鲁01民初" + "1" * 50 + "号")
    return compose(wanted, name, dataset, purpose, NOW)


PROPOSALS: Final = {
    "usual": compose(asked(), BANK_NAME, DATASET, PURPOSE, NOW),
    "longest": long_proposal(),
}


@pytest.mark.parametrize("length", PROPOSALS)
def test_every_word_of_a_statement_is_shown_at_any_width(length: str) -> None:
    proposal = PROPOSALS[length]
    signed = proposal.authorization.statement
    for width in range(20, 201):
        with terminal(width) as stream:
            show_proposal(Output(machine=False), proposal)
        lines = printed(stream).split("\n")
        beginning = lines.index("—— 您将签署 You would sign ——") + 1
        end = lines.index("", beginning)
        assert all(cell_len(line) <= width for line in lines[beginning:end])
        # Three paragraphs, which the signed string puts together with blanks.
        assert "".join(lines[beginning:end]) == "".join(
            (
                proposal.statement.zh,
                proposal.statement.en,
                f"授权编号 Reference: {proposal.statement.reference}",
            )
        )
        assert "".join(lines[beginning:end]).replace(" ", "") == signed.replace(" ", "")


@given(st.text(), st.integers(2, 200))
def test_a_text_broken_into_lines_is_the_text(text: str, width: int) -> None:
    text = escape_text(text)
    lines = broken(text, width)
    assert "".join(lines) == text
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize("width", [20, 33, 80, 200])
def test_every_word_of_a_table_is_shown_at_any_width(width: int) -> None:
    identifier = "0x" + "0123456789abcdef" * 4
    with terminal(width) as stream:
        Output(machine=False).table("Ids", ("id",), [(identifier,)])
        Output(machine=False).terms([("request", (identifier,))])
    shown = "".join(each for each in printed(stream) if each in "0123456789abcdefx")
    assert shown.count(identifier) == 2


def print_everything(text: str, *, machine: bool) -> None:
    """Print a text in each of the ways that a command has; there are no others."""
    output = Output(machine=machine)
    output.result({text: [text]}, text, f"before {text} after")
    output.table("title", ("column", text), [(text, "beside")])
    output.terms([("name", (text, text))])
    output.statement("statement", (text, text))
    output.say(text)
    output.warn(text)
    output.error(text, described(WalletError(text)))
    output.document(json.dumps({"text": escape_surrogates(text)}).encode())


def print_service_lines(text: str) -> None:
    """Print a text in each of the ways that services and their commands have; there are no others."""
    print_line(f"before {text} after")
    print_problem(text)


@given(ANY_TEXT | hostile_texts(), st.sampled_from([20, 80, 200]))
def test_no_text_acts_on_the_terminal_that_shows_it(text: str, width: int) -> None:
    for machine in (False, True):
        with terminal(width) as stream:
            print_everything(text, machine=machine)
            print_service_lines(text)
        shown = printed(stream)
        assert [each for each in set(shown) - _LAYOUT if not is_plain(each)] == []


@given(hostile_texts() | st.sampled_from(HOSTILE))
def test_text_of_others_begins_no_line_of_its_own(text: str) -> None:
    with terminal(200) as stream:
        output = Output(machine=False)
        output.warn(f"before {text} after")
    (line,) = printed(stream).splitlines()
    assert line == f"before {escape_text(text)} after"


@pytest.mark.parametrize("encoding", ["gbk", "ascii", "latin-1", "utf-8"])
@given(text=ANY_TEXT | st.just("李𠮷") | hostile_texts())
def test_no_encoding_of_a_terminal_makes_a_command_fail(encoding: str, text: str) -> None:
    for machine in (False, True):
        with terminal(encoding=encoding) as stream:
            print_service_lines(text)
            print_everything(text, machine=machine)
        assert printed(stream)


def test_a_name_that_a_terminal_cannot_show_is_escaped() -> None:
    with terminal(encoding="gbk") as stream:
        Output(machine=False).result(None, "姓名 李𠮷")
    assert printed(stream) == "姓名 李\\u{20BB7}\n"
    with terminal(encoding="gbk") as stream:
        Output(machine=True).result({"姓名": "李𠮷"})
    assert json.loads(printed(stream)) == {"姓名": "李𠮷"}


def test_a_surrogate_in_a_document_is_told_as_text_and_the_document_is_unicode() -> None:
    with terminal() as stream:
        Output(machine=True).result({"journal \udcff": ["\udcff.ndjson", 1, None]})
    assert json.loads(printed(stream)) == {"journal \\u{DCFF}": ["\\u{DCFF}.ndjson", 1, None]}


PRINTERS: Final = {
    "ledger/plain_text.py": "lines of services",
    "ledger/service/logs.py": "the log, as JSON that is plain",
    "wallet/cli/output.py": "what commands say",
}


def test_only_three_modules_print() -> None:
    """So that no service and no command can forget to escape."""
    for package in ("gateway", "ledger", "wallet"):
        for path in (ROOT / package).rglob("*.py"):
            if str(path.relative_to(ROOT)) in PRINTERS:
                continue
            tree = ast.parse(path.read_text("utf-8"))
            imported = {
                name.name if isinstance(node, ast.Import) else node.module or ""
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom)
                for name in node.names
            }
            # Bars show numbers and a word of the command's own.
            drawing = imported - {"rich.progress"}
            assert not [name for name in drawing if name.split(".")[0] in ("rich", "click")], path
            called = {
                ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)
            }
            forbidden = {
                "print",
                "typer.echo",
                "typer.secho",
                "traceback.print_exc",
                "warnings.warn",
            }
            writing = [name for name in called if re.search(r"\bstd(out|err)\b.*write", name)]
            assert not called & forbidden, path
            assert not writing, path
