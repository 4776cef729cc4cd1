"""Checking an answer: from the signed request to opened values, against the party's own node.

    REQUEST       the answer is to this request
    ACCESS        own node: the event is where it is said to be, says the same, and is final
    BASIS         the release is from the basis's dataset
    PUBLICATION   own node: root and count of this version
    FRESHNESS     own node: the version was the newest, or had just been replaced
    KEYS, VALUES  the parts open just the fields asked for, and the values are those committed to
    RECORDS       each record is in the publication
    COMPLETENESS  none of the owner's is missing; ERASURE: or it was erased on chain
    SUBJECT       the identity authority says that the owner is the authorizing person

Without a node, and without what ties owner and person, less can be checked: what remains open is
listed in the result with the reason, and never passed over in silence.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from ledger.api import AccessResult, Consent, RecordedAccess, Release, SignedLink, Submission
from ledger.chain import contract_reads
from ledger.chain.events import Accessed, Granted, RecordErased
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import PublicationEntry, VerifiedRun, verify_proof
from ledger.encoding import Schema
from ledger.errors import LedgerError
from ledger.hexstr import ZERO_WORD, to_hex
from ledger.links import find_link_fault
from ledger.model import OUTCOMES, LinkFault, Outcome
from ledger.release_rules import PUBLICATION_LAG, expected_records, item_asked, seconds_superseded
from ledger.typed_data import AccessRequest, Authorization, digest_of, struct_hash
from wallet.client import chain
from wallet.client.calls import look
from wallet.client.chain_cache import ChainCache
from wallet.client.decryption import Faults, OpenedRecord, Unlocked, open_release, verify_values
from wallet.client.errors import Check, ClientError, DeniedError, ProblemError, VerificationError
from wallet.client.party import ChainAccess

ALL: Final = ZERO_WORD
"""Instead of an item: everything that the basis covers."""

_NO_NODE: Final = "needs a node of one's own"


class Open(msgspec.Struct, frozen=True):
    """A check that could not be made."""

    check: Check
    reason: str


class Opened(msgspec.Struct, frozen=True):
    """What an access opened, and what is known of it for certain.

    Attributes:
        access: id of the access.
        recorded: where it is on chain.
        dataset: of the records.
        publication: version that they are from.
        head: root and count of that version.
        records: in order of owner and number; of a person all there are, possibly none.
        checked: what was checked, here and now.
        unchecked: what was not, and why.
        faults: of keyholders; the parts of the others opened it.
    """

    access: bytes
    recorded: RecordedAccess
    dataset: bytes
    publication: int
    head: TreeHead
    records: tuple[OpenedRecord, ...]
    checked: tuple[Check, ...]
    unchecked: tuple[Open, ...]
    faults: Faults = Faults()


class Basis(msgspec.Struct, frozen=True):
    """What the consumer knows of the basis of its access, beside its id.

    Attributes:
        authorization: as the person granted it; its hash is the basis.
        link: what ties its subject to an owner in the dataset.
    """

    authorization: Authorization | None = None
    link: SignedLink | None = None

    @property
    def consent(self) -> Consent | None:
        """What a gateway is shown that lacks it."""
        return None if self.authorization is None else Consent(self.authorization, self.link)


class _Terms(msgspec.Struct, frozen=True):
    """What a basis is about, as far as it could be found out for certain."""

    dataset: bytes
    item: bytes
    subject: bytes | None


async def learn_subjects(
    ledger: ChainAccess, memory: ChainCache, answers: Iterable[tuple[AccessResult, Basis]]
) -> None:
    """Ask the own node at once for what opening many answers asks it of each person.

    Args:
        ledger: the contracts.
        memory: to be handed to `open_result`.
        answers: with what is known of their bases.
    """
    if not ledger.own_node:
        return
    subjects, block = set(), 0
    for result, basis in answers:
        if result.release is not None and result.recorded is not None and basis.link is not None:
            subjects.add(basis.link.link.subject)
            block = max(block, result.recorded.block_number)
    await memory.learn_subjects(ledger, subjects, block)


async def open_result(
    ledger: ChainAccess,
    opening: DecryptionKey,
    submission: Submission,
    result: AccessResult,
    basis: Basis | None = None,
    memory: ChainCache | None = None,
) -> Opened:
    """Open an answer after checking it.

    Args:
        ledger: the contracts; with a node of the party's own, everything is checked.
        opening: the consumer's key.
        submission: the request as it was signed.
        result: from the gateway.
        basis: what is known of the basis.
        memory: of what the node said, for opening many.

    Raises:
        DeniedError: the access was denied, on chain.
        ProblemError: nothing was released; the problem says why.
        VerificationError: something is not what it is said to be; `check` says what.
    """
    rosters, domain = ledger.deployment.rosters, ledger.deployment.domain_of(AccessRequest)

    def reveal(release: Release, schema: Schema) -> Unlocked:
        return open_release(release, schema, submission.request, opening, rosters, domain)

    verifier = _Verifier(ledger, submission, basis or Basis(), memory=memory)
    return await verifier.run(result, reveal)


async def verify_opened(
    ledger: ChainAccess,
    submission: Submission,
    result: AccessResult,
    basis: Basis,
    names: tuple[str, ...],
    records: tuple[OpenedRecord, ...],
) -> Opened:
    """Check again what was opened before; without a node this needs nobody.

    Args:
        ledger: the contracts; with a node of the party's own, the chain is asked too.
        submission: the request as it was signed.
        result: as it was answered; ciphertexts and sealed parts are not needed.
        basis: what is known of the basis.
        names: of the dataset's fields.
        records: as they were opened.

    Raises:
        VerificationError: something is not what it is said to be; `check` says what.
    """

    def reveal(release: Release, schema: Schema) -> Unlocked:
        return verify_values(release, schema, submission.request.fields, records)

    return await _Verifier(ledger, submission, basis, names).run(result, reveal)


async def verify_denial(
    ledger: ChainAccess, submission: Submission, result: AccessResult
) -> DeniedError:
    """Return a denial after checking that it is on chain (with a node of the party's own).

    Raises:
        VerificationError: it is not.
        ClientError: the access was not denied.
    """
    verifier = _Verifier(ledger, submission, Basis())
    recorded = await verifier.check_access(result)
    if recorded.outcome == Outcome.ALLOWED:
        raise ClientError("the access was allowed")
    return DeniedError(recorded, OUTCOMES[recorded.outcome].title)


_Reveal = Callable[[Release, Schema], Unlocked]


class _Verifier:
    def __init__(
        self,
        ledger: ChainAccess,
        submission: Submission,
        basis: Basis,
        names: tuple[str, ...] | None = None,
        memory: ChainCache | None = None,
    ) -> None:
        self._ledger = ledger
        self._contracts = ledger.deployment.contracts
        self._names = names
        self._memory = memory or ChainCache()
        self._request = submission.request
        self._access = struct_hash(self._request)
        self._digest = digest_of(self._access, ledger.deployment.domain_of(AccessRequest))
        self._basis = basis
        self._checked: list[Check] = []
        self._open: list[Open] = []

    async def run(self, result: AccessResult, reveal: _Reveal) -> Opened:
        recorded = await self.check_access(result)
        if recorded.outcome != Outcome.ALLOWED:
            raise DeniedError(recorded, OUTCOMES[recorded.outcome].title)
        release = result.release
        if release is None:
            raise _nothing_released(result)
        terms = await self._terms(release)
        head = await self._head(release, recorded)
        if self._names is None:
            schema = await self._memory.schema(self._ledger, release.dataset)
            self._checked.append(Check.KEYS)
        else:
            schema = Schema(release.dataset, self._names)
        unlocked = reveal(release, schema)
        records = unlocked.records
        self._checked.append(Check.VALUES)
        item = item_asked(self._request.item, terms.item)
        await self._records(release, records, head, item)
        await self._subject(release, records, terms, recorded)
        return Opened(
            access=recorded.access,
            recorded=recorded,
            dataset=release.dataset,
            publication=release.publication,
            head=head,
            records=records,
            checked=tuple(self._checked),
            unchecked=tuple(self._open),
            faults=unlocked.faults,
        )

    # The access

    async def check_access(self, result: AccessResult) -> RecordedAccess:
        recorded = result.recorded
        if recorded is None:
            raise _nothing_released(result)
        told = (result.request, result.digest, recorded.access)
        if told != (self._request, self._digest, self._access):
            raise VerificationError(Check.REQUEST, "request, digest or id differ")
        if recorded.outcome >= len(OUTCOMES):
            raise ClientError(f"there is no outcome {recorded.outcome}")
        self._checked.append(Check.REQUEST)
        if not self._ledger.own_node:
            self._leave_open(Check.ACCESS, _NO_NODE)
            return recorded
        event = await self._event(recorded)
        found = (event.outcome, event.sequence, event.block.hash, event.block.timestamp)
        said = (recorded.outcome, recorded.sequence, recorded.block_hash, recorded.timestamp)
        if found != said:
            raise VerificationError(
                Check.ACCESS, f"its outcome is {event.outcome.title}, its sequence {event.sequence}"
            )
        self._checked.append(Check.ACCESS)
        return recorded

    async def _event(self, recorded: RecordedAccess) -> Accessed:
        """Return the event at the place where the access is said to be."""
        found = await self._memory.accesses(self._ledger, recorded.transaction)
        if found is None:
            raise VerificationError(Check.ACCESS, "there is no such transaction in a final block")
        if found.block_number != recorded.block_number:
            raise VerificationError(Check.ACCESS, "the transaction is in another block")
        event = found.events.get(recorded.log_index)
        if event is None or not _is_of(event, self._request):
            raise VerificationError(
                Check.ACCESS, "the transaction did not record this request there"
            )
        return event

    # The basis

    async def _terms(self, release: Release) -> _Terms:
        terms = self._told_terms()
        if terms is None and self._ledger.own_node:
            terms = await self._terms_on_chain()
        if terms is None:
            self._leave_open(Check.BASIS, f"the basis is known by its id only: {_NO_NODE}")
            return _Terms(release.dataset, ALL, None)
        if terms.dataset != release.dataset:
            raise VerificationError(Check.BASIS, to_hex(release.dataset))
        self._checked.append(Check.BASIS)
        return terms

    def _told_terms(self) -> _Terms | None:
        """Return the terms of the authorization that the consumer has: its hash is the basis."""
        granted = self._basis.authorization
        if granted is None:
            return None
        if struct_hash(granted) != self._request.basis:
            raise VerificationError(Check.BASIS, "the authorization is not the request's basis")
        return _Terms(granted.dataset, granted.item, granted.subject)

    async def _terms_on_chain(self) -> _Terms:
        basis = self._request.basis
        granted = await chain.events(self._ledger, Granted, (basis,))
        if granted:
            terms = granted[0].terms
            return _Terms(terms.dataset, terms.item, terms.subject)
        agreement = await look(contract_reads.agreement_of(self._contracts, basis))
        if agreement.number:
            return _Terms(agreement.dataset, ALL, None)
        order = await look(contract_reads.order_of(self._contracts, basis))
        return _Terms(order.dataset if any(order.dataset) else basis, ALL, None)

    # The publication

    async def _head(self, release: Release, recorded: RecordedAccess) -> TreeHead:
        if not self._ledger.own_node:
            self._leave_open(Check.PUBLICATION, _NO_NODE)
            self._leave_open(Check.FRESHNESS, _NO_NODE)
            return release.head
        block = recorded.block_number
        published = await self._memory.publications(self._ledger, release.dataset, block)
        event = next((one for one in published if one.version == release.publication), None)
        if event is None or TreeHead(event.count, event.root) != release.head:
            raise VerificationError(Check.PUBLICATION, f"version {release.publication}")
        self._checked.append(Check.PUBLICATION)
        access = (recorded.block_number, recorded.log_index)
        if (event.block.number, event.log_index) > access:
            raise VerificationError(Check.FRESHNESS, "it was published after the access")
        following = (other for other in published if other.version == event.version + 1)
        superseded_at = next((other.block.timestamp for other in following), None)
        age = seconds_superseded(recorded.timestamp, superseded_at)
        if age > PUBLICATION_LAG:
            raise VerificationError(Check.FRESHNESS, f"it was replaced {age} s before")
        self._checked.append(Check.FRESHNESS)
        return release.head

    # The records

    async def _records(
        self,
        release: Release,
        records: tuple[OpenedRecord, ...],
        head: TreeHead,
        item: bytes,
    ) -> None:
        entries = tuple(record.entry for record in records)
        try:
            run = _run_of(release, entries, head)
        except LedgerError as error:
            raise VerificationError(Check.RECORDS, str(error)) from error
        self._checked.append(Check.RECORDS)
        if item != ALL:
            if [entry.root for entry in entries] != [item]:
                raise VerificationError(Check.COMPLETENESS, "it is not just the record asked for")
            self._checked.append(Check.COMPLETENESS)
            return
        expected = self._expected(release, entries, run)
        if not set(entries) <= set(expected):
            raise VerificationError(Check.COMPLETENESS, "a record of somebody else")
        missing = [entry for entry in expected if entry not in entries]
        if missing:
            await self._erased(release.dataset, missing)

    def _expected(
        self,
        release: Release,
        entries: tuple[PublicationEntry, ...],
        run: VerifiedRun,
    ) -> tuple[PublicationEntry, ...]:
        """Return the records that must be there, and note whether that is certain."""
        owner = self._owner(release, entries)
        try:
            expected, is_certain = expected_records(release.proof, run, owner)
        except LedgerError as error:
            raise VerificationError(Check.COMPLETENESS, str(error)) from error
        if is_certain:
            self._checked.append(Check.COMPLETENESS)
        else:
            reason = "a part of the publication" if entries else "no record, and no owner is known"
            self._leave_open(Check.COMPLETENESS, reason)
        return expected

    def _owner(self, release: Release, entries: tuple[PublicationEntry, ...]) -> bytes | None:
        """Return whose records these must be; None for data that is not one person's."""
        link = self._basis.link
        if link is not None and link.link.dataset == release.dataset:
            return link.link.owner
        owners = {entry.owner for entry in entries}
        return owners.pop() if len(owners) == 1 else None

    async def _erased(self, dataset: bytes, missing: list[PublicationEntry]) -> None:
        if not self._ledger.own_node:
            numbers = ", ".join(str(entry.number) for entry in missing)
            self._leave_open(Check.ERASURE, f"records {numbers} are missing: {_NO_NODE}")
            return
        erased = await chain.events(self._ledger, RecordErased, (dataset,))
        items = {event.item for event in erased}
        for entry in missing:
            if entry.root not in items:
                raise VerificationError(Check.ERASURE, f"record {entry.number}")
        self._checked.append(Check.ERASURE)

    # The person

    async def _subject(
        self,
        release: Release,
        records: tuple[OpenedRecord, ...],
        terms: _Terms,
        recorded: RecordedAccess,
    ) -> None:
        if terms.subject is None:
            return
        signed = self._basis.link
        if signed is None:
            self._leave_open(Check.SUBJECT, "no link was handed over; keyholders checked it")
            return
        owners = {record.entry.owner for record in records} or {signed.link.owner}
        if (signed.link.subject, signed.link.dataset) != (terms.subject, release.dataset):
            raise VerificationError(Check.SUBJECT, "the link is for another subject or dataset")
        if owners != {signed.link.owner}:
            raise VerificationError(Check.SUBJECT, "the link is for another owner")
        if not self._ledger.own_node:
            self._leave_open(Check.SUBJECT, f"who the identity authority is {_NO_NODE}")
            return
        try:
            signer = self._memory.signer(self._ledger, signed)
        except LedgerError as error:
            raise VerificationError(Check.SUBJECT, str(error)) from error
        bounds = await self._memory.link_bounds(self._ledger, terms.subject, recorded)
        fault = find_link_fault(signed.link, signer, bounds, recorded.timestamp)
        if fault is LinkFault.OVER:  # keyholders had a newer one; the bank may ask for it
            self._leave_open(Check.SUBJECT, "the link was over when the access was recorded")
            return
        if fault is not None:
            raise VerificationError(Check.SUBJECT, fault.value)
        self._checked.append(Check.SUBJECT)

    def _leave_open(self, check: Check, reason: str) -> None:
        self._open.append(Open(check, reason))


def _run_of(release: Release, entries: tuple[PublicationEntry, ...], head: TreeHead) -> VerifiedRun:
    """Return the run of the publication that the proof is about, once it is proved.

    Raises:
        LedgerError: the run, or one of the records, is not in the publication.
    """
    run = verify_proof(release.proof, entries, head)
    missing = [entry for entry in entries if entry not in run.entries]
    if missing:
        raise VerificationError(Check.RECORDS, f"record {missing[0].number} is not in the proof")
    return run


def _is_of(event: Accessed, request: AccessRequest) -> bool:
    found = (event.consumer, event.basis, event.item, event.fields, event.nonce, event.deadline)
    asked = (
        *(request.consumer, request.basis, request.item),
        *(request.fields, request.nonce, request.deadline),
    )
    return found == asked


def _nothing_released(result: AccessResult) -> Exception:
    if result.problem is not None:
        return ProblemError(result.problem)
    return ClientError("neither an access nor a release nor a problem")
