"""A keyholder on a real chain: what it releases opens, and everything it released is in its journal."""

import asyncio
import json
import os
import secrets
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from ledger.api import (
    KeyedSubmission,
    Location,
    Refusal,
    ReleaseTask,
    SealedParts,
    SignedLink,
    encode_proof,
)
from ledger.api.keyholder import (
    decode_answers,
    encode_bare_records,
    encode_task,
    encode_tasks,
    with_authorization,
)
from ledger.chain import contract_calls, contract_reads
from ledger.chain.deployment import write_deployment
from ledger.crypto.hpke import DecryptionKey, Purpose, Suite
from ledger.crypto.merkle import MerkleTree
from ledger.crypto.publications import verify_owner
from ledger.crypto.records import EncryptedRecord, encrypt_record, open_fields, verify_opened_fields
from ledger.crypto.secret_sharing import (
    HolderSubkeys,
    Release,
    Sharing,
    combine_parts,
    combine_subkeys,
    unpack,
)
from ledger.encoding import Schema
from ledger.errors import LedgerError
from ledger.hexstr import keccak256, to_hex
from ledger.links import make_link
from ledger.model import Outcome, Roles
from ledger.typed_data import AccessRequest, digest
from scripts.answer_keys import DrawnKeys
from scripts.scenario import FIELDS, Chain, Party, Subject, Terms, make_keyholders
from tests.support.keyholders import Client, ready, register_key, running, settings_for
from tests.support.provider import prove_owner
from wallet.keyholder.journal import NotedEntry, ReleaseEntry, SubkeysEntry, read_journal
from wallet.keyholder.seeds import Holdings

pytestmark = pytest.mark.slow

SHARING = Sharing(2, 3)
OWNERS = sorted(keccak256(b"owner %d" % number) for number in range(5))


@dataclass
class City:
    """A published dataset on a real chain, and three keyholders that serve it."""

    chain: Chain
    holders: list[Holdings]
    clients: list[Client]
    home: Path
    terms: Terms
    schema: Schema
    records: list[EncryptedRecord]
    tree: MerkleTree
    answer_keys: DrawnKeys
    key_of: dict[int, bytes] = field(default_factory=dict)

    def subject(self) -> Subject:
        return self.chain.register_subject()

    def link(self, subject: Subject, owner: bytes) -> SignedLink:
        link = make_link(subject.id, self.terms.dataset, owner, at=self.chain.now(), links_from=0)
        signer = self.chain.parties.identity_authority
        return SignedLink(link, self.chain.sign(link, signer.private_key))

    def granted(self, subject: Subject, *, fields: int = 0b111) -> bytes:
        return self.chain.grant(
            subject, self.chain.authorization(subject, self.terms, fields=fields, max_uses=100)
        )

    def recorded(self, basis: bytes, *, fields: int = 0b101) -> tuple[AccessRequest, Location]:
        nonce, key = self.answer_keys.next()
        self.key_of[nonce] = key
        request = self.chain.request(self.terms.consumer, basis, fields=fields, nonce=nonce)
        (access,) = self.chain.record([request])
        return request, Location(access.block.number, access.transaction, access.log_index)

    def task(
        self, request: AccessRequest, location: Location, link: SignedLink, owner: bytes
    ) -> ReleaseTask:
        signature = self.chain.sign(request, self.terms.consumer.private_key)
        records = tuple(one.excerpt(()) for one in self.records if one.owner == owner)
        entries = [record.entry() for record in self.records]
        return ReleaseTask(
            KeyedSubmission(request, signature, self.key_of[request.nonce]),
            location,
            self.terms.dataset,
            1,
            records,
            prove_owner(self.tree, entries, owner),
            link,
            self.chain.records.get(request.basis),
        )

    def honest(self, owner: bytes = OWNERS[2]) -> ReleaseTask:
        subject = self.subject()
        return self.task(*self.recorded(self.granted(subject)), self.link(subject, owner), owner)


def body_of(tasks: Sequence[ReleaseTask]) -> bytes:
    return encode_tasks(map(text_of, tasks))


def text_of(task: ReleaseTask) -> bytes:
    text = encode_task(
        task.submission,
        task.location,
        dataset=task.dataset,
        publication=task.publication,
        records=encode_bare_records(task.records),
        proof=encode_proof(task.proof),
        link=task.link,
    )
    return text if task.authorization is None else with_authorization(text, task.authorization)


async def ask(client: Client, tasks: Sequence[ReleaseTask]) -> tuple[SealedParts | Refusal, ...]:
    response = await client.http.post("/v1/releases", content=body_of(tasks))
    assert response.status_code == 200, response.text
    return decode_answers(response.content, len(tasks))


