"""Whether a signed statement says what is enforced: told by whoever has the chain and the record, case number unknown."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.crypto.statement import (
    Names,
    StatementError,
    case_number_in,
    new_reference,
    verify_consent,
)
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.plain_text import verify_case_number
from ledger.typed_data import Authorization, record_from_object, struct_hash
from scripts.statements import TEXTS, pairs, stated
from tests.vectors.files import vectors

YEAR = 365 * 86_400
FIELDS = tuple(f"字段{number} / field {number}" for number in range(12))
NAMES = Names("城市银行 / City Bank", "不动产登记 / Real estate", FIELDS, pairs(TEXTS), YEAR)
RECORD = Authorization(
    subject=b"\x01" * 32,
    consumer=b"\x02" * 20,
    dataset=b"\x03" * 32,
    item=bytes(32),
    purpose=b"\x04" * 32,
    fields=0b1,
    case_reference=b"\x05" * 32,
    statement="",
    not_before=0,
    expires_at=1_800_000_000,
    max_uses=1,
    min_interval=0,
    nonce=b"\x06" * 32,
    deadline=1_790_000_000,
)
SIGNED = stated(RECORD, NAMES, "2026-118")


def refused(record: Authorization, names: Names = NAMES, id_: bytes | None = None) -> bool:
    try:
        verify_consent(record, id_ or struct_hash(record), names)
    except LedgerError:
        return True
    return False


def changed(**members: Any) -> Authorization:
    return msgspec.structs.replace(SIGNED, **members)


def test_the_true_statement_is_taken_with_whatever_case_number_it_has() -> None:
    assert not refused(SIGNED)
    assert case_number_in(SIGNED.statement, SIGNED, NAMES) == "2026-118"
    for case in ("A", "（2026）鲁01民初118号", "x" * 64):
        assert case_number_in(stated(RECORD, NAMES, case).statement, RECORD, NAMES) == case


@pytest.mark.parametrize(
    "members",
    [
        {"fields": (1 << 12) - 1},
        {"fields": 0b10},
        {"fields": 0b11},
        {"fields": 0},
        {"fields": 1 << 12},
        {"fields": 0b1 | 1 << 12},
        {"max_uses": 1000},
        {"max_uses": 0},
        {"min_interval": 60},
        {"expires_at": RECORD.expires_at + 1},
        {"expires_at": 2**63},
        {"not_before": 1_700_000_000},
        {"item": b"\x07" * 32},
        {"fields": (1 << 12) - 1, "max_uses": 1000},
    ],
    ids=",".join,
)
def test_whatever_the_words_do_not_say_is_refused(members: dict[str, Any]) -> None:
    assert refused(changed(**members))


@pytest.mark.parametrize(
    "names",
    [
        {"consumer": "城市银行 / City Bank 2"},
        {"consumer": ""},
        {"consumer": "a\x00b"},
        {"dataset": "不动产登记 / Real estates"},
        {"fields": FIELDS[1:]},
        {"retention": YEAR - 1},
        {"texts": (("zh", TEXTS[0].template), ("en", TEXTS[1].template + " "))},
        {"texts": pairs(TEXTS)[:1]},
        {"texts": (*pairs(TEXTS), ("zh", TEXTS[0].template))},
        {"texts": (("zh", "{nothing}"), ("en", "{nothing}"))},
        {"texts": ()},
    ],
    ids=",".join,
)
def test_other_names_than_those_on_chain_are_refused(names: dict[str, Any]) -> None:
    assert refused(SIGNED, msgspec.structs.replace(NAMES, **names))


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "I let somebody read something.",
        SIGNED.statement + " ",
        " " + SIGNED.statement,
        SIGNED.statement[:-1],
        SIGNED.statement.lower(),
        SIGNED.statement.replace("「2026-118」", "「2026-119」"),
        SIGNED.statement.replace("2026-118", ""),
        SIGNED.statement.replace("2026-118", "x" * 65),
        SIGNED.statement.replace("2026-118", "a“b”"),
        SIGNED.statement.replace("once", "up to 1000 times"),
        SIGNED.statement.replace("仅限 1 次", "最多 1000 次"),
        SIGNED.statement.partition(" I let")[0],
        SIGNED.statement + SIGNED.statement,
        SIGNED.statement * 100,
        "（以下作废）" + SIGNED.statement,
    ],
)
def test_other_words_are_refused(statement: str) -> None:
    assert refused(changed(statement=statement))


def test_another_record_is_refused_though_its_words_are_right() -> None:
    other = stated(changed(fields=0b11), NAMES)
    assert not refused(other)
    assert refused(other, id_=struct_hash(SIGNED))


def test_a_refusal_says_what_does_not_fit() -> None:
    with pytest.raises(StatementError, match="another authorization's record"):
        verify_consent(SIGNED, bytes(32), NAMES)
    with pytest.raises(StatementError, match="fields are authorized that have no name"):
        case_number_in(SIGNED.statement, changed(fields=1 << 12), NAMES)
    with pytest.raises(StatementError, match="does not say what was authorized"):
        case_number_in(SIGNED.statement, changed(fields=0b10), NAMES)


def test_a_party_named_like_a_stand_in_keeps_nobody_from_granting() -> None:
    for name in ("CASE-NUMBER-STANDING-IN", f"CASE-{new_reference()}"):
        names = msgspec.structs.replace(NAMES, consumer=name, dataset=name)
        assert not refused(stated(RECORD, names, "2026-118"), names)


@given(
    st.text("0123456789abcdefABCDEF-/（）()【】[]号民初", min_size=1, max_size=64),
    st.integers(1, (1 << 12) - 1),
    st.integers(1, 2**32 - 1),
)
def test_who_makes_and_who_checks_agree(case: str, fields: int, uses: int) -> None:
    record = msgspec.structs.replace(RECORD, fields=fields, max_uses=uses)
    try:
        verify_case_number(case)
    except LedgerError:
        return
    signed = stated(record, NAMES, case)
    assert case_number_in(signed.statement, record, NAMES) == case


# The specification's vectors

VECTORS = vectors("consents.json")


def test_the_vectors_record_says_what_it_authorizes() -> None:
    record = record_from_object(Authorization, VECTORS["record"])
    names = msgspec.convert(VECTORS["names"], Names)
    assert to_hex(struct_hash(record)) == VECTORS["authorization"]
    verify_consent(record, struct_hash(record), names)
    assert case_number_in(record.statement, record, names) == VECTORS["case_number"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_a_vector_that_is_refused_is(vector: dict[str, Any]) -> None:
    record = record_from_object(Authorization, VECTORS["record"] | vector["record"])
    assert refused(record, msgspec.convert(VECTORS["names"] | vector["names"], Names))
