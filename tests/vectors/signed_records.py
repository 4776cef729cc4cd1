"""Vectors of signed records, HTTP signatures, statements, consents and plain text."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ledger import plain_text, typed_data
from ledger.crypto import statement
from ledger.crypto.signatures import address_of, personal_digest, sign
from ledger.crypto.statement import Names, Templates, Terms, case_number_in
from ledger.hexstr import checksum_address, to_hex
from ledger.links import make_link
from ledger.plain_text import escape_text
from ledger.service import http_signatures
from ledger.service.http_signatures import (
    RequestTarget,
    SignatureHeaders,
    parse_input,
    signature_base,
)
from ledger.typed_data import Domain, SignedRecord, schema_of
from tests.vectors.files import CHAIN_ID, NOW, named, text_of
from wallet.passkey import SoftwarePasskey

SUBJECT_KEY, CONSUMER_KEY = named("subject's key"), named("consumer's key")
CONSUMER = address_of(CONSUMER_KEY)
PASSKEY = SoftwarePasskey(named("subject's passkey"), "wallet.example")
VERIFIER = named("passkey verifier")[:20]
REFERENCE = statement.format_reference(named("reference")[:16])
SALT = named("case salt")

TEMPLATES = Templates(
    zh="我同意{consumer}为办理贷款（编号 {case}）查询我的{dataset}中的 {fields}，{uses}，{interval}，"
    "有效期至 {until}，数据{retention}。",
    en="I let {consumer} read {fields} of my {dataset} for loan case {case}, {uses}, {interval}, "
    "until {until}; the data is {retention}.",
)
TERMS = Terms(
    consumer="泉城银行 / Quancheng Bank",
    dataset="不动产登记 / real estate registration",
    fields=("坐落 / location", "面积 / area", "抵押 / mortgage"),
    item=bytes(32),
    case_number="2026-118",
    max_uses=1,
    min_interval=0,
    not_before=0,
    expires_at=1_798_732_800,
    retention=30 * 86_400,
)


def make_files() -> dict[str, str]:
    return {
        "typed-data.json": text_of(typed_data_vectors(), indent=2),
        "http-signatures.json": text_of(http_vectors(), indent=2),
        "statement.json": text_of(statement_vectors(), indent=2),
        # Characters that are refused would turn, hide or break the lines of the file itself.
        "plain-text.json": text_of(plain_text_vectors(), indent=2, ascii_only=True),
        "consents.json": text_of(consent_vectors()),
    }


def typed_data_vectors() -> dict[str, Any]:
    """One of each signed record, and an authorization by account and by passkey."""
    domains = {
        name: Domain(CHAIN_ID, named(name)[:20])
        for name in ("Authorizations", "AccessLog", "Agreements")
    }
    records = list(example_records())
    digest = typed_data.digest(records[0], domains["Authorizations"])
    return {
        "domains": {
            name: {
                "chainId": domain.chain_id,
                "verifyingContract": checksum_address(domain.verifying_contract),
                "separator": to_hex(typed_data.domain_separator(domain)),
            }
            for name, domain in domains.items()
        },
        "records": [record_vector(record, domains[record.verified_by]) for record in records],
        "signatures": {
            "digest": to_hex(digest),
            "account": {
                "private_key": to_hex(SUBJECT_KEY),
                "signer": to_hex(address_of(SUBJECT_KEY)),
                "signature": to_hex(sign(digest, SUBJECT_KEY)),
            },
            "passkey": {
                "private_key": to_hex(PASSKEY.private_key),
                "verifier": to_hex(VERIFIER),
                "signer": to_hex(PASSKEY.signer(VERIFIER)),
                "signature": to_hex(PASSKEY.sign(digest)),
            },
        },
    }


def record_vector(record: SignedRecord, domain: Domain) -> dict[str, Any]:
    """Return a record with everything that is computed from it."""
    schema = schema_of(type(record))
    return {
        "type": schema.type_string,
        "type_hash": to_hex(schema.type_hash),
        "verified_by": record.verified_by,
        "message": typed_data.record_to_object(record),
        "struct_hash": to_hex(typed_data.struct_hash(record)),
        "digest": to_hex(typed_data.digest(record, domain)),
    }


def example_records() -> Iterator[SignedRecord]:
    """Yield one of each type, in the order of the specification."""
    subject, dataset, deadline = named("subject"), named("dataset"), NOW + 3_600
    authorization = typed_data.Authorization(
        subject=subject,
        consumer=CONSUMER,
        dataset=dataset,
        item=bytes(32),
        purpose=named("purpose"),
        fields=0b1101,
        case_reference=statement.case_reference(TERMS.case_number, SALT),
        statement=statement.make_statement(TEMPLATES, TERMS, REFERENCE).text,
        not_before=TERMS.not_before,
        expires_at=TERMS.expires_at,
        max_uses=TERMS.max_uses,
        min_interval=TERMS.min_interval,
        nonce=named("authorization nonce"),
        deadline=deadline,
    )
    about = {"subject": subject, "authorization": typed_data.struct_hash(authorization)}
    once: dict[str, Any] = {"nonce": named("nonce"), "deadline": deadline}
    account, passkey = address_of(SUBJECT_KEY), PASSKEY.signer(VERIFIER)
    yield authorization
    yield typed_data.Revocation(**about, deadline=deadline)
    yield typed_data.Confirmation(**about, deadline=deadline)
    yield typed_data.Freeze(subject=subject, frozen=True, **once)
    yield typed_data.SignerRotation(subject=subject, new_signer=passkey, **once)
    yield typed_data.RecoveryVeto(subject=subject, new_signer=account, **once)
    yield typed_data.GuardianAppointment(
        subject=subject, guardian=account, expires_at=TERMS.expires_at, **once
    )
    yield typed_data.SubjectOpening(subject=subject, **once)
    yield typed_data.AccessRequest(
        consumer=CONSUMER,
        basis=about["authorization"],
        item=bytes(32),
        fields=0b0101,
        nonce=2**255 + 7,
        deadline=deadline,
    )
    yield typed_data.ConfidentialityAgreement(
        consumer=CONSUMER, application=named("application"), text="数据保密协议。", **once
    )
    yield make_link(subject, dataset, named("owner"), at=NOW, links_from=0)


def http_vectors() -> dict[str, Any]:
    upload = RequestTarget("POST", "gateway.example:8443", "/v1/uploads", "part=1&x=%2F")
    read = RequestTarget("GET", "gateway.example", "/v1/inbox")
    return {
        "chain_id": CHAIN_ID,
        "private_key": to_hex(CONSUMER_KEY),
        "address": to_hex(CONSUMER),
        "requests": [
            http_vector("with query and body", upload, b'{"hello": "world"}\n'),
            http_vector("with neither", read, b""),
        ],
        "refused": refused_http_vectors(),
    }


def refused_http_vectors() -> list[dict[str, Any]]:
    """What makes the first request one of which something signed is missing, changed or there twice."""
    cases: list[dict[str, Any]] = [
        {"name": "a digest was signed and there is no body", "body": ""},
        {"name": "another body than was signed", "body": "{}"},
        {"name": "a body, and not the digest that was signed", "without": "Content-Digest"},
        {"name": "neither digest nor body", "body": "", "without": "Content-Digest"},
        {"name": "two hosts", "more": [["Host", "gateway.example:8443"], ["Host", "other"]]},
    ]
    return cases


def http_vector(name: str, target: RequestTarget, body: bytes) -> dict[str, Any]:
    headers = http_signatures.sign_request(
        target,
        http_signatures.body_digest(body),
        CONSUMER_KEY,
        chain_id=CHAIN_ID,
        created=NOW,
        nonce=f"vector-{named(name).hex()[:16]}",
    )
    base = base_of(target, headers)
    return {
        "name": name,
        "target": {
            "method": target.method,
            "authority": target.authority,
            "path": target.path,
            "query": target.query,
        },
        "body": body.decode(),
        "now": NOW,
        "signature_base": base.decode().split("\n"),
        "digest": to_hex(personal_digest(base)),
        "headers": dict(headers.pairs()),
    }


def base_of(target: RequestTarget, headers: SignatureHeaders) -> bytes:
    signed = parse_input(headers.signature_input)
    return signature_base(target, headers.content_digest, signed.covered, signed.parameters)


def statement_vectors() -> dict[str, Any]:
    """Statements for several terms, reference numbers, and a case reference."""
    cases: list[dict[str, Any]] = [
        {},
        {"item": named("record root"), "fields": ("就诊日期 / date of visit",)},
        {"max_uses": 12, "min_interval": 90_061, "retention": 0},
        {
            "consumer": "市医保局",
            "case_number": "（2026）鲁01民初118号",
            "expires_at": 1_798_732_799,
        },
        {"not_before": 1_796_054_400},
    ]
    return {
        "templates": {"zh": TEMPLATES.zh, "en": TEMPLATES.en},
        "statements": [statement_vector(changes) for changes in cases],
        "refused": [refused_statement(why, changes) for why, changes in _REFUSED],
        "references": [
            {"bits": to_hex(bits), "text": statement.format_reference(bits)}
            for bits in (bytes(16), bytes(range(16)), b"\xff" * 16)
        ],
        "case_reference": {
            "case_number": TERMS.case_number,
            "salt": to_hex(SALT),
            "hash": to_hex(statement.case_reference(TERMS.case_number, SALT)),
        },
    }


def statement_vector(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the example's terms, changed, and their statement."""
    values = {name: getattr(TERMS, name) for name in Terms.__struct_fields__} | changes
    text = statement.make_statement(TEMPLATES, Terms(**values), REFERENCE).text
    return {
        "terms": values | {"item": to_hex(values["item"])},
        "reference": REFERENCE,
        "text": text,
    }


_REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a name that ends its quotation marks", {"consumer": "银行」查询「天气"}),
    ("a name that ends them in English", {"dataset": "登记 / register” once, and “weather"}),
    ("a name with what nobody sees", {"fields": ("面\u200b积",)}),
    ("a case number with a comma", {"case_number": "118，仅作测试"}),
    ("a case number that closes a bracket of the sentence", {"case_number": "118）以下作废（"}),
    ("a case number with a blank", {"case_number": "118 test"}),
    ("no use", {"max_uses": 0}),
    ("no field", {"fields": ()}),
    ("an end after the year 9999", {"expires_at": 2**40}),
    ("a beginning after the year 9999", {"not_before": 2**40}),
)


def refused_statement(why: str, changes: dict[str, Any]) -> dict[str, Any]:
    values = {name: getattr(TERMS, name) for name in Terms.__struct_fields__} | changes
    return {"why": why, "terms": values | {"item": to_hex(values["item"])}}


_PLAIN: dict[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...]]] = {
    "text": (
        (
            "请在月底前答复。 Please answer before the end of the month.",
            "利率 3.5%，面积 89 ㎡（含车位）；γ-GT ≤ 50 U/L",
            "李𠮷、𱍐、𮯰、阿依古丽·买买提, Әлия, 김민준, さくら",
            "“quoted” and 「引用」",
        ),
        (
            ("", "empty"),
            ("x" * 2001, "too long"),
            ("\x1b[2J\x1b[H", "escape sequence"),
            ("a\x9b31mb", "control sequence introducer"),
            ("a\x00b", "NUL"),
            ("a\nb", "line feed"),
            ("a\u202eb", "right-to-left override"),
            ("a\u2066b", "isolate"),
            ("a\u200bb", "zero width space"),
            ("a\u200db", "zero width joiner"),
            ("a\ufe0fb", "variation selector"),
            ("a\u3164b", "Hangul filler"),
            ("a\uffa0b", "halfwidth Hangul filler"),
            ("a\u2800b", "blank of Braille"),
            ("a\u3000b", "ideographic space"),
            ("a\u00a0b", "no-break space"),
            ("a\u00adb", "soft hyphen"),
            ("a\u05d0b", "letter of Hebrew"),
            ("a\u0627b", "letter of Arabic"),
            ("e\u0301", "combining mark"),
            ("\u212b", "not in normal form C"),
            ("\u2f00", "radical that looks like a character"),
            ("\uff21", "fullwidth letter"),
            ("\ue000", "private use"),
            ("\ud800", "surrogate"),
            ("\U000e0041", "tag"),
            ("\U000323b0", "unassigned in Unicode 15.1"),
            (" a", "begins with a blank"),
            ("a ", "ends with a blank"),
            ("a  b", "two blanks together"),
            ("Qu\u0430ncheng", "Cyrillic letter among Latin ones"),
        ),
    ),
    "name": (
        ("泉城银行 / Quancheng Bank", "People's Bank", "People’s Bank", "面积（㎡）", "x" * 200),
        (
            ("x" * 201, "too long"),
            ("银行」以下作废「", "corner brackets"),
            ("bank” and “all", "quotation marks"),
            ('bank" and all', "quotation mark of ASCII"),
            ("bank'' and all", "two apostrophes that look like one mark"),
            ("bank\u2033 and all", "double prime"),
            ("bank\U000200cc", "stroke that looks like a corner bracket"),
            ("bank\U0002cf02", "stroke of a later extension"),
        ),
    ),
    "case_number": (
        (
            *("2026-118", "（2026）鲁01民初118号", "济〔2026〕6·1/2", "A&B_[7]#3.1:2", "9" * 64),
            "第〇一二号",
        ),
        (
            ("", "empty"),
            ("9" * 65, "too long"),
            ("118 9", "blank"),
            ("118\u31649", "Hangul filler"),
            ("118，9", "comma"),
            ("118\uff649", "halfwidth ideographic comma"),
            ("118\u4e369", "stroke that looks like a comma"),
            ("118\U000200c99", "stroke"),
            ("118\U000200d19", "stroke"),
            ("118\U0002010c9", "hook"),
            ("118\U0002010e9", "hook of two strokes"),
            ("118\U00021fe89", "stroke"),
            ("118\U0002a6d99", "stroke"),
            ("118。", "full stop"),
            ("118）仅作测试……（以下作废", "reads as a part of the sentence"),
            ("118）仅作测试（以下作废", "brackets that are no pairs"),
            ("(118", "bracket left open"),
            ("(118]", "brackets of two kinds"),
            ("118」", "quotation mark"),
            ("118\u05d0", "letter of Hebrew"),
            ("é118", "letter beyond ASCII"),
            ("１１８", "fullwidth digits"),
        ),
    ),
    "document": (
        ("第一条\n\n  保密。\nSecond line.",),
        (("a\r\nb", "carriage return"), ("a\tb", "tab"), ("", "empty"), ("a\u202e", "override")),
    ),
}


