"""Vectors of parties' keys, texts, files and messages open and verify."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pytest
from starlette.requests import Request

from gateway.auth import Authenticator, CallerLimits, Rules
from gateway.errors import UnauthenticatedError
from gateway.store.sessions import LiveSession, NewSession
from ledger.api import Refusal, SealedParts
from ledger.api.access import decode_result, decode_submissions
from ledger.api.identity import PersonKind
from ledger.api.keyholder import decode_answers, decode_tasks
from ledger.chain.deployment import read_deployment
from ledger.crypto.hpke import DecryptionKey, Purpose
from ledger.crypto.released_parts import (
    SignedStatement,
    decode_wrong_parts,
    encode_wrong_parts,
    holder_digest,
    state_parts,
    subkeys_digest,
    verify_statement,
    verify_wrong_parts,
)
from ledger.crypto.secret_sharing import HolderParts, Roster, Seed, Share, unpack
from ledger.crypto.secret_sharing import Release as KeyParts
from ledger.crypto.signatures import address_of, personal_digest, verify_signature
from ledger.encoding import Schema
from ledger.errors import LedgerError
from ledger.hexstr import from_hex, to_hex
from ledger.model import Outcome
from ledger.service.challenges import (
    CHALLENGE_LIFETIME,
    Asker,
    ChallengeProofs,
    ProvenChallenge,
    verify_session_text,
    verify_sign_in,
)
from ledger.service.challenges import ChallengeError as ForeignChallengeError
from ledger.service.rate_limit import RateLimit
from ledger.typed_data import (
    AccessRequest,
    Domain,
    digest,
    domain_separator,
    record_from_object,
    struct_hash,
)
from tests.support.errors import of_kind
from tests.vectors.files import FOLDER, NOW, vectors
from wallet.client.decryption import Faults, open_release
from wallet.client.errors import Check, VerificationError
from wallet.client.party import ChainAccess
from wallet.client.receipts import decode_receipt, encode_receipt, verify_receipt
from wallet.client.transports import Client, Endpoints
from wallet.errors import KeystoreError, KeystoreErrorKind
from wallet.identity.errors import IdentityError
from wallet.identity.keys import OwnerKey
from wallet.identity.possession_proofs import ENROLMENT, RECOVERY, SUBJECTS, Texts
from wallet.identity.sessions import Sessions
from wallet.identity.store import canonical_number
from wallet.keyholder.ceremony import decode_packet, encode_packet, open_packet
from wallet.keyholder.errors import KeyholderError
from wallet.keyholder.seeds import EpochSeeds
from wallet.keystore import Entry, Keystore, Kind
from wallet.passwords import Password
from wallet.provider.quality import QualityReport

PURPOSES: Final = (ENROLMENT, SUBJECTS, RECOVERY)
RULES: Final = Rules(
    chain_id=31337,
    authorities={"gateway.example"},
    scheme="https",
    lifetime=60,
    clock_skew=30,
    session_lifetime=900,
)


# Key files


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    made = Keystore(tmp_path / "keys")
    for entry in vectors("keystore.json")["entries"]:
        put(made, entry["name"], entry["file"])
    return made


def put(keystore: Keystore, name: str, file: Any) -> None:
    path = keystore.directory / f"{name}.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    path.chmod(0o600)


def test_the_key_files_open(keystore: Keystore) -> None:
    found = vectors("keystore.json")
    password = Password(found["password"])
    for one in found["entries"]:
        entry = Entry(one["name"], Kind(one["kind"]), from_hex(one["public"]))
        assert keystore.entry(one["name"]) == entry
        assert to_hex(keystore.load(one["name"], entry.kind, password)) == one["secret"]
        with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.WRONG_PASSWORD)):
            keystore.load(one["name"], entry.kind, Password("another"))


def test_a_key_file_under_another_name_is_refused(keystore: Keystore) -> None:
    found = vectors("keystore.json")
    other = next(one for one in found["entries"] if one["kind"] == "other")
    put(keystore, "renamed", other["file"])
    with pytest.raises(KeystoreError, match="another entry"):
        keystore.load("renamed", Kind.OTHER, Password(found["password"]))


def test_a_key_file_is_written_with_the_members_of_the_vectors(tmp_path: Path) -> None:
    found = vectors("keystore.json")
    keystore = Keystore(tmp_path / "keys", scrypt_n=2**12)
    for one in found["entries"]:
        keystore.store(
            one["name"],
            Kind(one["kind"]),
            from_hex(one["secret"]),
            Password(found["password"]),
            public=from_hex(one["public"]),
        )
        written = json.loads((keystore.directory / f"{one['name']}.json").read_text("utf-8"))
        assert shape(written) == shape(one["file"])
        crypto = json.dumps(written["crypto"], separators=(",", ":")).encode()
        checksum = hashlib.sha256(crypto).hexdigest()
        assert written["quancheng"]["checksum"] == "0x" + checksum


def shape(value: Any) -> Any:
    """The members of a document in their order, and how long its texts are."""
    if isinstance(value, dict):
        return [(name, shape(one)) for name, one in value.items()]
    return len(value) if isinstance(value, str) else value


# People


def test_owners_are_those_of_the_vectors() -> None:
    found = vectors("identity.json")
    key = OwnerKey(from_hex(found["owner_secret"]))
    for one in found["owners"]:
        kind = PersonKind(one["kind"])
        assert canonical_number(kind, one["number"]) == one["number"]
        assert to_hex(key.owner(from_hex(one["dataset"]), kind, one["number"])) == one["owner"]
    assert len({one["owner"] for one in found["owners"]}) == len(found["owners"])


def test_a_signer_proves_itself_with_the_texts_of_the_vectors() -> None:
    found = vectors("identity.json")
    texts = Texts(found["chain_id"], from_hex(found["authority"]), {from_hex(found["verifier"])})
    elsewhere = Texts(found["chain_id"] + 1, from_hex(found["authority"]), ())
    for what, one in zip(PURPOSES, found["possession"], strict=True):
        assert what == (one["purpose"], one["name"])
        text = texts.text(what, one["value"])
        assert text.split("\n") == one["text"]
        assert to_hex(personal_digest(text.encode())) == one["digest"]
        for signer, signature in (("account", "by_account"), ("passkey", "by_passkey")):
            proven = from_hex(found[signer]), from_hex(one[signature])
            assert texts.verify(text, *proven) == proven[0]
            with pytest.raises(IdentityError):
                texts.verify(elsewhere.text(what, one["value"]), *proven)


class Everybody:
    """`Callers` to whom everybody is somebody."""

    async def bucket_of(self, signer: bytes) -> bytes:
        return signer


class Began:
    """A `SessionStore` that remembers which challenges were used."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    async def begin(self, challenge: ProvenChallenge, session: NewSession) -> bool:
        if challenge.nonce in self.used:
            return False
        self.used.add(challenge.nonce)
        return True

    async def find(self, token: str, now: int) -> LiveSession | None:
        return None

    async def forget(self, now: int) -> None:
        pass


