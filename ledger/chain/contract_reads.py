"""Questions to the contracts' views, encoded and read by the ABI that ships: each function returns the `Call`.

    standing = rpc.send(views.standing_of(contracts, party))

`tag` names the block whose state is asked for. Ids are 32 bytes, addresses 20, times seconds since
1970; sets of fields are bitmaps. contracts/interfaces/*.sol specifies each view.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar, get_type_hints

import msgspec
from eth_abi.exceptions import DecodingError

from ledger.artifacts import ContractName, load_artifact
from ledger.chain import eth_methods
from ledger.chain.contract_calls import encode_call
from ledger.chain.decoders import decode_abi
from ledger.chain.eth_methods import BlockTag
from ledger.chain.events import Contracts
from ledger.chain.rpc import Call
from ledger.model import ZERO_ADDRESS, Change, Class, EventState, Roles

T = TypeVar("T")

_UINT32: Final = 0xFFFFFFFF
_UINT24: Final = 0xFFFFFF


class Standing(msgspec.Struct, frozen=True):
    """What the registry says of a party."""

    roles: Roles
    """None for an address that was never admitted."""
    active: bool
    restricted_until: int
    """Exclusive; zero when never restricted."""
    recorder: bytes
    """The first one that the party named; zeros for none. `may_record` asks for any."""


class Admission(msgspec.Struct, frozen=True):
    """An admission that was announced; all zero for none pending."""

    roles: Roles
    effective_at: int
    """From when it can be activated."""
    name: str


class DatasetState(msgspec.Struct, frozen=True):
    """What the catalogue says of a dataset; all zero for an unknown one."""

    provider: bytes
    active: bool
    shared: bool
    """Active, and neither its own class nor an order in force is `NOT_SHARED`."""
    personal: bool
    field_count: int
    sharing: Class
    open: Class
    grade: int
    publications: int


class Publication(msgspec.Struct, frozen=True):
    """One version of a dataset; all zero for an unknown one."""

    root: bytes
    count: int
    base: int
    published_at: int


class OrderState(msgspec.Struct, frozen=True):
    """What the catalogue says of an emergency order; all zero for an unknown one."""

    dataset: bytes
    purpose: bytes
    fields: int
    sharing: Class
    starts_at: int
    ends_at: int
    countersigned: bool
    """By a regulator; an order that closes needs none."""
    reviewed: bool
    in_force: bool


class PurposeBounds(msgspec.Struct, frozen=True):
    """What no authorization for a purpose exceeds; all zero for an unknown one."""

    active: bool
    max_validity: int
    max_uses: int
    min_interval: int


class Application(msgspec.Struct, frozen=True):
    """A consumer's application; all zero for an unknown one."""

    consumer: bytes
    dataset: bytes
    purpose: bytes
    fields: int
    decided: bool
    signed: bool


class AgreementState(msgspec.Struct, frozen=True):
    """An agreement; all zero for an unknown one."""

    id: bytes
    number: int
    consumer: bytes
    dataset: bytes
    purpose: bytes
    application: bytes
    fields: int
    expires_at: int
    suspended_until: int
    """Exclusive."""
    round: int
    """Number of times that it was approved anew after a withdrawal."""
    suspension_unseen: bool
    """No regulator has looked at the last suspension yet."""
    withdrawn: bool
    active: bool
    """Approved, not withdrawn, expired or suspended, confidentiality agreement signed."""


class SubjectState(msgspec.Struct, frozen=True):
    """A subject; number zero for an unknown one."""

    number: int
    registrar: bytes
    """The identity authority that registered it."""
    links_from: int
    """Links issued up to then count no more; zero for none ended."""
    frozen: bool
    closed: bool
    epoch: int
    """Number of recoveries that took effect."""
    recovery_at: int
    """When the pending recovery may take effect; zero for none."""
    frozen_by: bytes
    """Keccak-256 of the signer who may lift the freeze at once; zeros for nobody."""
    liftable_at: int
    """From when the present signer may lift it."""
    signer: bytes
    pending_signer: bytes