async def subkeys_of(
    client: Client, chain: Chain, dataset: bytes, key: DecryptionKey
) -> HolderSubkeys:
    body = json.dumps({"dataset": to_hex(dataset)}).encode()
    response = await client.post_signed("/v1/subkeys", body, chain.parties.provider)
    assert response.status_code == 200, response.text
    sealed = b64decode(response.json()["sealed"])
    return unpack(key.open(sealed, Purpose.SUBKEYS, dataset), HolderSubkeys)


@pytest.fixture
async def city(chain: Chain, tmp_path: Path) -> AsyncIterator[City]:
    provider_key = register_key(chain, chain.parties.provider)
    answer_keys = DrawnKeys(chain.deployment.domain_of(AccessRequest), chain.parties.bank.address)
    terms = chain.personal_terms()
    holders = make_keyholders(3, 2)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(running(chain, holder, tmp_path / f"holder{number}"))
            for number, holder in enumerate(holders, 1)
        ]
        await ready(clients)
        handed = [
            await subkeys_of(client, chain, terms.dataset, provider_key) for client in clients[:2]
        ]
        keys = combine_subkeys(SHARING, handed)
        schema = Schema(terms.dataset, FIELDS)
        records = [
            encrypt_record(
                schema,
                keys,
                owner=owner,
                number=10 * place + number,
                values=[f"{name} of {place}.{number}" for name in FIELDS],
            )
            for place, owner in enumerate(OWNERS)
            for number in range(2)
        ]
        tree = MerkleTree.of(record.entry().leaf() for record in records)
        chain.publish(terms.dataset, tree.head().root, tree.head().size)
        yield City(chain, holders, clients, tmp_path, terms, schema, records, tree, answer_keys)


def open_release(
    city: City, task: ReleaseTask, answers: Sequence[SealedParts | Refusal]
) -> list[list[str]]:
    """What the bank does with the sealed parts of two keyholders."""
    request = task.submission.request
    signed = digest(request, city.chain.deployment.domain_of(request))
    releases = [
        unpack(
            city.answer_keys.opening(request.nonce).open(answer.sealed, Purpose.RELEASE, signed),
            Release,
        )
        for answer in answers
        if isinstance(answer, SealedParts)
    ]
    owner = task.records[0].owner
    proven = verify_owner(task.proof, owner, city.tree.head())  # type: ignore[arg-type]
    values = []
    for place, record in enumerate(one for one in city.records if one.owner == owner):
        keys = combine_parts(SHARING, [release.records[place] for release in releases])
        opened = open_fields(city.schema, record, keys)
        assert verify_opened_fields(city.schema, record, opened) in proven
        values.append([one.value for one in opened])
    return values


async def test_two_of_three_keyholders_open_exactly_the_fields_of_an_access(city: City) -> None:
    task = city.honest()
    answers = [(await ask(client, [task]))[0] for client in city.clients]
    expected = [[f"field {index} of 2.{number}" for index in (0, 2)] for number in range(2)]
    for pair in ((0, 1), (0, 2), (1, 2)):
        assert open_release(city, task, [answers[place] for place in pair]) == expected


async def test_one_keyholder_alone_opens_nothing(city: City) -> None:
    task = city.honest()
    answers = await ask(city.clients[1], [task])
    with pytest.raises(Exception, match="no share of subset"):
        open_release(city, task, answers)


async def test_a_release_is_in_the_journal_before_it_leaves_and_a_repeated_one_is_noted_again(
    city: City,
) -> None:
    task = city.honest()
    await ask(city.clients[0], [task])
    await ask(city.clients[0], [task])

    entries = list(read_journal(city.home / "holder1" / "releases.ndjson"))

    (subkeys,) = (entry for entry in entries if isinstance(entry, SubkeysEntry))
    assert subkeys.dataset == to_hex(city.terms.dataset)
    first, second = (entry for entry in entries if isinstance(entry, ReleaseEntry))
    assert (first.access, first.fields) == (second.access, "5")
    assert first.epochs == (1,)
    assert first.records[0].numbers == (20, 21)
    assert first.consumer == to_hex(city.chain.parties.bank.address)


