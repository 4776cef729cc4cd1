import os

import msgspec
import pytest

from gateway.errors import UnknownError
from gateway.store.alerts import AlertStore, StoredAlert
from gateway.store.authorizations import AuthorizationStore, StoredAuthorization
from gateway.store.database import Database
from gateway.store.inbox import InboxStore, StoredAsk, UsedHandle
from gateway.store.links import KeptLink, LinkStore
from gateway.store.releases import JournalEntry, Released, ReleaseJournal
from ledger.api import RecordedAccess, SignedLink, Submission
from ledger.chain.contract_calls import Approval
from ledger.links import MAX_LINK_LIFETIME, make_link
from ledger.typed_data import AccessRequest, Authorization, struct_hash
from tests.support.accesses import authorization_of
from tests.support.problems import refused_as

NOW = 1_800_000_000
BANK = b"\x0b" * 20
INSURER = b"\x0c" * 20


def entry(sequence: int, *, released: bool = False, outcome: int = 0) -> JournalEntry:
    request = AccessRequest(
        consumer=BANK,
        basis=os.urandom(32),
        item=bytes(32),
        fields=2**255 + 1,
        nonce=2**200 + sequence,
        deadline=2**40 - 1,
    )
    recorded = RecordedAccess(
        struct_hash(request), sequence, outcome, 7, os.urandom(32), NOW, os.urandom(32), 3
    )
    handed = Released(
        b"\x01" * 32, 4, (1, 2**64 - 1), (b"\x02" * 20, b"\x03" * 20), b"\x01" * 33, NOW
    )
    return JournalEntry(Submission(request, bytes(65)), recorded, handed if released else None)


async def test_journal_gives_back_what_was_written(database: Database) -> None:
    journal = ReleaseJournal(database)
    entries = [entry(1), entry(2, released=True), entry(3, outcome=16)]
    await journal.write(entries)
    ids = [one.recorded.access for one in entries]
    assert await journal.find([*ids, bytes(32)]) == dict(zip(ids, entries, strict=True))
    assert [one async for one in journal.read(2)] == entries[1:]


async def test_journal_keeps_one_entry_an_access_and_never_loses_a_release(
    database: Database,
) -> None:
    journal = ReleaseJournal(database)
    bare = entry(1)
    released = msgspec.structs.replace(bare, released=entry(1, released=True).released)
    for written in (bare, released, bare):
        await journal.write([written, entry(2)])
    assert await journal.find([bare.recorded.access]) == {bare.recorded.access: released}


