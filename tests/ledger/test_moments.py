"""Times that others name may be any number: shown as such, and no command ends for them."""

import ast
import datetime as dt
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.chain.eth_methods import EventError
from ledger.chain.events.decoder import EventDecoder
from ledger.plain_text import LAST, iso_moment, moment
from tests.ledger.test_events import ACCESSED, BASIS, CONTRACTS, make_log
from wallet.cli.audit_trace import _TIMES, _shown
from wallet.cli.output import moment_text
from wallet.client.calls import Answer
from wallet.client.errors import ClientError
from wallet.client.relays import my_authorizations, my_history
from wallet.client.supervision import applications, dataset_accesses
from wallet.client.transactions import ask_outlook

ROOT: Final = Path(__file__).parents[2]
LOG: Final = b"\x05" * 20
CHECKED: Final = {"ledger/plain_text.py", "ledger/crypto/statement.py"}
"""The helper, and the sentence that people sign, which refuses what has no date."""


@given(st.integers() | st.integers(LAST - 2, LAST + 2))
@example(2**40 - 1)
@example(2**63)
@example(2**256 - 1)
@example(-1)
def test_any_number_is_shown(seconds: int) -> None:
    texts = [iso_moment(seconds), moment_text(seconds)]
    texts += [_shown(name, seconds, {}) for name in _TIMES if name != "not_before" or seconds]
    for text in texts:
        assert (text == str(seconds)) != (0 <= seconds <= LAST)
    assert moment(seconds).tzinfo is dt.UTC


def test_nobody_else_makes_dates_of_seconds() -> None:
    for package in ("ledger", "gateway", "wallet", "scripts"):
        for path in (ROOT / package).rglob("*.py"):
            names = {
                node.attr
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Attribute)
            }
            found = names & {"fromtimestamp", "utcfromtimestamp", "gmtime", "localtime", "ctime"}
            assert not found or str(path.relative_to(ROOT)) in CHECKED, path


@pytest.mark.parametrize("time", [2**64 - 1, 2**63 - 1, LAST + 1])
def test_no_block_is_of_a_time_without_a_date(time: int) -> None:
    log = make_log(LOG, (ACCESSED, BASIS), bytes(96))
    with pytest.raises(EventError, match="of such a time"):
        EventDecoder(CONTRACTS).decode(msgspec.structs.replace(log, block_timestamp=hex(time)))


GRANTED: Final = {
    **dict.fromkeys(("id", "subject", "dataset", "purpose", "transaction"), "0x" + "00" * 32),
    **dict.fromkeys(("consumer_name", "dataset_title", "item", "purpose_code"), ""),
    **dict.fromkeys(("not_before", "expires_at", "max_uses", "min_interval", "uses", "at"), 1),
    "consumer": "0x" + "00" * 20,
    "authorization": None,
    "last_use": 0,
    "revoked": False,
    "halted": False,
}
ACCESS: Final = {
    **dict.fromkeys(("access", "basis", "block_hash", "transaction"), "0x" + "00" * 32),
    **dict.fromkeys(("outcome", "release", "consumer_name", "kind", "dataset"), ""),
    **dict.fromkeys(("dataset_title", "subject", "item", "nonce"), ""),
    **dict.fromkeys(("sequence", "outcome_number", "at", "deadline", "block_number"), 1),
    "consumer": "0x" + "00" * 20,
    "log_index": 0,
    "voided": False,
}
APPLICATION: Final = {
    **dict.fromkeys(("application", "dataset", "purpose", "transaction"), "0x" + "00" * 32),
    **dict.fromkeys(("consumer_name", "purpose_code", "justification", "state", "reason"), ""),
    "consumer": "0x" + "00" * 20,
    "decided": True,
    "signed": True,
    "at": 1,
}


@pytest.mark.parametrize("fields", ["x", "-1", "1.5", "٣", "1" * 5000, "0x1", "1\n"])
def test_fields_that_are_no_number_are_no_answer(fields: str) -> None:
    at = {"at": 1, "block_number": 1, "transaction": "0x" + "00" * 32}
    entry = {"kind": "granted", **at, "fields": fields}
    for call, body in (
        (my_authorizations(), {"authorizations": [{**GRANTED, "fields": fields}]}),
        (my_history(), {"events": [entry], "entries": [entry], "history": [entry]}),
        (dataset_accesses(bytes(32)), {"accesses": [{**ACCESS, "fields": fields}]}),
        (applications(), {"applications": [{**APPLICATION, "fields": fields}]}),
        (ask_outlook(bytes(20)), {"nonce": 1, "chain_id": 1, "gas_price": fields, "max_gas": 1}),
    ):
        with pytest.raises(ClientError, match="matching regex"):
            call.result(Answer(200, {}, msgspec.json.encode(body)))


def test_fields_that_are_a_number_are_taken() -> None:
    granted = {**GRANTED, "fields": str(2**256 - 1)}
    body = {"authorizations": [granted], "elsewhere": [], "cursor": None}
    (found,) = my_authorizations().result(Answer(200, {}, msgspec.json.encode(body))).authorizations
    assert int(found.fields) == 2**256 - 1