class GrantState(msgspec.Struct, frozen=True):
    """An authorization's slot; subject zero for an unknown one."""

    subject: int
    """The subject's number."""
    terms: int
    """Number of the terms: `terms_of`."""
    not_before: int
    expires_at: int
    uses_left: int
    min_interval: int
    last_use: int
    epoch: int
    revoked: bool
    item_bound: bool
    halted: bool
    """The subject is frozen, closed, under recovery, or did not confirm it since a recovery."""


class LogState(msgspec.Struct, frozen=True):
    """How far the access log has got."""

    sequence: int
    head: bytes


# Any of the four contracts that number their events


def event_state(contract: bytes, tag: BlockTag = "latest") -> Call[EventState]:
    """Ask one of Registry, Catalogue, Agreements, Authorizations for its events' count and hash."""
    return view(contract, "Registry", EventState, tag, "state")


# Registry


def standing_of(contracts: Contracts, party: bytes, tag: BlockTag = "latest") -> Call[Standing]:
    """Ask for a party's roles, whether it is admitted, and its restriction."""
    return view(contracts.registry, "Registry", Standing, tag, "standingOf", party)


def encryption_key_of(contracts: Contracts, party: bytes, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for a party's HPKE public key; empty when it set none."""
    return view(contracts.registry, "Registry", bytes, tag, "encryptionKeyOf", party)


def authority(contracts: Contracts, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for the authority's address."""
    return view(contracts.registry, "Registry", bytes, tag, "authority")


def may_record(
    contracts: Contracts, consumer: bytes, recorder: bytes, tag: BlockTag = "latest"
) -> Call[bool]:
    """Ask whether a consumer named this recorder."""
    return view(contracts.registry, "Registry", bool, tag, "mayRecord", consumer, recorder)


def admission_of(contracts: Contracts, party: bytes, tag: BlockTag = "latest") -> Call[Admission]:
    """Ask for the admission that is announced for a party."""
    return view(contracts.registry, "Registry", Admission, tag, "admissionOf", party)


def change_due_at(
    contracts: Contracts,
    change: Change,
    first: bytes,
    second: bytes = ZERO_ADDRESS,
    tag: BlockTag = "latest",
) -> Call[int]:
    """Ask from when an announced change can be made; zero for none pending."""
    return view(contracts.registry, "Registry", int, tag, "changeDueAt", change, first, second)


def successor_of(
    contracts: Contracts, identity_authority: bytes, tag: BlockTag = "latest"
) -> Call[bytes]:
    """Ask who acts for the subjects of an identity authority beside itself; zeros for nobody."""
    return view(contracts.registry, "Registry", bytes, tag, "successorOf", identity_authority)


def is_trial(contracts: Contracts, tag: BlockTag = "latest") -> Call[bool]:
    """Ask whether the deployment is a trial: its delays may be shorter than three days."""
    return view(contracts.registry, "Registry", bool, tag, "TRIAL")


def admission_delay(contracts: Contracts, tag: BlockTag = "latest") -> Call[int]:
    """Ask for the seconds from an announcement to its taking effect."""
    return view(contracts.registry, "Registry", int, tag, "ADMISSION_DELAY")


# Catalogue


def dataset_of(
    contracts: Contracts, dataset: bytes, tag: BlockTag = "latest"
) -> Call[DatasetState]:
    """Ask for a dataset's state."""
    return view(contracts.catalogue, "Catalogue", DatasetState, tag, "datasetOf", dataset)


def publication_of(
    contracts: Contracts, dataset: bytes, version: int, tag: BlockTag = "latest"
) -> Call[Publication]:
    """Ask for one version of a dataset."""
    return view(
        contracts.catalogue, "Catalogue", Publication, tag, "publicationOf", dataset, version
    )


def order_of(contracts: Contracts, order: bytes, tag: BlockTag = "latest") -> Call[OrderState]:
    """Ask for an emergency order's state."""
    return view(contracts.catalogue, "Catalogue", OrderState, tag, "orderOf", order)


# Agreements


def bounds_of(
    contracts: Contracts, purpose: bytes, tag: BlockTag = "latest"
) -> Call[PurposeBounds]:
    """Ask for a purpose's bounds."""
    return view(contracts.agreements, "Agreements", PurposeBounds, tag, "boundsOf", purpose)


def application_of(
    contracts: Contracts, application: bytes, tag: BlockTag = "latest"
) -> Call[Application]:
    """Ask for an application's state."""
    return view(contracts.agreements, "Agreements", Application, tag, "applicationOf", application)


def agreement_of(
    contracts: Contracts, agreement: bytes, tag: BlockTag = "latest"
) -> Call[AgreementState]:
    """Ask for an agreement's state by its id."""
    return view(contracts.agreements, "Agreements", AgreementState, tag, "agreementOf", agreement)


# Authorizations


def subject_of(
    contracts: Contracts, subject: bytes, tag: BlockTag = "latest"
) -> Call[SubjectState]:
    """Ask for a subject's state."""
    return view(contracts.authorizations, "Authorizations", SubjectState, tag, "subjectOf", subject)


def recovery_delay(contracts: Contracts, tag: BlockTag = "latest") -> Call[int]:
    """Ask for the seconds between the start of a recovery and its taking effect."""
    return view(contracts.authorizations, "Authorizations", int, tag, "RECOVERY_DELAY")


def grant_of(
    contracts: Contracts, authorization: bytes, tag: BlockTag = "latest"
) -> Call[GrantState]:
    """Ask for an authorization's state."""
    return view(contracts.authorizations, "Authorizations", _grant, tag, "grantOf", authorization)


# AccessLog


def log_state(contracts: Contracts, tag: BlockTag = "latest") -> Call[LogState]:
    """Ask for the number of recorded accesses and the running hash."""
    return view(contracts.access_log, "AccessLog", LogState, tag, "state")


# Reading answers


def view(
    address: bytes,
    contract: ContractName,
    build: Callable[..., T],
    tag: BlockTag,
    function: str,
    *arguments: object,
) -> Call[T]:
    """Ask any view of a contract.

    Args:
        address: where the contract is.
        contract: whose ABI it has.
        build: a struct whose members are the view's outputs, or those of its one struct; or what takes them.
        tag: the block.
        function: name of the view.
        arguments: addresses as 20 bytes.
    """
    call = eth_methods.call(address, encode_call(contract, function, *arguments), tag)
    types, reads = _outputs(contract, function, build)

    def read(raw: msgspec.Raw) -> T:
        data = call.read(raw)
        try:
            values: tuple[Any, ...] = decode_abi(types, data)
        except DecodingError as error:
            raise ValueError(str(error) if data else "no contract at this address") from error
        if types[0].startswith("("):
            (values,) = values
        return build(*[convert(value) for convert, value in zip(reads, values, strict=True)])

    return Call(call.method, call.params, read)


@cache
def _outputs(
    contract: ContractName, function: str, build: Callable[..., object]
) -> tuple[tuple[str, ...], tuple[Callable[[Any], Any], ...]]:
    """Return the types of what a view returns, and how each member of it is read."""
    outputs = load_artifact(contract).function(function).outputs
    members = outputs[0].components or outputs
    kinds: tuple[Any, ...] = ()
    if isinstance(build, type) and issubclass(build, msgspec.Struct):
        kinds = tuple(get_type_hints(build).values())
    reads: list[Callable[[Any], Any]] = []
    for place, member in enumerate(members):
        if member.type == "address":
            reads.append(_address)
        else:
            reads.append(kinds[place] if kinds and kinds[place] in (Class, Roles) else _same)
    return tuple(output.canonical for output in outputs), tuple(reads)


def _address(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _same(value: Any) -> Any:
    return value


def _grant(slot: int, halted: bool) -> GrantState:
    """Unpack a slot. Source: contracts/libraries/Grants.sol."""
    return GrantState(
        subject=slot & _UINT32,
        terms=slot >> 32 & _UINT32,
        not_before=slot >> 64 & _UINT32,
        expires_at=slot >> 96 & _UINT32,
        uses_left=slot >> 128 & _UINT32,
        min_interval=slot >> 160 & _UINT32,
        last_use=slot >> 192 & _UINT32,
        epoch=slot >> 224 & _UINT24,
        revoked=bool(slot >> 248 & 1),
        item_bound=bool(slot >> 249 & 1),
        halted=halted,
    )