async def test_journal_is_read_in_pages_in_order(database: Database) -> None:
    journal = ReleaseJournal(database)
    entries = [entry(sequence // 2) for sequence in range(2500)]
    await journal.write(entries)
    read = [one async for one in journal.read(0)]
    assert [one.recorded.sequence for one in read] == [n // 2 for n in range(2500)]
    assert {one.recorded.access for one in read} == {one.recorded.access for one in entries}


async def test_the_newest_link_counts(database: Database) -> None:
    links = LinkStore(database)
    subject, dataset = os.urandom(32), os.urandom(32)
    old, new = (
        KeptLink(
            SignedLink(make_link(subject, dataset, os.urandom(32), at=at, links_from=0), bytes(65)),
            BANK,
        )
        for at in (NOW, NOW + 1)
    )
    await links.put(old, NOW)
    await links.put(new, NOW + 1)
    await links.put(old, NOW + 2)  # whoever relays may still have the older one
    ties = [(subject, dataset), (dataset, subject)]
    assert await links.find(ties) == {(subject, dataset): new}


async def test_links_that_end_come_in_order_and_are_forgotten_once(database: Database) -> None:
    links = LinkStore(database)
    put = [
        KeptLink(
            SignedLink(
                make_link(os.urandom(32), os.urandom(32), os.urandom(32), at=at, links_from=0),
                bytes(65),
            ),
            BANK,
        )
        for at in (NOW, NOW, NOW + 1, NOW + 9)
    ]
    for kept in put:
        await links.put(kept, NOW)
    end = NOW + 9 + MAX_LINK_LIFETIME
    found: list[KeptLink] = []
    after: tuple[int, bytes, bytes] = (-1, b"", b"")
    while page := await links.ending(end, after, 2):
        found += page
        last = page[-1].signed.link
        after = (last.expires_at, last.subject, last.dataset)
    assert {one.signer for one in found} == {BANK}
    assert sorted(one.signed.link.subject for one in found) == sorted(
        one.signed.link.subject for one in put[:3]
    )
    first = put[0].signed.link
    await links.forget(msgspec.structs.replace(first, issued_at=first.issued_at - 1))
    assert await links.find([(first.subject, first.dataset)])
    await links.forget(first)
    assert not await links.find([(first.subject, first.dataset)])


async def test_a_handle_is_for_one_consumer_and_for_a_time(database: Database) -> None:
    inbox = InboxStore(database)
    handle, subject = os.urandom(32), os.urandom(32)
    await inbox.put_handle(handle, subject, NOW + 10)
    assert await inbox.use_handle(handle, BANK, NOW) == UsedHandle(subject, NOW + 10)
    assert (await inbox.use_handle(handle, BANK, NOW + 9)).subject == subject
    with refused_as("handle-used"):
        await inbox.use_handle(handle, INSURER, NOW)
    with pytest.raises(UnknownError):
        await inbox.use_handle(handle, BANK, NOW + 10)
    with pytest.raises(UnknownError):
        await inbox.use_handle(os.urandom(32), BANK, NOW)
    assert await inbox.forget(NOW + 11) == 1


def ask(reference: str = "5TN3K8", *, subject: bytes = b"\x05" * 32) -> StoredAsk:
    return StoredAsk(
        id=os.urandom(16).hex(),
        consumer=BANK,
        reference=reference,
        subject=subject,
        state="pending",
        body=b"{}",
        reason="",
        authorization=None,
        created_at=NOW,
        expires_at=NOW + 100,
    )


async def test_the_same_ask_again_is_the_same_one(database: Database) -> None:
    inbox = InboxStore(database)
    first = await inbox.put(ask())
    assert await inbox.put(ask()) == first
    with refused_as("reference-used"):
        await inbox.put(ask(subject=b"\x06" * 32))
    assert await inbox.get(first.id) == first
    with pytest.raises(UnknownError):
        await inbox.get("none")


async def test_an_ask_waits_until_it_is_answered_or_its_time_is_over(database: Database) -> None:
    inbox = InboxStore(database)
    first, second, third = [await inbox.put(ask(f"R{n}")) for n in range(3)]
    subjects = (first.subject, b"\x09" * 32)
    assert [of_subject.id for of_subject in await inbox.of_subjects(subjects, NOW)] == [
        third.id,
        second.id,
        first.id,
    ]
    await inbox.grant(first.id, b"\x0d" * 32)
    refused = await inbox.refuse(second.id, "no")
    assert (refused.state, refused.reason) == ("refused", "no")
    assert await inbox.refuse(second.id, "still no") == refused
    with refused_as("request-state"):
        await inbox.refuse(first.id, "too late")
    assert [of_subject.id for of_subject in await inbox.of_subjects(subjects, NOW)] == [third.id]
    assert await inbox.of_subjects(subjects, NOW + 100) == ()
    assert (await inbox.get(third.id)).state_at(NOW + 100) == "expired"
    assert (await inbox.get(first.id)).state_at(NOW + 100) == "granted"


async def test_authorizations_keep_the_statement(database: Database) -> None:
    store = AuthorizationStore(database)
    record = Authorization(
        subject=b"\x05" * 32,
        consumer=BANK,
        dataset=os.urandom(32),
        item=bytes(32),
        purpose=os.urandom(32),
        fields=7,
        case_reference=os.urandom(32),
        statement="我同意城市银行查询。 I let City Bank read.",
        not_before=NOW,
        expires_at=NOW + 1,
        max_uses=1,
        min_interval=0,
        nonce=os.urandom(32),
        deadline=NOW,
    )
    stored = StoredAuthorization(
        struct_hash(record), record, Approval(b"\x07" * 20, b"first"), None, NOW
    )
    await store.put(stored)
    other = msgspec.structs.replace(stored, approval=Approval(b"\x07" * 20, b"second"))
    await store.put(other)
    assert await store.get(stored.id) == other
    await store.note_transaction(stored.id, b"\x08" * 32)
    await store.put(stored)  # too late: the one on chain stays
    final = msgspec.structs.replace(other, transaction=b"\x08" * 32)
    assert await store.find([stored.id, bytes(32)]) == {stored.id: final}
    assert await store.get(b"\x09" * 32) is None
    await store.bring(stored.id, record, NOW + 1)  # by a consumer: nothing is lost by it
    assert await store.get(stored.id) == final


async def test_an_authorization_that_a_consumer_brought_may_be_relayed_here_later(
    database: Database,
) -> None:
    store = AuthorizationStore(database)
    record = authorization_of(b"\x05" * 32, bytes(32))
    brought = StoredAuthorization(struct_hash(record), record, None, None, NOW)
    await store.bring(brought.id, record, NOW)
    await store.bring(brought.id, record, NOW + 1)
    assert await store.get(brought.id) == brought
    relayed = msgspec.structs.replace(brought, approval=Approval(b"\x07" * 20, b"signature"))
    await store.put(relayed)
    assert await store.get(brought.id) == relayed


async def test_an_alert_is_raised_once(database: Database) -> None:
    store = AlertStore(database)
    alert = StoredAlert(0, "rate/x/1", "rate", "warning", BANK, None, 1, 9, "fast", NOW)
    first = await store.put(alert)
    assert first is not None
    assert await store.put(alert) is None
    second = await store.put(msgspec.structs.replace(alert, key="rate/x/2", rule="denials"))
    assert second is not None
    assert await store.list(0, 10) == (first, second)
    assert await store.list(first.id, 10) == (second,)
    assert await store.last() == second.id
    assert await store.unenforced(("rate",), NOW) == (), "about no agreement"
    third = await store.put(
        msgspec.structs.replace(alert, key="agreement/rate/x/1", agreement=b"\x07" * 32)
    )
    assert third is not None
    assert await store.unenforced(("rate",), NOW) == (third,)
    await store.note_suspension(third.id, NOW + 5, b"\x08" * 32)
    assert await store.unenforced(("rate",), NOW) == ()
    assert (await store.list(second.id, 1))[0].suspended_until == NOW + 5
