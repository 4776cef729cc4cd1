"""What a person sees is what a person signs: one exact sentence, the same on every machine."""

import re
import secrets
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.crypto.statement import (
    PLACEHOLDERS,
    REQUIRED,
    StatementError,
    Templates,
    Terms,
    case_reference,
    format_reference,
    make_statement,
    new_reference,
    parse_reference,
    select_templates,
    verify_statement,
)
from ledger.errors import MalformedError
from ledger.hexstr import from_hex
from ledger.plain_text import PlainTextError
from tests.vectors import signed_records
from tests.vectors.files import vectors
from tests.vectors.signed_records import TEMPLATES

VECTORS = vectors("statement.json")
REFUSED = (StatementError, PlainTextError)
TERMS = msgspec.structs.replace(signed_records.TERMS, expires_at=1_796_054_400)
REFERENCE = format_reference(bytes(range(16)))


def text_of(**changes: object) -> str:
    terms = msgspec.structs.replace(TERMS, **changes)
    return make_statement(TEMPLATES, terms, REFERENCE).text


def test_statement_is_one_string_in_chinese_then_english_then_reference() -> None:
    assert text_of() == (
        "我同意「泉城银行」为办理贷款（编号 「2026-118」）查询我的「不动产登记」中的 3 项（「坐落」、「面积」、"
        "「抵押」），仅限 1 次，"
        "不限间隔，有效期至 2026年12月1日 00:00（北京时间），数据最多保存 30 天。 "
        "I let “Quancheng Bank” read 3 fields (“location”, “area”, “mortgage”) of my “real estate "
        "registration” for loan case “2026-118”, once, with no minimum interval, until 1 December 2026, 00:00 "
        "(Beijing time); the data is kept for at most 30 days. "
        "授权编号 Reference: 000410-61050-R3GG2-8A1C6-0T3GF"
    )


@pytest.mark.parametrize(
    ("changes", "chinese", "english"),
    [
        ({"max_uses": 5}, "，最多 5 次，", " up to 5 times,"),
        ({"min_interval": 60}, "每次至少间隔 1 分钟", "at least 1 minute apart"),
        (
            {"min_interval": 2 * 86_400 + 3_600 + 61},
            "每次至少间隔 2 天 1 小时 1 分钟 1 秒",
            "at least 2 days 1 hour 1 minute 1 second apart",
        ),
        ({"retention": 0}, "数据使用后立即删除。", "the data is deleted right after use."),
        ({"fields": ("面积",)}, "1 项（「面积」）", "1 field (“面积”)"),
        (
            {"expires_at": 1_796_054_399},
            "2026年11月30日 23:59:59（北京时间）",
            "30 November 2026, 23:59:59 (Beijing time)",
        ),
        (
            {"item": b"\x01" * 32},
            "「不动产登记」（仅限指定的一条记录）中",
            "“real estate registration” (one named record only) for",
        ),
        (
            {"case_number": "（2026）鲁01民初118号"},
            "编号 「（2026）鲁01民初118号」",
            "case “（2026）鲁01民初118号”,",
        ),
        ({"consumer": "市医保局"}, "我同意「市医保局」为", "I let “市医保局” read"),
    ],
)
def test_terms_are_written_in_both_languages(
    changes: dict[str, object], chinese: str, english: str
) -> None:
    statement = make_statement(TEMPLATES, msgspec.structs.replace(TERMS, **changes), REFERENCE)
    assert chinese in statement.zh
    assert english in statement.en


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_uses": 0}, "at least one use"),
        ({"fields": ()}, "at least one field"),
        ({"fields": ("",)}, "a field's name has 0 characters"),
        ({"min_interval": -1}, "the interval is negative"),
        ({"retention": -1}, "the retention is negative"),
        ({"expires_at": -1}, "years 1970 to 9999"),
        ({"expires_at": 2**64 - 1}, "the end lies outside the years 1970 to 9999"),
        ({"not_before": -1}, "the beginning lies outside the years 1970 to 9999"),
        ({"not_before": 2**64 - 1}, "the beginning lies outside the years 1970 to 9999"),
        ({"consumer": "Bank\nand everybody"}, "consumer's name has U.000A"),
        ({"consumer": "Bank\u202eknaB"}, "consumer's name has U.202E"),
        ({"consumer": "Bank\u200b"}, "consumer's name has U.200B"),
        ({"consumer": "Bank\u00a0"}, "consumer's name has U.00A0"),
        ({"consumer": " Bank"}, "starts or ends with a blank"),
        ({"consumer": "The  Bank"}, "two together"),
        ({"consumer": "Banke\u0301"}, "consumer's name has U.0301"),
        ({"consumer": "x" * 201}, "has 201 characters instead of 1 to 200"),
        ({"dataset": " / property"}, "starts or ends with a blank"),
        ({"dataset": "不动产 / "}, "starts or ends with a blank"),
        ({"consumer": "银行」查询「天气"}, "consumer's name has U.300D"),
        ({"dataset": "登记 / register” once, of “weather"}, "dataset's name has U.201D"),
        ({"fields": ("坐落、面积」、「抵押",)}, "a field's name has U.300D"),
        ({"case_number": "118, as often as it likes"}, "the case number has U.002C"),
        ({"case_number": "118。可以查询十次"}, "the case number has U.3002"),
        ({"case_number": "118）仅作测试……（以下作废"}, "the case number has U.2026"),
        ({"case_number": "118）仅作测试（以下作废"}, "brackets that are no pairs"),
        ({"case_number": "118\u3164仅作测试"}, "the case number has U.3164"),
        ({"case_number": "118\u05d0"}, "the case number has U.05D0"),
        ({"case_number": "1" * 65}, "the case number has 65 characters"),
        ({"case_number": ""}, "the case number has 0 characters"),
    ],
)
def test_term_that_cannot_be_written_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(REFUSED, match=message):
        text_of(**changes)


