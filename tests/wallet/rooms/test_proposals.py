"""What a person signs is what the person saw, and what a consumer gets is what it asked for."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from ledger.api import SignedLink
from ledger.api.catalogue import PartyShown
from ledger.api.consent import ConsentRequest, new_consent_request
from ledger.api.identity import SubjectAnswer
from ledger.chain.contract_calls import purpose_id
from ledger.chain.events import DatasetTerms, PurposeTerms, Text
from ledger.crypto.keyfile import MIN_SCRYPT_N
from ledger.crypto.statement import Terms, select_templates, verify_statement
from ledger.errors import MalformedError
from ledger.hexstr import keccak256, to_hex
from ledger.links import make_link
from ledger.model import Class
from ledger.typed_data import Authorization, struct_hash
from scripts.scenario import Chain
from wallet.citizen.identities import Identities, Identity, PersonKeys, SignerKind
from wallet.citizen.proposal import (
    Less,
    Proposal,
    Unspeakable,
    compose,
    propose,
    propose_each,
)
from wallet.client.consent_requests import Asked, AskState
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.party import ChainAccess
from wallet.client.signers import AccountSigner, PasskeySigner
from wallet.client.transports import Client, Endpoints
from wallet.consumer.cases import Case, Cases
from wallet.consumer.consent import settle
from wallet.errors import PartyError, ProposalError
from wallet.keystore import Keystore
from wallet.passwords import Password

NOW = 1_800_000_000
DAY = 86_400
BANK = b"\x0b" * 20
SUBJECT = keccak256(b"subject")
BANK_NAME = "泉城银行 / Quancheng Bank"
DATASET = DatasetTerms(
    code="real-estate",
    title="不动产登记 / Real estate",
    fields=("坐落 / Address", "面积 / Area", "用途 / Use"),
    sharing=Class.CONDITIONAL,
    open=Class.NOT_SHARED,
    grade=3,
    personal=True,
    update_cycle=DAY,
)
PURPOSE = PurposeTerms(
    code="loan",
    texts=(
        Text(
            "zh",
            "我同意{consumer}为{case}查询{dataset}中的{fields}，{uses}，至{until}，{retention}。",
        ),
        Text(
            "en",
            "I let {consumer} read {fields} of {dataset} for {case}, {uses}, until {until}, {retention}.",
        ),
    ),
    max_validity=30 * DAY,
    max_uses=5,
    min_interval=0,
    retention=90 * DAY,
)
HASH = purpose_id(PURPOSE)


def ask(**changes: object) -> ConsentRequest:
    made = new_consent_request(
        consumer=BANK,
        dataset=keccak256(b"dataset"),
        purpose=HASH,
        fields=0b101,
        case_number="2026-118",
        expires_at=NOW + 10 * DAY,
        max_uses=3,
        now=NOW,
    )
    return made.model_copy(update=changes)


def asked(**changes: object) -> Asked:
    return Asked("f" * 32, SUBJECT, ask(**changes), NOW)


def proposal(less: Less | None = None) -> Proposal:
    return compose(asked(), BANK_NAME, DATASET, PURPOSE, NOW, less)


def test_the_statement_says_in_both_languages_what_is_signed() -> None:
    made = proposal()
    record = made.authorization
    for word in ("泉城银行", "2026-118", "坐落", "用途", "最多 3 次"):
        assert word in made.statement.zh
    for word in ("Quancheng Bank", "2026-118", "Address", "Use", "up to 3 times", "90 days"):
        assert word in made.statement.en
    assert "Area" not in record.statement
    assert record.statement == made.statement.text
    assert record.statement.endswith(made.asked.ask.reference)
    terms = Terms(
        consumer=BANK_NAME,
        dataset=DATASET.title,
        fields=made.fields,
        item=record.item,
        case_number="2026-118",
        max_uses=3,
        min_interval=0,
        not_before=record.not_before,
        expires_at=record.expires_at,
        retention=PURPOSE.retention,
    )
    templates = select_templates((text.language, text.template) for text in PURPOSE.texts)
    assert verify_statement(record.statement, templates, terms) == made.statement


def test_what_is_signed_is_what_was_asked() -> None:
    made = proposal()
    record, wanted = made.authorization, made.asked.ask
    assert (record.subject, record.consumer, record.dataset) == (SUBJECT, BANK, wanted.dataset)
    assert record.case_reference == wanted.case_reference
    assert (record.fields, record.max_uses, record.expires_at) == (0b101, 3, NOW + 10 * DAY)
    assert record.deadline > NOW


def test_every_signature_has_a_nonce_of_its_own() -> None:
    assert proposal().authorization.nonce != proposal().authorization.nonce


def test_a_person_can_grant_less_and_the_statement_follows() -> None:
    made = proposal(Less(fields=0b100, max_uses=1, expires_at=NOW + DAY))
    assert made.fields == ("用途 / Use",)
    assert "once" in made.statement.en
    assert "Address" not in made.statement.en
    assert made.authorization.expires_at == NOW + DAY


@pytest.mark.parametrize(
    "less", [Less(fields=0b111), Less(max_uses=4), Less(expires_at=NOW + 11 * DAY)]
)
def test_a_person_cannot_grant_more_than_is_asked(less: Less) -> None:
    with pytest.raises(ProposalError, match="less than is asked"):
        proposal(less)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"max_uses": 6}, "6 uses, the purpose allows 5"),
        ({"expires_at": NOW + 31 * DAY}, "the purpose allows 2592000 s"),
        ({"expires_at": NOW}, "over already"),
        ({"expires_at": NOW - 5, "not_before": NOW - 50}, "over already"),
        ({"not_before": NOW + DAY + 1, "expires_at": NOW + 2 * DAY}, "more than a day from now"),
        ({"fields": 0b1000}, "outside the schema"),
        ({"case_number": "pay now, or else"}, "cannot be put into words"),
    ],
)
def test_an_ask_outside_its_bounds_is_not_shown_for_signing(
    changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(ProposalError, match=problem):
        compose(asked(**changes), BANK_NAME, DATASET, PURPOSE, NOW)


def test_an_interval_below_the_purposes_is_refused() -> None:
    strict = msgspec.structs.replace(PURPOSE, min_interval=DAY)
    with pytest.raises(ProposalError, match="the purpose asks for"):
        compose(asked(), BANK_NAME, DATASET, strict, NOW)


@pytest.mark.parametrize("texts", [(), (Text("zh", "{nothing}"), Text("en", "{nothing}"))])
def test_a_purpose_without_usable_text_is_refused(texts: tuple[Text, ...]) -> None:
    broken = msgspec.structs.replace(PURPOSE, texts=texts)
    with pytest.raises(ProposalError, match="no usable text"):
        compose(asked(), BANK_NAME, DATASET, broken, NOW)


@pytest.mark.parametrize("name", ["two\nlines", "right\u202eleft", ""])
def test_a_name_that_would_deceive_is_refused(name: str) -> None:
    with pytest.raises(ProposalError, match="cannot be put into words"):
        compose(asked(), name, DATASET, PURPOSE, NOW)


def test_an_ask_travels_unchanged_and_its_case_is_checked() -> None:
    made = ask()
    assert ConsentRequest.parse(made.encode()) == made
    forged = made.model_copy(update={"case_number": "another"})
    with pytest.raises(MalformedError, match="case_reference"):
        ConsentRequest.parse(forged.encode())


# The gateway's word, and what of it can be checked


class PublicRoutes:
    """A gateway's public routes, honest unless told otherwise."""

    def __init__(self) -> None:
        terms = {"purpose": to_hex(HASH), "active": True, "fields": {}}
        self.purpose = msgspec.to_builtins(PURPOSE) | terms

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/purposes":
            return httpx.Response(200, json={"purposes": [self.purpose]})
        if request.url.path.startswith("/v1/parties/"):
            bank = PartyShown(to_hex(BANK), BANK_NAME, ("Consumer",), True, 0, "", "0x")
            return httpx.Response(200, content=msgspec.json.encode(bank))
        shown = msgspec.to_builtins(DATASET) | {
            "dataset": to_hex(keccak256(b"dataset")),
            "sharing": "Conditional",
            "open": "NotShared",
            "withdrawn": False,
            "provider": to_hex(b"\x01" * 20),
            "provider_name": "",
            "publication": None,
            "served": None,
        }
        return httpx.Response(200, json=shown)