def plain_text_vectors() -> dict[str, Any]:
    """What is plain text of each kind, and what is not, and how that is shown."""
    texts = [text for text, _ in _PLAIN["text"][1] if escape_text(text) != text]
    return {
        "version": plain_text.VERSION,
        "kinds": {
            kind: {
                "plain": list(plain),
                "refused": [{"text": text, "why": why} for text, why in refused],
            }
            for kind, (plain, refused) in _PLAIN.items()
        },
        "escaped": [{"text": text, "shown": escape_text(text)} for text in texts],
    }


NAMES: Final = Names(
    consumer=TERMS.consumer,
    dataset=TERMS.dataset,
    fields=(TERMS.fields[0], "用途 / use", *TERMS.fields[1:]),
    texts=(("zh", TEMPLATES.zh), ("en", TEMPLATES.en)),
    retention=TERMS.retention,
)
"""As the chain has them at the grant of the example's authorization."""


def consent_vectors() -> dict[str, Any]:
    """A signed record that says what it authorizes, and changes to it or to the names that are refused."""
    (record,) = (
        example_record
        for example_record in example_records()
        if isinstance(example_record, typed_data.Authorization)
    )
    refused: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("the words say fewer uses", {"max_uses": 1000}, {}),
        ("the words say fewer fields", {"fields": 0b1111}, {}),
        ("other fields", {"fields": 0b1011}, {}),
        ("a field that has no name", {"fields": 0b11101}, {}),
        ("a beginning that is not told", {"not_before": 1_796_054_400}, {}),
        ("another end", {"expires_at": record.expires_at + 1}, {}),
        ("one record only", {"item": named("record root")}, {}),
        ("a word more", {"statement": record.statement + " "}, {}),
        (
            "another case number in English",
            {"statement": record.statement.replace("“2026-118”", "“2026-119”")},
            {},
        ),
        ("the consumer had another name at the grant", {}, {"consumer": "泉城银行 / Other Bank"}),
        ("the purpose says another retention", {}, {"retention": 86_400}),
    )
    return {
        "names": msgspec.to_builtins(NAMES),
        "record": typed_data.record_to_object(record),
        "authorization": to_hex(typed_data.struct_hash(record)),
        "case_number": case_number_in(record.statement, record, NAMES),
        "refused": [
            {"why": why, "record": _changed_members(record, members), "names": names}
            for why, members, names in refused
        ],
    }


def _changed_members(record: typed_data.Authorization, members: dict[str, Any]) -> dict[str, Any]:
    changed = typed_data.record_to_object(msgspec.structs.replace(record, **members))
    before = typed_data.record_to_object(record)
    return {name: value for name, value in changed.items() if value != before[name]}