def authenticator(now: int = NOW) -> Authenticator:
    found, unused = vectors("identity.json"), cast("Any", None)
    proofs = ChallengeProofs(from_hex(found["challenge_key"]))
    limits = CallerLimits(cast("Any", Everybody()), RateLimit(1, 1), RateLimit(1, 10))
    verifiers = {from_hex(found["verifier"])}
    return Authenticator(
        RULES, unused, cast("Any", Began()), proofs, verifiers, limits, unused, clock=lambda: now
    )


SIGNERS: Final = (("account", "by_account"), ("passkey", "by_passkey"))


@pytest.mark.parametrize("place", range(len(SIGNERS)))
def test_a_gateway_gives_the_challenge_of_the_vectors(place: int) -> None:
    found = vectors("identity.json")
    wanted = found["challenges"][place]["text"]
    asked = Request({"type": "http", "headers": [(b"host", b"gateway.example")]})
    signer = from_hex(found[SIGNERS[place][0]])
    given = authenticator().challenge(signer, asked)
    shown = given.text.split("\n")
    assert nonce_in(shown)[:8] == nonce_in(wanted)[:8]
    assert given.text.replace(nonce_in(shown), nonce_in(wanted)).split("\n") == wanted
    assert given.expires_at == NOW + CHALLENGE_LIFETIME


@pytest.mark.parametrize("place", range(len(SIGNERS)))
async def test_the_signature_of_the_vectors_begins_a_session_once(place: int) -> None:
    found = vectors("identity.json")
    (name, signed), one = SIGNERS[place], found["challenges"][place]
    signer, message = from_hex(found[name]), "\n".join(one["text"])
    assert to_hex(personal_digest(message.encode())) == one["digest"]
    gateway, signature = authenticator(), from_hex(one[signed])
    session = await gateway.begin_session(message, signer, signature)
    assert session.expires_at == NOW + RULES.session_lifetime
    with pytest.raises(UnauthenticatedError, match="used"):
        await gateway.begin_session(message, signer, signature)
    with pytest.raises(UnauthenticatedError, match="over"):
        await authenticator(NOW + CHALLENGE_LIFETIME).begin_session(message, signer, signature)