@pytest.fixture
def routes() -> PublicRoutes:
    return PublicRoutes()


@pytest.fixture
def client(routes: PublicRoutes) -> Iterator[Client]:
    transport = httpx.MockTransport(routes.handle)
    with Client(Endpoints("http://gateway"), transport=transport) as client:
        yield client


@pytest.fixture
def ledger(chain: Chain) -> ChainAccess:
    return ChainAccess(chain.deployment, own_node=False)


def test_without_a_node_a_proposal_says_whose_word_the_names_are(
    client: Client, ledger: ChainAccess
) -> None:
    made = client.run(propose(ledger, asked(), NOW))
    assert made.consumer_name == BANK_NAME
    assert not made.on_own_node


def test_an_ask_that_cannot_be_put_into_words_hides_no_other(
    client: Client, ledger: ChainAccess
) -> None:
    waiting = [asked(), asked(case_number="118）以下作废（"), asked(fields=0), asked()]
    found = client.run(propose_each(ledger, waiting, NOW))
    assert [type(one) for one in found] == [Proposal, Unspeakable, Unspeakable, Proposal]
    assert isinstance(found[1], Unspeakable)
    assert "brackets" in found[1].why


def test_a_gateway_cannot_show_another_purpose(
    client: Client, ledger: ChainAccess, routes: PublicRoutes
) -> None:
    routes.purpose["texts"][1]["template"] = PURPOSE.texts[1].template.replace("read", "skip")
    with pytest.raises(ClientError) as raised:
        client.run(propose(ledger, asked(), NOW))
    assert raised.value.kind in (ErrorKind.UNKNOWN_NAME, "Verification")