async def test_accesses_of_a_key_share_a_session_and_each_opens_with_its_own_digest_alone(
    city: City,
) -> None:
    tasks = [city.honest(), city.honest(OWNERS[3])]
    digests = [
        digest(task.submission.request, city.chain.deployment.domain_of(task.submission.request))
        for task in tasks
    ]
    sealed = []
    for task in tasks:  # in two questions
        (answer,) = await ask(city.clients[0], [task])
        assert isinstance(answer, SealedParts)
        sealed.append(answer.sealed)

    head = 6 + int.from_bytes(sealed[0][2:6], "big")
    assert sealed[0][0] == 2
    assert sealed[0][:head] == sealed[1][:head]
    opening = city.answer_keys.opening(tasks[0].submission.request.nonce)
    for message, own, other in zip(sealed, digests, digests[::-1], strict=True):
        with pytest.raises(LedgerError):
            opening.open(message, Purpose.RELEASE, other)
        assert opening.open(message, Purpose.RELEASE, own)


async def test_another_key_has_another_session(city: City) -> None:
    sealed = []
    for _ in range(2):
        (answer,) = await ask(city.clients[0], [city.honest()])
        assert isinstance(answer, SealedParts)
        sealed.append(answer.sealed)
        domain = city.chain.deployment.domain_of(AccessRequest)
        city.answer_keys = DrawnKeys(domain, city.chain.parties.bank.address)
    head = 6 + int.from_bytes(sealed[0][2:6], "big")
    assert sealed[0][:head] != sealed[1][:head]


async def test_a_thief_of_the_signing_key_has_no_recorded_access_released_to_a_key_of_its_own(
    city: City,
) -> None:
    """It re-signs the recorded request, as it can, and registers and names keys of its own, as it can."""
    task, bank = city.honest(), city.chain.parties.bank
    own = register_key(city.chain, bank).encryption_key.to_bytes()
    hybrid = DecryptionKey.generate(Suite.MLKEM768_X25519).encryption_key.to_bytes()
    signature = city.chain.sign(task.submission.request, bank.private_key)
    for client in city.clients:
        for key in (own, hybrid, b"", own[:-1], task.submission.key + b"\x00"):
            submission = KeyedSubmission(task.submission.request, signature, key)
            stolen = msgspec.structs.replace(task, submission=submission)
            (answer,) = await ask(client, [stolen])
            assert isinstance(answer, Refusal)
            assert answer.type == "urn:quancheng:problem:key-mismatch"
        (answer,) = await ask(client, [task])
        assert isinstance(answer, SealedParts)
    for number in (1, 2, 3):
        entries = list(read_journal(city.home / f"holder{number}" / "releases.ndjson"))
        keys = {entry.key for entry in entries if isinstance(entry, ReleaseEntry)}
        assert keys == {to_hex(task.submission.key)}


async def test_nothing_leaves_when_the_journal_cannot_be_written(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = city.honest()
    await ask(city.clients[0], [task])  # the protection is what refuses below

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        response = await city.clients[0].http.post("/v1/releases", content=body_of([task]))
        assert response.status_code == 503
        assert response.json()["type"] == "urn:quancheng:problem:journal-unwritable"
        assert "sealed" not in response.text
        assert (await city.clients[0].http.get("/readyz")).status_code == 503

    answers = await ask(city.clients[0], [task])
    assert isinstance(answers[0], SealedParts)
    entries = list(read_journal(city.home / "holder1" / "releases.ndjson"))
    told = [type(entry) for entry in entries if not isinstance(entry, NotedEntry)]
    assert told == [SubkeysEntry, ReleaseEntry, ReleaseEntry]


async def test_a_batch_is_answered_task_by_task_in_order(city: City) -> None:
    good, bad = city.honest(), city.honest(OWNERS[3])
    lie = msgspec.structs.replace(bad, records=good.records)
    unknown = msgspec.structs.replace(
        good,
        submission=msgspec.structs.replace(
            good.submission, request=msgspec.structs.replace(good.submission.request, nonce=1)
        ),
    )
    answers = await ask(city.clients[0], [good, lie, unknown, bad])
    kinds = [answer.type if isinstance(answer, Refusal) else "sealed" for answer in answers]
    assert kinds == [
        "sealed",
        "urn:quancheng:problem:record-unproven",
        "urn:quancheng:problem:access-differs",
        "sealed",
    ]


async def test_a_denied_access_is_refused_with_its_outcome(city: City) -> None:
    subject = city.subject()
    authorization = city.granted(subject)
    city.chain.send(city.chain.parties.bank, city.chain.revoke_call(subject, authorization))
    request, location = city.recorded(authorization)
    task = city.task(request, location, city.link(subject, OWNERS[2]), OWNERS[2])
    (answer,) = await ask(city.clients[0], [task])
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.detail) == (403, f"decided as {Outcome.REVOKED.title}")