@pytest.mark.parametrize("kind", ["challenges", "sessions"])
def test_a_service_knows_the_challenges_of_the_vectors_and_no_other_ones(kind: str) -> None:
    found = vectors("identity.json")
    proofs = ChallengeProofs(from_hex(found["challenge_key"]))
    text, signer = "\n".join(found[kind][0]["text"]), from_hex(found["account"])
    nonce = proofs.verify(text, signer, NOW).nonce
    assert nonce in text
    for changed in (
        text.replace(nonce, "f" * 8 + nonce[8:]),  # ends later
        text.replace(nonce, nonce[:-1] + ("0" if nonce[-1] != "0" else "1")),
        text.replace(nonce, nonce.upper()),
        text.replace(".example", ".examp1e"),
        text + "\n",
    ):
        with pytest.raises(ForeignChallengeError):
            proofs.verify(changed, signer, NOW)
    with pytest.raises(ForeignChallengeError):
        proofs.verify(text, from_hex(found["passkey"]), NOW)
    with pytest.raises(ForeignChallengeError):
        ChallengeProofs(bytes(32)).verify(text, signer, NOW)


@pytest.mark.parametrize("place", range(len(SIGNERS)))
def test_an_authority_gives_the_challenge_of_the_vectors(place: int) -> None:
    found = vectors("identity.json")
    (name, signed), one = SIGNERS[place], found["sessions"][place]
    texts = Texts(found["chain_id"], b"", {from_hex(found["verifier"])})
    sessions = Sessions(texts, from_hex(found["authority"]), lambda: NOW)
    given = sessions.challenge(asker("identity", name)).text.split("\n")
    assert given[:5] + given[6:] == one["text"][:5] + one["text"][6:]
    assert given[5].split()[0] == one["text"][5].split()[0] == "nonce"
    text = "\n".join(one["text"])
    signer = from_hex(found[name])
    assert texts.verify(text, signer, from_hex(one[signed])) == signer


def asker(service: str, signer: str = "account") -> Asker:
    found = vectors("identity.json")
    return Asker("https", f"{service}.example", found["chain_id"], from_hex(found[signer]))


def test_a_wallet_signs_the_challenges_of_the_vectors_and_no_other_text() -> None:
    found = vectors("identity.json")
    for (name, _), sign_in, session in zip(
        SIGNERS, found["challenges"], found["sessions"], strict=True
    ):
        verify_sign_in("\n".join(sign_in["text"]), asker("gateway", name), found["now"])
        told = verify_session_text(
            "\n".join(session["text"]), asker("identity", name), found["now"]
        )
        assert to_hex(told) == found["authority"]
    check = {"gateway": verify_sign_in, "identity": verify_session_text}
    for wrong in found["not_to_be_signed"]:
        with pytest.raises(ForeignChallengeError):
            check[wrong["by"]]("\n".join(wrong["text"]), asker(wrong["by"]), found["now"])


def nonce_in(lines: list[str]) -> str:
    return next(line.removeprefix("Nonce: ") for line in lines if line.startswith("Nonce: "))


# The seed ceremony


def roster() -> Roster:
    found = vectors("ceremony.json")
    return Roster(found["epoch"], found["threshold"], tuple(map(from_hex, found["members"])))


def test_the_roster_has_the_digest_of_the_vectors() -> None:
    assert to_hex(roster().digest()) == vectors("ceremony.json")["roster"]


def test_the_seed_packet_opens_for_whom_it_is_meant() -> None:
    found = vectors("ceremony.json")
    one = found["packet"]
    packet = decode_packet(json.dumps(one["file"]).encode())
    assert decode_packet(encode_packet(packet)) == packet
    opening = DecryptionKey(from_hex(one["opening_key"]))
    seed = open_packet(packet, roster(), opening, packet.recipient)
    assert (to_hex(seed.secret), seed.subset) == (one["seed"], tuple(one["file"]["subset"]))
    sealed = opening.open(packet.sealed, Purpose.SEED, from_hex(one["context"]))
    assert to_hex(sealed) == one["plaintext"]
    assert unpack(sealed, Seed) == seed
    sender = address_of(from_hex(found["member_keys"][0]))
    signed = personal_digest(from_hex(one["signed"]))
    verify_signature(signed, packet.signature, sender)
    forged = msgspec.structs.replace(packet, signature=packet.signature[::-1])
    with pytest.raises(KeyholderError):
        open_packet(forged, roster(), opening, packet.recipient)