# What comes back to the consumer


def granted(record: Authorization | None = None) -> AskState:
    made = record or proposal().authorization
    link = SignedLink(
        make_link(made.subject, made.dataset, bytes(32), at=NOW, links_from=0), bytes(65)
    )
    return AskState("f" * 32, "granted", made, link)


def settled(client: Client, ledger: ChainAccess, made: Proposal, state: AskState) -> Case:
    return client.run(settle(ledger, Case("f" * 32, made.asked.ask), state))


def test_what_was_granted_is_kept_with_its_link(client: Client, ledger: ChainAccess) -> None:
    made = proposal()
    case = settled(client, ledger, made, granted(made.authorization))
    assert case.authorization_id == struct_hash(made.authorization)
    assert case.basis.link is not None


def test_less_than_asked_is_fine(client: Client, ledger: ChainAccess) -> None:
    wanted = asked()
    made = compose(wanted, BANK_NAME, DATASET, PURPOSE, NOW, Less(fields=1, max_uses=1))
    assert settled(client, ledger, made, granted(made.authorization)).authorization


@pytest.mark.parametrize(
    "changes",
    [
        {"consumer": b"\x0c" * 20},
        {"dataset": bytes(32)},
        {"item": b"\x01" * 32},
        {"purpose": bytes(32)},
        {"case_reference": bytes(32)},
        {"fields": 0b111},
        {"max_uses": 4},
        {"expires_at": NOW + 11 * DAY},
        {
            "statement": "I let nobody read anything. 授权编号 Reference: 5TN3K8-Z0V7M-00000-00000-00000"
        },
        {"max_uses": 2},
    ],
)
def test_something_else_than_asked_is_refused(
    client: Client, ledger: ChainAccess, changes: dict[str, object]
) -> None:
    made = proposal()
    other = msgspec.structs.replace(made.authorization, **changes)
    with pytest.raises(PartyError):
        settled(client, ledger, made, granted(other))