async def test_an_access_that_the_gateway_sees_first_is_waited_for(city: City) -> None:
    # The gateway asks right after its own node shows the block; the keyholder's looks only now and then.
    settings = settings_for(city.chain, city.home / "slow").model_copy(
        update={"poll_interval": 60.0}
    )
    async with running(city.chain, city.holders[0], city.home / "slow", settings) as client:
        await ready([client])
        (answer,) = await ask(client, [city.honest()])
        assert isinstance(answer, SealedParts)


async def test_an_access_in_a_block_that_never_comes_is_not_final(city: City) -> None:
    settings = settings_for(city.chain, city.home / "hasty").model_copy(
        update={"block_timeout": 0.1}
    )
    task = city.honest()
    future = msgspec.structs.replace(task.location, block_number=10**9)
    request = msgspec.structs.replace(task.submission.request, nonce=7)
    signature = city.chain.sign(request, city.terms.consumer.private_key)
    task = msgspec.structs.replace(
        task, submission=KeyedSubmission(request, signature, b""), location=future
    )
    async with running(city.chain, city.holders[0], city.home / "hasty", settings) as client:
        await ready([client])
        (answer,) = await ask(client, [task])
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.type) == (503, "urn:quancheng:problem:access-not-final")


async def test_data_about_nobody_is_released_under_an_agreement(city: City) -> None:
    chain = city.chain
    provider_key = register_key(chain, chain.parties.provider)
    dataset = chain.register_dataset(personal=False)
    agreement = chain.agree(chain.parties.bank, dataset, chain.register_purpose(), fields=1)
    handed = [await subkeys_of(one, chain, dataset, provider_key) for one in city.clients[:2]]
    schema = Schema(dataset, FIELDS)
    keys = combine_subkeys(SHARING, handed)
    records = [
        encrypt_record(schema, keys, owner=bytes(32), number=n, values=[str(n)] * len(FIELDS))
        for n in range(7)
    ]
    tree = MerkleTree.of(record.entry().leaf() for record in records)
    chain.publish(dataset, tree.head().root, tree.head().size)
    request, location = city.recorded(agreement, fields=1)
    signature = chain.sign(request, chain.parties.bank.private_key)
    submission = KeyedSubmission(request, signature, city.key_of[request.nonce])
    bare = tuple(record.excerpt(()) for record in records)
    task = ReleaseTask(submission, location, dataset, 1, bare, tree.prove_range(0, 7), None)
    answers = [(await ask(client, [task]))[0] for client in city.clients[:2]]
    signed = digest(request, chain.deployment.domain_of(request))
    releases = [
        unpack(
            city.answer_keys.opening(request.nonce).open(answer.sealed, Purpose.RELEASE, signed),
            Release,
        )
        for answer in answers
        if isinstance(answer, SealedParts)
    ]
    for place, record in enumerate(records):
        parts = combine_parts(SHARING, [release.records[place] for release in releases])
        assert [one.value for one in open_fields(schema, record, parts)] == [str(place)]


# Subkeys


@pytest.mark.parametrize("party", ["other_provider", "bank", "recorder"])
async def test_subkeys_are_for_the_datasets_provider_alone(city: City, party: str) -> None:
    body = json.dumps({"dataset": to_hex(city.terms.dataset)}).encode()
    other: Party = getattr(city.chain.parties, party)
    response = await city.clients[0].post_signed("/v1/subkeys", body, other)
    assert response.status_code == 403
    assert response.json()["type"] == "urn:quancheng:problem:forbidden"


async def test_subkeys_need_a_signature_that_is_fresh_for_this_service_and_used_once(
    city: City,
) -> None:
    client, provider = city.clients[0], city.chain.parties.provider
    body = json.dumps({"dataset": to_hex(city.terms.dataset)}).encode()
    unsigned = await client.http.post("/v1/subkeys", content=body)
    old = await client.post_signed("/v1/subkeys", body, provider, age=3600)
    elsewhere = await client.post_signed("/v1/subkeys", body, provider, host="other:1")
    assert [one.status_code for one in (unsigned, old, elsewhere)] == [401, 401, 401]
    good = await client.post_signed("/v1/subkeys", body, provider)
    assert good.status_code == 200
    replayed = await client.http.post("/v1/subkeys", content=body, headers=good.request.headers)
    assert replayed.json()["type"] == "urn:quancheng:problem:replayed"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"dataset":"0x12"}', b'{"dataset":1}'])
async def test_a_malformed_question_for_subkeys_is_refused(city: City, body: bytes) -> None:
    response = await city.clients[0].post_signed("/v1/subkeys", body, city.chain.parties.provider)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