def test_an_item_is_named_by_its_whole_root() -> None:
    with pytest.raises(MalformedError, match=r"^the item has 31 bytes"):
        text_of(item=bytes(31))


def test_moments_reach_from_the_first_second_of_1970_to_the_last_of_9999_in_beijing() -> None:
    assert "until 1 January 1970, 08:00 (Beijing" in text_of(expires_at=0)
    last = 253_402_271_999
    assert "until 31 December 9999, 23:59:59 (Beijing" in text_of(expires_at=last)
    with pytest.raises(REFUSED, match="years 1970 to 9999"):
        text_of(expires_at=last + 1)


def test_beginning_is_said_unless_it_is_the_grants_block() -> None:
    assert "不早于" not in text_of()
    assert "not before" not in text_of()
    statement = make_statement(
        TEMPLATES, msgspec.structs.replace(TERMS, not_before=1_795_968_061), REFERENCE
    )
    assert (
        "有效期至 2026年12月1日 00:00（北京时间，不早于 2026年11月30日 00:01:01 开始），"
        in statement.zh
    )
    assert (
        "until 1 December 2026, 00:00 (Beijing time, not before 30 November 2026, 00:01:01);"
        in statement.en
    )
    assert "not before 1 January 1970, 08:00:01" in text_of(not_before=1)


@given(st.text(), st.sampled_from(["consumer", "dataset", "case_number"]))
def test_whatever_a_party_chooses_stays_in_its_quotation_marks(text: str, term: str) -> None:
    try:
        statement = make_statement(
            TEMPLATES, msgspec.structs.replace(TERMS, **{term: text}), REFERENCE
        )
    except REFUSED:
        return
    usual = make_statement(TEMPLATES, TERMS, REFERENCE)
    for mine, theirs, marks in (
        (statement.zh, usual.zh, "「[^「」]*」"),
        (statement.en, usual.en, "“[^“”]*”"),
    ):
        assert re.sub(marks, "", mine) == re.sub(marks, "", theirs)


def test_gap_in_a_name_is_not_filled() -> None:
    statement = make_statement(
        TEMPLATES, msgspec.structs.replace(TERMS, consumer="{uses} Bank"), REFERENCE
    )
    assert statement.en.startswith("I let “{uses} Bank” read 3 fields")


@pytest.mark.parametrize("field", [name for name in Terms.__struct_fields__ if name != "item"])
def test_every_term_shows_in_the_statement(field: str) -> None:
    value = getattr(TERMS, field)
    other = {int: lambda: value + 60, str: lambda: value + "9", tuple: lambda: value[:1]}
    assert text_of(**{field: other[type(value)]()}) != text_of()


