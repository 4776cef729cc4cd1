"""What a keyholder knows of the chain: a fold over the events of final blocks.

Only what the rules ask for is kept: who may do what, which datasets and publications there are, what
each basis opens, and the latest accesses. Uses, frequencies and freezes are not: the chain decided.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from ledger.encoding import Schema
from ledger.enumerations import Outcome, Roles
from ledger.errors import MalformedError
from ledger.events.abi import Event
from ledger.events.access_log import Accessed
from ledger.events.agreements import AgreementApproved, Applied
from ledger.events.authorizations import Granted
from ledger.events.catalogue import DatasetRegistered, OrderIssued, Published, RecordErased
from ledger.events.registry import EncryptionKeySet, PartyAdmitted, PartyWithdrawn
from ledger.merkle import TreeHead
from ledger.sealing import EncryptionKey
from wallet.keyholder.rules import AuthorizationBasis, Basis, DatasetBasis, Publication

USUAL_WINDOW: Final = 50_000
"""Accesses kept in memory, about 35 MB; older ones are asked from the node when a task names them."""


class Register:
    """The state after all events that were applied; implements `rules.ChainView`.

    Args:
        window: Accesses kept at most, the latest ones.
    """

    def __init__(self, window: int = USUAL_WINDOW) -> None:
        self.height = -1
        self._window = window
        # A plain dict is searched for its first entry through all that were deleted before.
        self._accesses: OrderedDict[tuple[bytes, int], Accessed] = OrderedDict()
        self._roles: dict[bytes, int] = {}
        self._keys: dict[bytes, EncryptionKey | None] = {}
        self._providers: dict[bytes, bytes] = {}
        self._schemas: dict[bytes, Schema] = {}
        self._publications: dict[bytes, list[Publication]] = {}
        self._erased: set[tuple[bytes, bytes]] = set()
        self._datasets_applied_for: dict[bytes, bytes] = {}
        self._bases: dict[bytes, Basis] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            Accessed: self._accessed,
            PartyAdmitted: self._party_admitted,
            PartyWithdrawn: self._party_withdrawn,
            EncryptionKeySet: self._encryption_key_set,
            DatasetRegistered: self._dataset_registered,
            Published: self._published,
            RecordErased: self._record_erased,
            OrderIssued: self._order_issued,
            Applied: self._applied,
            AgreementApproved: self._agreement_approved,
            Granted: self._granted,
        }

    # What the rules ask

    def access(self, consumer: bytes, nonce: int) -> Accessed | None:
        """Return the access that used a consumer's nonce, if it is among the latest."""
        return self._accesses.get((consumer, nonce))

    def basis(self, basis: bytes) -> Basis | None:
        """Return what an id stands for."""
        return self._bases.get(basis)

    def schema(self, dataset: bytes) -> Schema:
        """Return the fields of a registered dataset."""
        return self._schemas[dataset]

    def publication(self, dataset: bytes, version: int) -> Publication | None:
        """Return one version of a dataset."""
        versions = self._publications.get(dataset, [])
        return versions[version - 1] if 1 <= version <= len(versions) else None

    def is_erased(self, dataset: bytes, item: bytes) -> bool:
        """Tell whether a record's tombstone is on chain."""
        return (dataset, item) in self._erased

    def encryption_key(self, party: bytes) -> EncryptionKey | None:
        """Return the key to which a party wants messages sealed."""
        return self._keys.get(party)

    def is_identity_authority(self, address: bytes) -> bool:
        """Tell whether an address is an active identity authority."""
        return self.has_role(address, Roles.IDENTITY_AUTHORITY)

    def has_role(self, address: bytes, role: Roles) -> bool:
        """Tell whether an address is an active party with this role."""
        return bool(self._roles.get(address, 0) & role)

    def provider(self, dataset: bytes) -> bytes | None:
        """Return who registered a dataset."""
        return self._providers.get(dataset)

    # What happened

    def apply(self, event: Event) -> None:
        """Take one event; events come in the chain's order, each once.

        Raises:
            MalformedError: It cannot have come from these contracts, which check what they emit.
        """
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def reach(self, height: int) -> None:
        """Note that all events up to this block were applied."""
        self.height = height

    def _accessed(self, event: Accessed) -> None:
        # A duplicate says only that the nonce was used before: the first one is the access.
        if event.outcome is Outcome.DUPLICATE_REQUEST:
            return
        accesses = self._accesses
        accesses[event.consumer, event.nonce] = event
        if len(accesses) > self._window:
            accesses.popitem(last=False)

    def _party_admitted(self, event: PartyAdmitted) -> None:
        self._roles[event.party] = event.roles

    def _party_withdrawn(self, event: PartyWithdrawn) -> None:
        self._roles.pop(event.party, None)

    def _encryption_key_set(self, event: EncryptionKeySet) -> None:
        try:
            self._keys[event.party] = EncryptionKey(event.key)
        except MalformedError:
            self._keys[event.party] = None  # the contract takes any bytes

    def _dataset_registered(self, event: DatasetRegistered) -> None:
        dataset, names = event.dataset, event.terms.fields
        try:
            self._schemas[dataset] = Schema(dataset, names)
        except MalformedError:
            return  # equal names, which the contract allows: nothing can be encrypted under them
        self._providers[dataset] = event.provider
        self._bases[dataset] = DatasetBasis(dataset, (1 << len(names)) - 1)

    def _published(self, event: Published) -> None:
        versions = self._publications.setdefault(event.dataset, [])
        if event.version != len(versions) + 1:
            raise MalformedError(f"version {event.version} follows {len(versions)}")
        if versions:
            versions[-1] = replace(versions[-1], superseded_at=event.block.timestamp)
        place = (event.block.number, event.log_index)
        head = TreeHead(event.count, event.root)
        versions.append(Publication(event.version, head, place, None))

    def _record_erased(self, event: RecordErased) -> None:
        self._erased.add((event.dataset, event.item))

    def _order_issued(self, event: OrderIssued) -> None:
        self._open(event.order, event.dataset, event.terms.fields)

    def _applied(self, event: Applied) -> None:
        self._datasets_applied_for[event.application] = event.dataset

    def _agreement_approved(self, event: AgreementApproved) -> None:
        dataset = self._datasets_applied_for.get(event.application)
        if dataset is None:
            raise MalformedError("an agreement was approved for which nobody applied")
        self._open(event.agreement, dataset, event.fields)

    def _granted(self, event: Granted) -> None:
        terms = event.terms
        if terms.dataset in self._schemas:
            self._bases[event.authorization] = AuthorizationBasis(
                terms.dataset, terms.fields, terms.subject, terms.consumer, terms.item
            )

    def _open(self, basis: bytes, dataset: bytes, fields: int) -> None:
        # An agreement that is approved again has other fields from then on. What was recorded under
        # the old ones was within them; the union keeps it answerable, and the chain checked it.
        if dataset in self._schemas:
            known = self._bases.get(basis)
            before = known.fields if isinstance(known, DatasetBasis) else 0
            self._bases[basis] = DatasetBasis(dataset, fields | before)