async def test_subkeys_of_an_epoch_that_is_not_here_are_refused(city: City) -> None:
    body = json.dumps({"dataset": to_hex(city.terms.dataset), "epoch": 9}).encode()
    response = await city.clients[0].post_signed("/v1/subkeys", body, city.chain.parties.provider)
    assert (response.status_code, response.json()["type"]) == (
        503,
        "urn:quancheng:problem:seeds-missing",
    )


# The surface


async def test_a_keyholder_says_who_it_is(city: City) -> None:
    described = (await city.clients[2].http.get("/v1/holder")).json()
    assert described["address"] == to_hex(city.holders[2].address)
    (epoch,) = described["epochs"]
    assert (epoch["number"], epoch["threshold"], epoch["complete"]) == (3, 2, True)
    assert epoch["members"] == [to_hex(holder.address) for holder in city.holders]


async def test_a_link_that_was_ended_opens_nothing_from_the_next_block_on(city: City) -> None:
    chain, owner = city.chain, OWNERS[2]
    subject = city.subject()
    basis, old = city.granted(subject), city.link(subject, owner)
    honest = city.task(*city.recorded(basis), old, owner)
    assert isinstance((await ask(city.clients[0], [honest]))[0], SealedParts)
    chain.send(chain.parties.identity_authority, contract_calls.end_links(subject.id))
    for client in city.clients:
        (answer,) = await ask(client, [city.task(*city.recorded(basis), old, owner)])
        assert isinstance(answer, Refusal)
        assert answer.type.endswith("link-invalid")
    state = chain.rpc.send(contract_reads.subject_of(chain.deployment.contracts, subject.id))
    new = make_link(
        subject.id, city.terms.dataset, owner, at=chain.now(), links_from=state.links_from
    )
    signed = chain.sign(new, chain.parties.identity_authority.private_key)
    for client in city.clients:
        task = city.task(*city.recorded(basis), SignedLink(new, signed), owner)
        assert isinstance((await ask(client, [task]))[0], SealedParts)


async def test_a_link_of_an_authority_that_admitted_itself_opens_nothing_and_it_is_listed(
    city: City,
) -> None:
    chain = city.chain
    false = Party(f"False authority {secrets.token_hex(4)}", Roles.IDENTITY_AUTHORITY)
    chain.send(
        chain.parties.authority, contract_calls.admit(false.address, false.roles, false.name)
    )
    accomplice, victim = city.subject(), OWNERS[2]
    own = city.link(accomplice, victim).link
    link = SignedLink(own, chain.sign(own, false.private_key))
    task = city.task(*city.recorded(city.granted(accomplice)), link, victim)
    for client in city.clients:
        (answer,) = await ask(client, [task])
        assert isinstance(answer, Refusal)
        assert answer.type.endswith("link-invalid")
        described = (await client.http.get("/v1/holder")).json()
        pinned = to_hex(chain.parties.identity_authority.address)
        assert described["identity_authorities"] == [pinned]
        assert to_hex(false.address) in described["unpinned"]
        assert pinned not in described["unpinned"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b'{"accesses":1}', 422),
        (b'{"accesses":[{}]}', 422),
        (b"\xff", 422),
    ],
)
async def test_a_malformed_question_for_releases_is_refused(
    city: City, body: bytes, status: int
) -> None:
    response = await city.clients[0].http.post("/v1/releases", content=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_body_beyond_the_limit_is_refused(city: City) -> None:
    response = await city.clients[0].http.post("/v1/releases", content=bytes(33 << 20))
    assert response.status_code == 413


async def test_unknown_paths_and_methods_are_problems(city: City) -> None:
    missing = await city.clients[0].http.get("/v1/nothing")
    wrong = await city.clients[0].http.get("/v1/releases")
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert missing.json()["type"] == "urn:quancheng:problem:not-found"


# Another chain


async def test_on_another_chain_nothing_is_released(city: City, tmp_path: Path) -> None:
    settings = settings_for(city.chain, tmp_path / "lost")
    other = msgspec.structs.replace(city.chain.deployment, genesis_hash=bytes(32))
    write_deployment(other, settings.deployment)
    async with running(city.chain, city.holders[0], tmp_path / "lost", settings) as client:
        for _ in range(3):
            response = await client.http.get("/readyz")
            assert response.status_code == 503
            await asyncio.sleep(0.05)
        assert "began with" in response.json()["detail"]
        released = await client.http.post("/v1/releases", content=body_of([city.honest()]))
        assert released.status_code == 503
        assert released.json()["type"] == "urn:quancheng:problem:not-following"