@given(st.data())
def test_statement_is_verified_from_its_terms_alone(data: st.DataObject) -> None:
    terms = msgspec.structs.replace(
        TERMS,
        max_uses=data.draw(st.integers(1, 2**32 - 1)),
        min_interval=data.draw(st.integers(0, 2**32 - 1)),
        not_before=data.draw(st.integers(0, 2**37)),
        expires_at=data.draw(st.integers(0, 2**37)),
        retention=data.draw(st.integers(0, 2**64 - 1)),
    )
    statement = make_statement(TEMPLATES, terms, new_reference())
    assert verify_statement(statement.text, TEMPLATES, terms) == statement
    other = msgspec.structs.replace(terms, max_uses=terms.max_uses + 1)
    with pytest.raises(REFUSED, match="does not say what the terms say"):
        verify_statement(statement.text, TEMPLATES, other)


@pytest.mark.parametrize("ending", ["", "x", " ", "\n"])
def test_statement_changed_at_its_end_is_refused(ending: str) -> None:
    text = text_of()[:-1] + ending
    with pytest.raises(REFUSED, match=r"does not end with its reference|say what the"):
        verify_statement(text, TEMPLATES, TERMS)


def test_reference_written_otherwise_is_another_statement() -> None:
    text = text_of().replace("000410-", "OOO410-")
    with pytest.raises(REFUSED, match="does not say what"):
        verify_statement(text, TEMPLATES, TERMS)


# Templates


def test_placeholders_are_those_of_the_specification() -> None:
    assert {*PLACEHOLDERS} == {
        *("consumer", "fields", "dataset", "uses", "interval"),
        *("case", "until", "retention", "reference"),
    }
    assert {"interval", "reference"} == PLACEHOLDERS - REQUIRED


@pytest.mark.parametrize(
    ("english", "message"),
    [
        (TEMPLATES.en + " {name}", "the text in en has unknown gaps: name"),
        (TEMPLATES.en.replace("{retention}", "kept"), "the text in en lacks retention"),
        (TEMPLATES.en + " {reference}", "only one of the languages has reference"),
        (TEMPLATES.en + " {}", "a brace that belongs to no gap"),
        (TEMPLATES.en + " {uses!r}", "a brace that belongs to no gap"),
        (TEMPLATES.en + " {uses.real}", "a brace that belongs to no gap"),
        (TEMPLATES.en + " {uses:>10}", "a brace that belongs to no gap"),
        (TEMPLATES.en + " {{uses}}", "a brace that belongs to no gap"),
        (TEMPLATES.en + " }", "a brace that belongs to no gap"),
        (TEMPLATES.en + "\n", "the text in en has U.000A"),
        (TEMPLATES.en + "\u2028.", "the text in en has U.2028"),
        (TEMPLATES.en + "\ue000", "the text in en has U.E000"),
        (TEMPLATES.en + "e\u0301", "the text in en has U.0301"),
        ("", "the text in en has 0 characters"),
        (TEMPLATES.en + "x" * 2000, "characters instead of 1 to 2000"),
    ],
)
def test_template_that_cannot_become_a_statement_is_refused(english: str, message: str) -> None:
    with pytest.raises(REFUSED, match=message):
        Templates(zh=TEMPLATES.zh, en=english)


@pytest.mark.parametrize(
    ("chinese", "english", "message"),
    [
        (TEMPLATES.zh + "{", TEMPLATES.en, "the text in zh has a brace that belongs to no gap"),
        (TEMPLATES.zh + "\n", TEMPLATES.en, "the text in zh has U+000A, at character "),
        (
            TEMPLATES.zh + "{name}{age}",
            TEMPLATES.en,
            "the text in zh has unknown gaps: age, name",
        ),
        (
            TEMPLATES.zh.replace("{until}", "明天").replace("{case}", "三"),
            TEMPLATES.en,
            "the text in zh lacks case, until",
        ),
        (
            TEMPLATES.zh.replace("{interval}", "次日"),
            TEMPLATES.en + " {reference}",
            "only one of the languages has interval, reference",
        ),
    ],
)
def test_a_refused_template_is_named_by_its_language_and_all_its_gaps(
    chinese: str, english: str, message: str
) -> None:
    with pytest.raises(REFUSED, match=f"^{re.escape(message)}"):
        Templates(zh=chinese, en=english)


def test_templates_are_found_by_language() -> None:
    texts = [("en", TEMPLATES.en), ("fr", "Je ..."), ("zh", TEMPLATES.zh)]
    assert select_templates(texts) == TEMPLATES
    with pytest.raises(REFUSED, match="needs one text in zh, has 0"):
        select_templates([("en", TEMPLATES.en)])
    with pytest.raises(REFUSED, match="needs one text in en, has 2"):
        select_templates([*texts, ("en", TEMPLATES.en)])


