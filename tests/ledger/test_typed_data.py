"""The signed records: hashes against eth_account, against the contracts' typehashes, and in JSON."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import typed_data
from ledger.crypto.signatures import verify_signer
from ledger.errors import MalformedError
from ledger.hexstr import HexError, checksum_address, from_hex, keccak256, parse_address, to_hex
from ledger.jsonio import JsonError, check_depth, parse_json
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    Domain,
    Freeze,
    Revocation,
    SignedRecord,
)
from tests.vectors.files import vectors

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "contracts"
VECTORS = vectors("typed-data.json")
SPEC_TYPES = {
    "Authorization": "Authorization(bytes32 subject,address consumer,bytes32 dataset,bytes32 item,"
    "bytes32 purpose,uint256 fields,bytes32 caseReference,string statement,uint64 notBefore,"
    "uint64 expiresAt,uint32 maxUses,uint32 minInterval,bytes32 nonce,uint64 deadline)",
    "Revocation": "Revocation(bytes32 subject,bytes32 authorization,uint64 deadline)",
    "Confirmation": "Confirmation(bytes32 subject,bytes32 authorization,uint64 deadline)",
    "Freeze": "Freeze(bytes32 subject,bool frozen,bytes32 nonce,uint64 deadline)",
    "SignerRotation": "SignerRotation(bytes32 subject,bytes newSigner,bytes32 nonce,"
    "uint64 deadline)",
    "RecoveryVeto": "RecoveryVeto(bytes32 subject,bytes newSigner,bytes32 nonce,uint64 deadline)",
    "GuardianAppointment": "GuardianAppointment(bytes32 subject,bytes guardian,uint64 expiresAt,"
    "bytes32 nonce,uint64 deadline)",
    "SubjectOpening": "SubjectOpening(bytes32 subject,bytes32 nonce,uint64 deadline)",
    "AccessRequest": "AccessRequest(address consumer,bytes32 basis,bytes32 item,uint256 fields,"
    "uint256 nonce,uint64 deadline)",
    "ConfidentialityAgreement": "ConfidentialityAgreement(address consumer,bytes32 application,"
    "string text,bytes32 nonce,uint64 deadline)",
    "SubjectLink": "SubjectLink(bytes32 subject,bytes32 dataset,bytes32 owner,uint64 issuedAt,"
    "uint64 expiresAt)",
}

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bytes32": st.binary(min_size=32, max_size=32),
    "address": st.binary(min_size=20, max_size=20),
    "bytes": st.binary(max_size=100),
    "string": st.text(max_size=100),
    "bool": st.booleans(),
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "uint256": st.integers(0, 2**256 - 1),
}
DOMAINS = st.builds(Domain, st.integers(0, 2**64), VALUES["address"])


RECORDS = tuple(SignedRecord.__subclasses__())


def wallet_request(record: SignedRecord, domain: Domain) -> dict[str, Any]:
    """What `eth_signTypedData_v4` takes to sign a record."""
    schema = typed_data.schema_of(type(record))
    parts = {"name": "string", "version": "string", "chainId": "uint256"}
    parts["verifyingContract"] = "address"
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in parts.items()],
            schema.name: [{"name": field.name, "type": field.kind.name} for field in schema.fields],
        },
        "primaryType": schema.name,
        "domain": {
            "name": "Quancheng",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": to_hex(domain.verifying_contract),
        },
        "message": typed_data.record_to_object(record),
    }


def records() -> st.SearchStrategy[SignedRecord]:
    return st.one_of(
        [
            st.builds(
                record_type,
                **{
                    field.attribute: VALUES[field.kind.name]
                    for field in typed_data.schema_of(record_type).fields
                },
            )
            for record_type in RECORDS
        ]
    )


def access_request(**changes: object) -> AccessRequest:
    request = AccessRequest(
        consumer=b"\x11" * 20,
        basis=b"\x22" * 32,
        item=bytes(32),
        fields=0b101,
        nonce=2**255,
        deadline=1_800_000_000,
    )
    return msgspec.structs.replace(request, **changes)


@pytest.mark.parametrize("record_type", RECORDS, ids=lambda record_type: record_type.__name__)
def test_type_hash_is_that_of_the_specification(record_type: type[SignedRecord]) -> None:
    expected = keccak256(SPEC_TYPES[record_type.__name__].encode())
    assert typed_data.type_hash(record_type) == expected


def test_every_type_of_the_specification_is_there() -> None:
    assert [record_type.__name__ for record_type in RECORDS] == list(SPEC_TYPES)


def test_every_typehash_in_the_contracts_is_one_of_these_types() -> None:
    source = "\n".join(path.read_text() for path in sorted(CONTRACTS.glob("*.sol")))
    literals = re.findall(r'keccak256\(\s*((?:"[^"]*"\s*)+)\)', source)
    strings = {"".join(re.findall(r'"([^"]*)"', literal)) for literal in literals}
    in_contracts = {text for text in strings if text.split("(")[0] in SPEC_TYPES}
    assert in_contracts == set(SPEC_TYPES.values()) - {SPEC_TYPES["SubjectLink"]}


@settings(max_examples=150, deadline=None)
@given(record=records(), domain=DOMAINS)
def test_hashes_are_those_of_eth_account(record: SignedRecord, domain: Domain) -> None:
    message = encode_typed_data(full_message=wallet_request(record, domain))
    assert message.header == typed_data.domain_separator(domain)
    assert message.body == typed_data.struct_hash(record)
    digest = keccak256(b"\x19" + message.version + message.header + message.body)
    assert typed_data.digest(record, domain) == digest
    assert typed_data.digest_of(typed_data.struct_hash(record), domain) == digest


@settings(max_examples=150, deadline=None)
@given(record=records())
def test_json_gives_the_record_back(record: SignedRecord) -> None:
    text = typed_data.encode_record(record)
    assert typed_data.decode_record(type(record), text) == record
    assert typed_data.record_from_object(type(record), json.loads(text)) == record


@settings(max_examples=150, deadline=None)
@given(record=records())
def test_javascript_reads_every_integer_exactly(record: SignedRecord) -> None:
    for value in typed_data.record_to_object(record).values():
        assert not isinstance(value, int) or float(value) == value
        assert not isinstance(value, int) or value < 2**53


def test_two_domains_give_two_digests() -> None:
    request = access_request()
    here = Domain(chain_id=31337, verifying_contract=b"\x01" * 20)
    other_chain = Domain(chain_id=31338, verifying_contract=b"\x01" * 20)
    other_contract = Domain(chain_id=31337, verifying_contract=b"\x02" * 20)
    digests = {typed_data.digest(request, d) for d in (here, other_chain, other_contract)}
    assert len(digests) == 3


def test_revocation_and_confirmation_of_the_same_values_differ() -> None:
    values = {"subject": bytes(32), "authorization": bytes(32), "deadline": 1}
    revocation = Revocation(**values)  # type: ignore[arg-type]
    confirmation = typed_data.Confirmation(**values)  # type: ignore[arg-type]
    assert typed_data.struct_hash(revocation) != typed_data.struct_hash(confirmation)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"consumer": b"\x11" * 32}, "AccessRequest.consumer: needs 20 bytes, has 32"),
        ({"basis": b""}, "AccessRequest.basis: needs 32 bytes, has 0"),
        ({"basis": "0x" + "22" * 32}, "AccessRequest.basis: needs bytes, got str"),
        ({"fields": -1}, "AccessRequest.fields: is outside 0 to 2**256 - 1"),
        ({"nonce": 2**256}, "AccessRequest.nonce: is outside 0 to 2**256 - 1"),
        ({"deadline": 2**64}, "AccessRequest.deadline: is outside 0 to 2**64 - 1"),
        ({"deadline": True}, "AccessRequest.deadline: needs an integer, got bool"),
        ({"deadline": 1.0}, "AccessRequest.deadline: needs an integer, got float"),
    ],
)
def test_value_outside_its_type_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MalformedError) as refusal:
        access_request(**changes)
    assert str(refusal.value) == message


def test_freeze_needs_a_boolean() -> None:
    with pytest.raises(MalformedError, match=r"Freeze\.frozen: needs true or false, got int"):
        Freeze(subject=bytes(32), frozen=1, nonce=bytes(32), deadline=1)  # type: ignore[arg-type]


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(MalformedError, match="text: is not Unicode text"):
        typed_data.ConfidentialityAgreement(
            consumer=bytes(20), application=bytes(32), text="\ud800", nonce=bytes(32), deadline=1
        )


def test_domain_outside_its_types_is_refused() -> None:
    with pytest.raises(MalformedError, match=r"Domain\.chainId: is outside"):
        Domain(chain_id=-1, verifying_contract=bytes(20))
    with pytest.raises(MalformedError, match=r"Domain\.verifyingContract: needs 20 bytes, has 21"):
        Domain(chain_id=1, verifying_contract=bytes(21))


MISTYPED = "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
BAD_OBJECTS: list[tuple[dict[str, object], str]] = [
    ({"nonce": None}, "nonce: needs an integer, got NoneType"),
    ({"nonce": 2**53}, "from 2\\*\\*53 on an integer must be a string"),
    ({"nonce": "0x10"}, "nonce: needs an integer in decimal digits"),
    ({"nonce": "007"}, "nonce: needs an integer in decimal digits"),
    ({"nonce": "-1"}, "nonce: needs an integer in decimal digits"),
    ({"nonce": "٣"}, "nonce: needs an integer in decimal digits"),
    ({"nonce": "9" * 5000}, "nonce: needs an integer in decimal digits"),
    ({"nonce": str(2**256)}, "nonce: is outside 0 to"),
    ({"deadline": 1.5}, "deadline: needs an integer, got float"),
    ({"basis": "22" * 32}, "basis: not a 0x string: 0x is missing"),
    ({"basis": "0x" + "22" * 31}, "basis: needs 32 bytes, has 31"),
    ({"basis": "0x" + "zz" * 32}, "basis: not a 0x string: needs an even number"),
    ({"basis": "0x" + " 2" * 32}, "basis: not a 0x string: needs an even number"),
    ({"basis": 5}, "basis: needs a 0x string, got int"),
    ({"consumer": MISTYPED}, "consumer: the address is mistyp"),
    ({"extra": 1}, "unknown extra"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_OBJECTS)
def test_bad_member_in_json_is_refused(changes: dict[str, object], message: str) -> None:
    value = {**typed_data.record_to_object(access_request()), **changes}
    with pytest.raises(MalformedError, match=message):
        typed_data.record_from_object(AccessRequest, value)


@given(record=records())
def test_the_schema_takes_every_record(record: SignedRecord) -> None:
    schema = typed_data.json_schema(type(record))
    jsonschema_rs.Draft202012Validator(schema).validate(typed_data.record_to_object(record))


@pytest.mark.parametrize("changes", [changes for changes, _ in BAD_OBJECTS])
def test_the_schema_takes_no_record_that_is_refused_for_its_form(
    changes: dict[str, object],
) -> None:
    value = {**typed_data.record_to_object(access_request()), **changes}
    valid = jsonschema_rs.Draft202012Validator(typed_data.json_schema(AccessRequest)).is_valid(
        value
    )
    # What a schema cannot say: how large a number in decimal digits is, and an address's checksum.
    assert valid == (changes in ({"nonce": str(2**256)}, {"consumer": MISTYPED}))


def test_missing_member_and_other_shapes_are_refused() -> None:
    value: dict[str, object] = dict(typed_data.record_to_object(access_request()))
    del value["item"]
    with pytest.raises(MalformedError, match="AccessRequest: missing item"):
        typed_data.record_from_object(AccessRequest, value)
    with pytest.raises(MalformedError, match="needs a JSON object, got list"):
        typed_data.record_from_object(AccessRequest, [])


def test_decimal_string_is_read_for_a_small_integer_too() -> None:
    value = {**typed_data.record_to_object(access_request()), "fields": "5"}
    assert typed_data.record_from_object(AccessRequest, value) == access_request()


# EIP-55's own examples.
ADDRESSES = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("text", ADDRESSES)
def test_address_is_read_with_checksum_or_in_lowercase(text: str) -> None:
    address = parse_address(text)
    assert checksum_address(address) == text
    assert parse_address(text.lower()) == address


@pytest.mark.parametrize(
    "text",
    [
        ADDRESSES[0].upper().replace("0X", "0x"),
        ADDRESSES[0][2:],
        ADDRESSES[0][:-1],
        "0X" + "0" * 40,
    ],
)
def test_mistyped_address_is_refused(text: str) -> None:
    with pytest.raises(HexError):
        parse_address(text)


def test_checksum_is_made_only_of_an_address() -> None:
    with pytest.raises(HexError, match="has 20 bytes, this has 32"):
        checksum_address(bytes(32))


@given(st.binary(max_size=40))
def test_hex_gives_the_bytes_back(data: bytes) -> None:
    assert from_hex(to_hex(data)) == data
    assert from_hex("0x" + data.hex().upper(), len(data)) == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "'a' is given more than once"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
        (b"\xff", "not UTF-8 at byte 0"),
        ("{", "not JSON: .* at character 1"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("[" * 40 + "]" * 40, "nested deeper than 32"),
        ("[" * 200_000, "nested deeper than 32"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested deeper than 32"),
        ("1" * 5000, "a number is too long"),
        (r'["\ud800"]', "half a surrogate pair"),
        ("{} {}", "not JSON: Extra data"),
    ],
)
def test_ambiguous_or_broken_json_is_refused(text: bytes | str, message: str) -> None:
    with pytest.raises(JsonError, match=message):
        parse_json(text)


def test_text_for_another_parser_is_checked_as_bytes_too() -> None:
    check_depth('{"姓名": "[[[["}'.encode() * 99)
    with pytest.raises(JsonError, match="nested deeper"):
        check_depth('{"姓名":'.encode() * 33)


def test_json_may_be_nested_as_deep_as_documented() -> None:
    text = "[" * 30 + '["[[[[", "]", "\\"[{{", {}]' + "]" * 30
    assert parse_json(text) == json.loads(text)
    assert parse_json("[" + "[]," * 1000 + "[]]") == [[]] * 1001


def test_authorization_is_an_immutable_value() -> None:
    authorization = Authorization(
        subject=bytes(32),
        consumer=bytes(20),
        dataset=bytes(32),
        item=bytes(32),
        purpose=bytes(32),
        fields=1,
        case_reference=bytes(32),
        statement="",
        not_before=0,
        expires_at=0,
        max_uses=1,
        min_interval=0,
        nonce=bytes(32),
        deadline=0,
    )
    with pytest.raises(AttributeError):
        authorization.fields = 3  # type: ignore[misc]
    assert authorization == msgspec.structs.replace(authorization)


# The specification's vectors


@pytest.mark.parametrize("vector", VECTORS["records"], ids=lambda vector: vector["type"][:12])
def test_vectors_follow_from_the_message_alone(vector: dict[str, Any]) -> None:
    """By eth_account: our own code is compared with it above."""
    name = vector["type"].split("(")[0]
    domain = VECTORS["domains"][vector["verified_by"]]
    members = re.findall(r"(\w+) (\w+)", vector["type"])
    message = encode_typed_data(
        domain_data={
            "name": "Quancheng",
            "version": "1",
            "chainId": domain["chainId"],
            "verifyingContract": domain["verifyingContract"],
        },
        message_types={name: [{"name": member, "type": kind} for kind, member in members]},
        message_data=vector["message"],
    )
    assert to_hex(keccak256(vector["type"].encode())) == vector["type_hash"]
    assert to_hex(message.header) == domain["separator"]
    assert to_hex(message.body) == vector["struct_hash"]
    digest = keccak256(b"\x19" + message.version + message.header + message.body)
    assert to_hex(digest) == vector["digest"]


def test_vector_signatures_are_of_their_signers() -> None:
    signatures = VECTORS["signatures"]
    digest = from_hex(signatures["digest"])
    verifiers = {from_hex(signatures["passkey"]["verifier"])}
    for kind in ("account", "passkey"):
        signer, signature = (from_hex(signatures[kind][name]) for name in ("signer", "signature"))
        assert verify_signer(signer, digest, signature, verifiers) == signer