def test_the_fingerprints_are_those_of_the_vectors() -> None:
    found = vectors("ceremony.json")
    for number in (1, 2, 3):
        mine = [one for one in found["fingerprints"] if number in one["subset"]]
        seeds = [Seed(found["epoch"], tuple(one["subset"]), from_hex(one["seed"])) for one in mine]
        held = EpochSeeds(roster(), number, {}).with_seeds(seeds)
        assert not held.missing
        assert held.fingerprints() == {tuple(one["subset"]): one["fingerprint"] for one in mine}


def test_what_keyholders_sign_of_their_parts_is_that_of_the_vectors() -> None:
    found = vectors("parts-statements.json")
    domain = Domain(found["chain_id"], from_hex(found["access_log"]))
    assert to_hex(domain_separator(domain)) == found["domain_separator"]
    rosters = [roster_of(found)]
    request = record_from_object(AccessRequest, found["request"])
    assert to_hex(digest(request, domain)) == found["digest"]
    for one in found["statements"]:
        records = [
            HolderParts(
                one["number"],
                found["epoch"],
                record["number"],
                from_hex(record["salt"]),
                tuple(record["indices"]),
                tuple(
                    Share(tuple(each["subset"]), from_hex(each["of_each_record"]))
                    for each in one["parts"]
                ),
            )
            for record in reversed(found["records"])
        ]
        statement = state_parts(from_hex(found["digest"]), KeyParts(tuple(records)), rosters)
        (stated,) = statement.epochs
        assert (to_hex(stated.about), to_hex(statement.leaf())) == (one["about"], one["leaf"])
        assert [to_hex(each.hash) for each in stated.hashes] == one["hashes"]
        holder, signed = from_hex(one["holder"]), from_hex(one["signed"])
        verify_statement(SignedStatement(holder, statement, signed), domain)
    for name in ("wrong_parts", "wrong_number"):
        wrong = decode_wrong_parts(from_hex(found[name]))
        assert to_hex(encode_wrong_parts(wrong)) == found[name]
        assert to_hex(wrong.holder) == found["members"][2]
        assert verify_wrong_parts(wrong, rosters, domain) == request
    five = found["four_of_five"]
    verify_wrong_parts(
        decode_wrong_parts(from_hex(five["wrong_parts"])), [roster_of(found | five)], domain
    )
    refusals = [*found["refused"].values(), *five["refused"].values()]
    for refused in refusals:
        with pytest.raises(LedgerError):
            verify_wrong_parts(
                decode_wrong_parts(from_hex(refused)), [*rosters, roster_of(found | five)], domain
            )


def test_what_keyholders_sign_to_show_who_they_are_is_that_of_the_vectors() -> None:
    found = vectors("parts-statements.json")
    domain = Domain(found["chain_id"], from_hex(found["access_log"]))
    member, roster = from_hex(found["members"][0]), from_hex(found["roster"])
    shown = found["shows_who_it_is"]
    nonce, dataset, provider, sealed = (
        from_hex(shown[name]) for name in ("nonce", "dataset", "provider", "sealed")
    )
    verify_signature(holder_digest(nonce, domain), from_hex(shown["holder"]), member)
    digest_ = subkeys_digest(roster, dataset, provider, sealed, domain)
    verify_signature(digest_, from_hex(shown["subkeys"]), member)


def roster_of(found: Any) -> Roster:
    members = tuple(map(from_hex, found["members"]))
    roster = Roster(found["epoch"], found["threshold"], members)
    assert to_hex(roster.digest()) == found["roster"]
    return roster


# The messages of an access


def messages() -> Any:
    return vectors("messages.json")


def as_sent(name: str) -> bytes:
    return json.dumps(messages()[name], ensure_ascii=False).encode()


def test_all_messages_are_about_one_request() -> None:
    submissions = decode_submissions(as_sent("consumer_to_gateway"))
    (submission,) = submissions.submissions
    (task,) = decode_tasks(as_sent("gateway_to_keyholder"))
    result = decode_result(as_sent("gateway_to_consumer"))
    assert submissions.single
    assert task.submission == submission
    assert (result.request, result.digest) == (submission.request, from_hex(messages()["digest"]))
    assert result.recorded is not None
    assert result.recorded.access == struct_hash(submission.request)
    domain = ledger().deployment.domain_of(submission.request)
    assert to_hex(digest(submission.request, domain)) == messages()["digest"]
    verify_signature(
        digest(submission.request, domain), submission.signature, submission.request.consumer
    )