def test_a_refusal_is_kept_as_one(client: Client, ledger: ChainAccess) -> None:
    case = settled(client, ledger, proposal(), AskState("f" * 32, "refused"))
    assert (case.state, case.authorization_id) == ("refused", None)


def test_cases_are_kept_for_their_user_only(tmp_path: Path) -> None:
    cases = Cases(tmp_path / "cases")
    made = proposal()
    state = granted(made.authorization)
    case = Case("a" * 32, made.asked.ask, "granted", state.authorization, state.link)
    cases.put(case)
    assert cases.get("a" * 32) == case
    assert cases.of_authorization(struct_hash(made.authorization)) == case
    assert cases.of_authorization(bytes(32)) is None
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "cases").iterdir()} == {0}
    for wrong in ("../../etc/passwd", "b" * 32):
        with pytest.raises(PartyError):
            cases.get(wrong)
    (tmp_path / "cases" / f"{'c' * 32}.json").write_text("{}")
    with pytest.raises(PartyError, match="damaged"):
        cases.all()


# A person's keys


@pytest.fixture
def keys(chain: Chain, tmp_path: Path) -> PersonKeys:
    keystore = Keystore(tmp_path / "keystore", scrypt_n=MIN_SCRYPT_N)
    identities = Identities(tmp_path / "wallet.json")
    ledger = ChainAccess(chain.deployment, own_node=False)
    return PersonKeys(keystore, Password("secret"), identities, ledger)


def test_each_id_has_a_key_of_its_own(chain: Chain, keys: PersonKeys, tmp_path: Path) -> None:
    first, second = keys.draw(SignerKind.ACCOUNT), keys.draw(SignerKind.PASSKEY, "one")
    account, passkey = keys.signer(first), keys.signer(second)
    assert isinstance(account, AccountSigner)
    assert isinstance(passkey, PasskeySigner)
    assert passkey.signer[:20] == chain.deployment.webauthn_verifier
    with pytest.raises(PartyError):
        keys.signers()
    subjects = [
        SubjectAnswer(
            to_hex(keccak256(each.entry.encode())),
            to_hex(keys.signer(each).signer),
            "any",
            None,
            "registered",
        )
        for each in (first, second)
    ]
    assert len(keys.note_subjects(subjects)) == 2
    assert keys.note_subjects(subjects) == ()
    assert len(keys.signers()) == 2
    again = Identities(tmp_path / "wallet.json")
    assert [one.keep_for for one in again.active] == ["any", "one"]
    assert (tmp_path / "wallet.json").stat().st_mode & 0o077 == 0


def test_a_replaced_key_counts_no_more(keys: PersonKeys) -> None:
    old = keys.draw(SignerKind.ACCOUNT)
    subject = to_hex(SUBJECT)
    signer = to_hex(keys.signer(old).signer)
    keys.note_subjects([SubjectAnswer(subject, signer, "any", None, "registered")])
    new = keys.draw(SignerKind.PASSKEY)
    keys.replace(keys.identities.of_entry(old.entry), new)
    assert keys.identities.of_subject(SUBJECT).entry == new.entry
    assert len(keys.identities.active) == 1
    assert len(keys.identities.all) == 2


def test_a_damaged_file_of_ids_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    path.write_text(json.dumps({"format": 2, "identities": []}))
    with pytest.raises(PartyError, match="damaged"):
        Identities(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(PartyError):
        Identities(path)
    with pytest.raises(PartyError):
        Identities(tmp_path / "none.json").of_entry("me-1")
    assert Identity("me-1", SignerKind.ACCOUNT).subject == ""