def test_markup_is_text_like_any_other() -> None:
    statement = make_statement(
        TEMPLATES, msgspec.structs.replace(TERMS, consumer="A<b>&amp;"), REFERENCE
    )
    assert "I let “A<b>&amp;” read" in statement.text


def test_reference_may_stand_in_the_text_too() -> None:
    templates = Templates(
        zh=TEMPLATES.zh + "编号 {reference}", en=TEMPLATES.en + " No. {reference}"
    )
    text = make_statement(templates, TERMS, REFERENCE).text
    assert text.count(REFERENCE) == 3
    assert verify_statement(text, templates, TERMS).reference == REFERENCE


def test_the_reference_is_the_one_at_the_end_though_the_template_names_it_alike() -> None:
    templates = Templates(
        zh=TEMPLATES.zh + "授权编号 Reference: {reference}。", en=TEMPLATES.en + " {reference}"
    )
    text = make_statement(templates, TERMS, REFERENCE).text
    assert verify_statement(text, templates, TERMS).reference == REFERENCE


# Reference numbers


@given(st.binary(min_size=16, max_size=16))
def test_reference_number_gives_its_bits_back(data: bytes) -> None:
    text = format_reference(data)
    assert [len(group) for group in text.split("-")] == [6, 5, 5, 5, 5]
    assert parse_reference(text) == data
    copied = text.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert parse_reference(copied) == data


def test_reference_numbers_differ() -> None:
    assert len({new_reference() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "26 digits"),
        (REFERENCE[:-1], "26 digits"),
        (REFERENCE + "0", "26 digits"),
        ("U" + REFERENCE[1:], "letters without U"),
        ("8" + REFERENCE[1:], "starts with 0 to 7"),
        ("é" * 26, "letters without U"),
    ],
)
def test_what_is_no_reference_number_is_refused(text: str, message: str) -> None:
    with pytest.raises(REFUSED, match=message):
        parse_reference(text)


def test_statement_takes_a_reference_only_in_its_usual_form() -> None:
    with pytest.raises(REFUSED, match="usual form"):
        make_statement(TEMPLATES, TERMS, REFERENCE.lower())
    with pytest.raises(MalformedError, match=r"^a reference number has 15 bytes"):
        format_reference(bytes(15))


# Case references


def test_case_reference_is_the_documented_hash() -> None:
    salt = bytes(range(32))
    number = "2026-118号".encode()
    expected = sha256(b"\x00\x01\x04case" + salt + len(number).to_bytes(4, "big") + number)
    assert case_reference("2026-118号", salt) == expected.digest()


def test_case_reference_of_the_same_case_differs_by_salt() -> None:
    assert len({case_reference("2026-118", secrets.token_bytes(32)) for _ in range(9)}) == 9


def test_case_reference_needs_a_plain_case_number_and_a_whole_salt() -> None:
    with pytest.raises(REFUSED):
        case_reference("2026 118", bytes(32))
    with pytest.raises(MalformedError, match=r"^the salt has 31 bytes"):
        case_reference("2026-118", bytes(31))


# The specification's vectors


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_vector_that_is_refused_makes_no_statement(vector: dict[str, Any]) -> None:
    values = vector["terms"]
    terms = Terms(**values | {"item": from_hex(values["item"]), "fields": tuple(values["fields"])})
    with pytest.raises(REFUSED):
        make_statement(Templates(**VECTORS["templates"]), terms, REFERENCE)


@pytest.mark.parametrize("vector", VECTORS["statements"])
def test_vector_says_what_its_terms_say(vector: dict[str, Any]) -> None:
    values = vector["terms"]
    terms = Terms(**values | {"item": from_hex(values["item"]), "fields": tuple(values["fields"])})
    statement = verify_statement(vector["text"], Templates(**VECTORS["templates"]), terms)
    assert statement.reference == vector["reference"]


def test_vector_of_the_case_reference_is_the_documented_hash() -> None:
    vector = VECTORS["case_reference"]
    number = vector["case_number"].encode()
    parts = (b"\x00\x01\x04case", from_hex(vector["salt"]), len(number).to_bytes(4, "big"), number)
    assert sha256(b"".join(parts)).digest() == from_hex(vector["hash"])
