"""The exact sentence that a person sees and signs, and whether it says what is authorized, word for word."""

import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec

from ledger import model
from ledger.chain.events import GrantTerms
from ledger.encoding import prefixed, sized, tag, utf8
from ledger.errors import ExitCode, LedgerError
from ledger.model import ZERO_WORD, State
from ledger.plain_text import verify_case_number, verify_name, verify_text
from ledger.typed_data import Authorization, struct_hash

PLACEHOLDERS: Final = frozenset(
    (
        "consumer",
        "fields",
        "dataset",
        "uses",
        "interval",
        "case",
        "until",
        "retention",
        "reference",
    )
)
"""Every gap that a template may have."""

REQUIRED: Final = PLACEHOLDERS - {"interval", "reference"}
"""The gaps that each language must have: without them a person would sign what it does not say."""

REFERENCE_BITS: Final = 128

_CASE_TAG: Final = tag(0x00, "case")
_BEIJING: Final = timezone(timedelta(hours=8))  # Asia/Shanghai: no other offset since 1991
_LAST_YEAR_ENDS: Final = 253_402_300_800 - 8 * 3600  # 9999 in Beijing, seconds since 1970
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_UNITS: Final = (
    (86_400, "天", "day"),
    (3600, "小时", "hour"),
    (60, "分钟", "minute"),
    (1, "秒", "second"),
)

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_REFERENCE_GROUPS: Final = (6, 5, 5, 5, 5)
_REFERENCE_LENGTH: Final = sum(_REFERENCE_GROUPS)
_MISREAD: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_TAIL: Final = "授权编号 Reference: "

_GAP: Final = re.compile(r"\{([a-z]+)\}")


class StatementError(LedgerError):
    """Why no statement can be made, or why one is not the right one."""

    exit_code = ExitCode.BAD_INPUT


class Templates(msgspec.Struct, frozen=True):
    """A purpose's text in both languages, plain, with the same gaps: all that are `REQUIRED`.

    Else `StatementError`, or `PlainTextError`; so everywhere here.
    """

    zh: str
    en: str

    def __post_init__(self) -> None:
        chinese, english = _gaps("zh", self.zh), _gaps("en", self.en)
        if chinese != english:
            names = ", ".join(sorted(chinese ^ english))
            raise StatementError(f"only one of the languages has {names}")


class Terms(msgspec.Struct, frozen=True):
    """What is asked for. Names are as on chain: "中文 / English", or one name for both languages."""

    consumer: str
    dataset: str
    fields: tuple[str, ...]
    """In the order of the schema."""
    item: bytes
    """Root of the one record that is asked for; 32 zero bytes for all."""
    case_number: str
    max_uses: int
    min_interval: int
    """Seconds between two uses at least; zero for no limit."""
    not_before: int
    """Seconds since 1970; zero for the grant's block, and then not in the sentence."""
    expires_at: int
    """Seconds since 1970."""
    retention: int
    """Seconds for which the consumer may keep the data; zero for not at all."""


class Statement(msgspec.Struct, frozen=True):
    """A statement in its parts, for a page that sets them apart. `text` is what is signed."""

    zh: str
    en: str
    reference: str

    @property
    def text(self) -> str:
        """The string that the person sees and signs."""
        return f"{self.zh} {self.en} {_TAIL}{self.reference}"


class _Phrase(msgspec.Struct, frozen=True):
    zh: str
    en: str


def select_templates(texts: Iterable[tuple[str, str]]) -> Templates:
    """Return a purpose's templates out of all its texts (language, template); `StatementError` as `Templates`."""
    by_language: dict[str, list[str]] = {"zh": [], "en": []}
    for language, template in texts:
        by_language.get(language, []).append(template)
    for language, templates in by_language.items():
        if len(templates) != 1:
            raise StatementError(f"needs one text in {language}, has {len(templates)}")
    return Templates(zh=by_language["zh"][0], en=by_language["en"][0])


def make_statement(templates: Templates, terms: Terms, reference: str) -> Statement:
    """Fill a purpose's text with the terms of an ask; the reference is drawn anew for every one.

    Raises:
        StatementError: a name is not plain text, a number is outside what can be written, or
            the reference is not in its usual form.
    """
    if format_reference(parse_reference(reference)) != reference:
        raise StatementError("the reference number is not in its usual form")
    phrases = _phrases(terms) | {"reference": _Phrase(reference, reference)}
    return Statement(
        zh=_GAP.sub(lambda gap: phrases[gap[1]].zh, templates.zh),
        en=_GAP.sub(lambda gap: phrases[gap[1]].en, templates.en),
        reference=reference,
    )


