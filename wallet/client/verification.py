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

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from ledger.api import AccessResult, Consent, RecordedAccess, Release, SignedLink, Submission
from ledger.chain import contract_reads
from ledger.chain.events import Accessed, Granted, RecordErased
from ledger.chain.events.identifiers import access_id
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import OwnerProof, PublicationEntry
from ledger.encoding import Schema
from ledger.errors import LedgerError
from ledger.model import OUTCOMES, ZERO_WORD, Outcome
from ledger.release_rules import (
    PUBLICATION_LAG,
    Coverage,
    Reason,
    ReleaseRefusedError,
    Times,
    item_covered,
    verify_basis,
    verify_covered,
    verify_fresh,
    verify_link,
    verify_records,
)
from ledger.release_rules import Basis as Terms
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


_EVERY_FIELD: Final = -1
"""Of a basis whose fields are not looked up: the chain compared them."""


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
        await self._records(release, tuple(record.entry for record in records), head, terms)
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
        if event is None or access_id(event) != self._access:
            raise VerificationError(
                Check.ACCESS, "the transaction did not record this request there"
            )
        return event

    # The basis

    async def _terms(self, release: Release) -> Terms:
        terms = self._told_terms()
        if terms is None and self._ledger.own_node:
            terms = await self._terms_on_chain()
        if terms is None:
            self._leave_open(Check.BASIS, f"the basis is known by its id only: {_NO_NODE}")
            return Terms(release.dataset, _EVERY_FIELD)
        with self._making(Check.BASIS):
            return verify_basis(terms, self._request, release.dataset)

    def _told_terms(self) -> Terms | None:
        """Return the terms of the authorization that the consumer has: its hash is the basis."""
        granted = self._basis.authorization
        if granted is None:
            return None
        if struct_hash(granted) != self._request.basis:
            raise VerificationError(Check.BASIS, "the authorization is not the request's basis")
        return Terms(
            granted.dataset, granted.fields, granted.subject, granted.consumer, granted.item
        )

    async def _terms_on_chain(self) -> Terms:
        basis = self._request.basis
        granted = await chain.events(self._ledger, Granted, (basis,))
        if granted:
            terms = granted[0].terms
            return Terms(terms.dataset, terms.fields, terms.subject, terms.consumer, terms.item)
        agreement = await look(contract_reads.agreement_of(self._contracts, basis))
        if agreement.number:
            return Terms(agreement.dataset, _EVERY_FIELD)
        order = await look(contract_reads.order_of(self._contracts, basis))
        return Terms(order.dataset if any(order.dataset) else basis, _EVERY_FIELD)

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
        following = (other for other in published if other.version == event.version + 1)
        superseded_at = next((other.block.timestamp for other in following), None)
        times = Times((event.block.number, event.log_index), superseded_at)
        place = (recorded.block_number, recorded.log_index)
        with self._making(Check.FRESHNESS):
            verify_fresh(event.version, times, place, recorded.timestamp, PUBLICATION_LAG)
        return release.head

    # The records

    async def _records(
        self,
        release: Release,
        entries: tuple[PublicationEntry, ...],
        head: TreeHead,
        terms: Terms,
    ) -> None:
        owner = self._owner(release, entries, terms)
        with self._failing(Check.COMPLETENESS):
            item = item_covered(self._request, terms)
        may_be_none = owner is None and terms.subject is None and item == ALL
        with self._making(Check.RECORDS):
            run = verify_records(entries, release.proof, head, may_be_none=may_be_none)
        with self._failing(Check.COMPLETENESS):
            coverage = verify_covered(entries, run, item, owner)
        if coverage.complete:
            self._checked.append(Check.COMPLETENESS)
        else:
            reason = "a part of the publication" if entries else "no record, and no owner is known"
            self._leave_open(Check.COMPLETENESS, reason)
        if coverage.missing:
            await self._erased(release.dataset, coverage)

    def _owner(
        self, release: Release, entries: tuple[PublicationEntry, ...], terms: Terms
    ) -> bytes | None:
        """Return whose records these must be; None for data that is not one person's."""
        link = self._basis.link
        if link is not None and link.link.dataset == release.dataset:
            return link.link.owner
        owners = {entry.owner for entry in entries}
        of_a_person = terms.subject is not None or isinstance(release.proof, OwnerProof)
        return owners.pop() if of_a_person and len(owners) == 1 else None

    async def _erased(self, dataset: bytes, coverage: Coverage) -> None:
        if not self._ledger.own_node:
            numbers = ", ".join(str(entry.number) for entry in coverage.missing)
            self._leave_open(Check.ERASURE, f"records {numbers} are missing: {_NO_NODE}")
            return
        erased = await chain.events(self._ledger, RecordErased, (dataset,))
        with self._making(Check.ERASURE):
            coverage.verify_erased({event.item for event in erased})

    # The person

    async def _subject(
        self,
        release: Release,
        records: tuple[OpenedRecord, ...],
        terms: Terms,
        recorded: RecordedAccess,
    ) -> None:
        if terms.subject is None:
            return
        signed = self._basis.link
        if signed is None:
            self._leave_open(Check.SUBJECT, "no link was handed over; keyholders checked it")
            return
        link = signed.link
        owners = {record.entry.owner for record in records} or {link.owner}
        if (link.subject, link.dataset) != (terms.subject, release.dataset):
            raise VerificationError(Check.SUBJECT, "the link is for another subject or dataset")
        if owners != {link.owner}:
            raise VerificationError(Check.SUBJECT, "the link is for another owner")
        if not self._ledger.own_node:
            self._leave_open(Check.SUBJECT, f"who the identity authority is {_NO_NODE}")
            return
        bounds = await self._memory.link_bounds(self._ledger, terms.subject, recorded)
        with self._failing(Check.SUBJECT):
            signer = self._memory.signer(self._ledger, signed)
            try:
                verify_link(link, signer, terms, bounds, recorded.timestamp)
            except ReleaseRefusedError as error:
                if error.reason is not Reason.LINK_OVER:
                    raise
                # Keyholders had a newer one; the bank may ask for it.
                self._leave_open(Check.SUBJECT, "the link was over when the access was recorded")
                return
        self._checked.append(Check.SUBJECT)

    @contextmanager
    def _failing(self, check: Check) -> Iterator[None]:
        """Let a broken rule fail a check."""
        try:
            yield
        except LedgerError as error:
            raise VerificationError(check, str(error)) from error

    @contextmanager
    def _making(self, check: Check) -> Iterator[None]:
        """Note a check as made if no rule is broken."""
        with self._failing(check):
            yield
        self._checked.append(check)

    def _leave_open(self, check: Check, reason: str) -> None:
        self._open.append(Open(check, reason))


def _nothing_released(result: AccessResult) -> Exception:
    if result.problem is not None:
        return ProblemError(result.problem)
    return ClientError("neither an access nor a release nor a problem")