def test_what_a_person_signed_comes_where_it_is_lacking() -> None:
    (bare,) = decode_submissions(as_sent("consumer_to_gateway")).submissions
    (submission,) = decode_submissions(as_sent("consumer_to_gateway_with_consent")).submissions
    (task,) = decode_tasks(as_sent("gateway_to_keyholder"))
    (told,) = decode_tasks(as_sent("gateway_to_keyholder_with_statement"))
    (wanted,) = decode_answers(as_sent("keyholder_to_gateway_wanted"), 1)
    assert isinstance(wanted, Refusal)
    assert (wanted.status, wanted.type) == (409, "urn:quancheng:problem:statement-wanted")
    assert (bare.consent, task.authorization) == (None, None)
    assert submission.consent is not None
    assert submission.consent.link == task.link
    assert told.authorization == submission.consent.authorization
    assert struct_hash(submission.consent.authorization) == submission.request.basis
    assert msgspec.structs.replace(submission, consent=None) == bare
    assert msgspec.structs.replace(told, authorization=None) == task


def test_a_keyholder_answers_with_parts_or_with_a_problem() -> None:
    (answer,) = decode_answers(as_sent("keyholder_to_gateway"), 1)
    result = decode_result(as_sent("gateway_to_consumer"))
    assert result.release is not None
    first = result.release.keys[0]
    assert answer == SealedParts(first.sealed, first.signed)
    (refused,) = decode_answers(as_sent("keyholder_to_gateway_refused"), 1)
    assert isinstance(refused, Refusal)
    assert refused.status == 410


def test_the_consumers_key_opens_what_the_gateway_sent() -> None:
    found = messages()
    result = decode_result(as_sent("gateway_to_consumer"))
    assert result.release is not None
    schema = Schema(result.release.dataset, tuple(found["names"]))
    deployment = ledger().deployment
    rosters, domain = deployment.rosters, deployment.domain_of(AccessRequest)
    assert result.request is not None
    assert result.request.fields == int(found["fields"])
    own = DecryptionKey(from_hex(found["opening_key"]))
    opened = open_release(result.release, schema, result.request, own, rosters, domain)
    assert opened.faults == Faults()
    shown = [{field.name: field.value for field in record.fields} for record in opened.records]
    assert shown == found["opened"]
    other = DecryptionKey.generate()
    with pytest.raises(VerificationError):
        open_release(result.release, schema, result.request, other, rosters, domain)


# What a provider and a consumer keep


def test_the_quality_report_has_the_hash_of_the_vectors() -> None:
    found = vectors("quality-report.json")
    report = msgspec.json.decode(found["report"], type=QualityReport)
    assert report.encode().decode() == found["report"]
    assert to_hex(report.digest()) == found["manifest"]
    assert found["report"].startswith('{"v":1,')
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(found["report"].replace('"v":1', '"v":2'), type=QualityReport)


def ledger() -> ChainAccess:
    return ChainAccess(read_deployment(FOLDER / "deployment.json"), own_node=False)


def test_the_receipt_verifies_offline() -> None:
    text = (FOLDER / "receipt.json").read_bytes()
    receipt = decode_receipt(text)
    assert encode_receipt(receipt) == text
    with Client(Endpoints("http://127.0.0.1:9")) as client:
        found = client.run(verify_receipt(ledger(), receipt))
    assert {Check.REQUEST, Check.BASIS, Check.VALUES, Check.RECORDS, Check.COMPLETENESS} == set(
        found.checked
    )
    assert receipt.recorded.outcome == Outcome.ALLOWED
    assert [record.value("坐落") for record in found.records] == ["历下区泉城路 1 号"] * 2


def test_a_changed_receipt_is_refused_without_a_node() -> None:
    text = (FOLDER / "receipt.json").read_bytes()
    changed = text.replace("无 / none".encode(), "有 / yes".encode(), 1)
    with (
        Client(Endpoints("http://127.0.0.1:9")) as client,
        pytest.raises(VerificationError) as raised,
    ):
        client.run(verify_receipt(ledger(), decode_receipt(changed)))
    assert raised.value.check is Check.VALUES