def verify_statement(text: str, templates: Templates, terms: Terms) -> Statement:
    """Return the statement if `text` is exactly what these terms say; else `StatementError`."""
    try:
        reference = format_reference(parse_reference(text.rpartition(_TAIL)[2]))
    except StatementError as error:
        raise StatementError("the statement does not end with its reference") from error
    statement = make_statement(templates, terms, reference)
    if statement.text != text:
        raise StatementError("the statement does not say what the terms say")
    return statement


def name_halves(name: str) -> tuple[str, str]:
    """Return what stands for a name in the Chinese and in the English sentence."""
    chinese, slash, english = name.partition(" / ")
    return chinese, english if slash else chinese


def case_reference(case_number: str, salt: bytes) -> bytes:
    """Return what the chain sees of a case number: H(0x00 | 1 | "case" | salt | case number), 32 bytes.

    The salt is 32 random bytes (else `MalformedError`), drawn anew for every case, for those who
    may know the case. `StatementError` if it is no case number.
    """
    text = utf8(verify_case_number(case_number))
    return sha256(_CASE_TAG + sized("the salt", salt) + prefixed(text)).digest()


# Reference numbers


def new_reference() -> str:
    """Draw a reference number: 128 random bits, without which the statement cannot be guessed."""
    return format_reference(secrets.token_bytes(REFERENCE_BITS // 8))


def format_reference(data: bytes) -> str:
    """Return 16 bytes as a reference number: 26 characters of Crockford's base32, in groups."""
    number = int.from_bytes(sized("a reference number", data, REFERENCE_BITS // 8), "big")
    shifts = range(5 * (_REFERENCE_LENGTH - 1), -1, -5)
    characters = iter("".join(_CROCKFORD[number >> shift & 31] for shift in shifts))
    return "-".join("".join(next(characters) for _ in range(size)) for size in _REFERENCE_GROUPS)


def parse_reference(text: str) -> bytes:
    """Return the 16 bytes of a reference number, as a person may have copied it.

    Case, hyphens and blanks do not matter; O is read as 0, I and L as 1. `StatementError` for other
    characters, or not 26, or more than 128 bits.
    """
    characters = text.upper().translate(_MISREAD)
    if len(characters) != _REFERENCE_LENGTH or not set(characters) <= set(_CROCKFORD):
        raise StatementError("a reference number has 26 digits and letters without U")
    number = 0
    for character in characters:
        number = number << 5 | _CROCKFORD.index(character)
    if number >> REFERENCE_BITS:
        raise StatementError("a reference number starts with 0 to 7")
    return number.to_bytes(REFERENCE_BITS // 8, "big")


# Templates


def _gaps(language: str, template: str) -> frozenset[str]:
    verify_text(f"the text in {language}", template)
    gaps = frozenset(_GAP.findall(template))
    if {"{", "}"} & set(_GAP.sub("", template)):
        raise StatementError(f"the text in {language} has a brace that belongs to no gap")
    unknown, missing = sorted(gaps - PLACEHOLDERS), sorted(REQUIRED - gaps)
    if unknown:
        raise StatementError(f"the text in {language} has unknown gaps: {', '.join(unknown)}")
    if missing:
        raise StatementError(f"the text in {language} lacks {', '.join(missing)}")
    return gaps


# Phrases


def _phrases(terms: Terms) -> dict[str, _Phrase]:
    return {
        "consumer": _bilingual("the consumer's name", terms.consumer),
        "fields": _fields(terms.fields),
        "dataset": _dataset(terms),
        "uses": _uses(terms.max_uses),
        "interval": _interval(terms.min_interval),
        "case": _quoted(verify_case_number(terms.case_number)),
        "until": _until(terms.not_before, terms.expires_at),
        "retention": _retention(terms.retention),
    }


def _bilingual(what: str, name: str) -> _Phrase:
    return _quoted(*name_halves(verify_name(what, name)))


def _quoted(chinese: str, english: str = "") -> _Phrase:
    """Set what a party chose apart from the sentence: it cannot contain these marks."""
    return _Phrase(f"「{chinese}」", f"“{english or chinese}”")


def _dataset(terms: Terms) -> _Phrase:
    name = _bilingual("the dataset's name", terms.dataset)
    if sized("the item", terms.item) == ZERO_WORD:
        return name
    return _Phrase(f"{name.zh}（仅限指定的一条记录）", f"{name.en} (one named record only)")


def _fields(names: tuple[str, ...]) -> _Phrase:
    if not names:
        raise StatementError("an ask names at least one field")
    phrases = [_bilingual("a field's name", name) for name in names]
    return _Phrase(
        f"{len(names)} 项（{'、'.join(phrase.zh for phrase in phrases)}）",
        f"{_count(len(names), 'field')} ({', '.join(phrase.en for phrase in phrases)})",
    )


def _uses(number: int) -> _Phrase:
    if number < 1:
        raise StatementError("an ask is for at least one use")
    if number == 1:
        return _Phrase("仅限 1 次", "once")
    return _Phrase(f"最多 {number} 次", f"up to {number} times")


def _interval(seconds: int) -> _Phrase:
    if seconds == 0:
        return _Phrase("不限间隔", "with no minimum interval")
    length = _duration("the interval", seconds)
    return _Phrase(f"每次至少间隔 {length.zh}", f"at least {length.en} apart")


def _retention(seconds: int) -> _Phrase:
    if seconds == 0:
        return _Phrase("使用后立即删除", "deleted right after use")
    length = _duration("the retention", seconds)
    return _Phrase(f"最多保存 {length.zh}", f"kept for at most {length.en}")


def _duration(what: str, seconds: int) -> _Phrase:
    if seconds < 0:
        raise StatementError(f"{what} is negative")
    chinese, english = [], []
    for unit, zh, en in _UNITS:
        number, seconds = divmod(seconds, unit)
        if number:
            chinese.append(f"{number} {zh}")
            english.append(_count(number, en))
    return _Phrase(" ".join(chinese), " ".join(english))


def _until(start: int, end: int) -> _Phrase:
    until = _moment("the end", end)
    if start == 0:
        return _Phrase(f"{until.zh}（北京时间）", f"{until.en} (Beijing time)")
    # Also when it is past: who signs need not know what time the chain has.
    since = _moment("the beginning", start)
    return _Phrase(
        f"{until.zh}（北京时间，不早于 {since.zh} 开始）",
        f"{until.en} (Beijing time, not before {since.en})",
    )


def _moment(what: str, timestamp: int) -> _Phrase:
    if not 0 <= timestamp < _LAST_YEAR_ENDS:
        raise StatementError(f"{what} lies outside the years 1970 to 9999")
    moment = datetime.fromtimestamp(timestamp, UTC).astimezone(_BEIJING)
    clock = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
    return _Phrase(
        f"{moment.year}年{moment.month}月{moment.day}日 {clock}",
        f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {clock}",
    )


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


_REFERENCE_TEXT_LENGTH: Final = 30
"""Characters, hyphens included: a statement ends with one."""
_CASE_NUMBER_ENDS: Final = "」"
_TEMPLATES_REMEMBERED: Final = 256
_templates = lru_cache(maxsize=_TEMPLATES_REMEMBERED)(select_templates)


class Names(msgspec.Struct, frozen=True):
    """What the person was shown when granting, as the chain had it then."""

    consumer: str
    dataset: str
    fields: tuple[str, ...]
    """Of the whole schema."""
    texts: tuple[tuple[str, str], ...]
    """Of the purpose: language and template."""
    retention: int


def verify_consent(record: Authorization, authorization: bytes, names: Names) -> None:
    """Check that a record is the authorization of this id, and that its statement says what it authorizes.

    Raises:
        LedgerError: It is another record, or its statement says something else.
    """
    if struct_hash(record) != authorization:
        raise StatementError("it is another authorization's record")
    case_number_in(record.statement, record, names)


def names_at_grant(state: State, authorization: model.Authorization) -> Names:
    """Return what a person was shown, from a state that has the grant."""
    agreement = authorization.terms.agreement
    dataset, purpose = agreement.dataset, state.purposes[agreement.purpose]
    return Names(
        consumer=authorization.consumer_name,
        dataset=dataset.title,
        fields=dataset.fields,
        texts=purpose.texts,
        retention=purpose.retention,
    )


def case_number_in(text: str, bounds: Authorization | GrantTerms, names: Names) -> str:
    """Return the case number of a statement that says what its terms say, in both languages.

    Raises:
        LedgerError: it says something else, or two case numbers.
    """
    if bounds.fields >> len(names.fields):
        raise StatementError("fields are authorized that have no name")
    templates = _templates(names.texts)
    fields = tuple(name for place, name in enumerate(names.fields) if bounds.fields >> place & 1)

    reference = format_reference(parse_reference(text[-_REFERENCE_TEXT_LENGTH:]))
    # With the reference in it no name can be this text: names were on chain before it was drawn.
    standing_in = f"CASE-{reference}"
    terms = Terms(
        consumer=names.consumer,
        dataset=names.dataset,
        fields=fields,
        item=bounds.item,
        case_number=standing_in,
        max_uses=bounds.max_uses,
        min_interval=bounds.min_interval,
        not_before=bounds.not_before,
        expires_at=bounds.expires_at,
        retention=names.retention,
    )
    expected = make_statement(templates, terms, reference).text
    before = expected.partition(standing_in)[0]
    case_number = text[len(before) :].partition(_CASE_NUMBER_ENDS)[0]
    if not case_number or expected.replace(standing_in, case_number) != text:
        raise StatementError("the statement does not say what was authorized")
    return verify_case_number(case_number)
