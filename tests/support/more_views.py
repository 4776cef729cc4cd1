"""Views that only tests ask."""

import msgspec

from ledger.chain.contract_reads import AgreementState, view
from ledger.chain.events import Contracts
from ledger.chain.rpc import Call


class LastOrders(msgspec.Struct, frozen=True):
    """A dataset's last order that was countersigned, and its last that closes; zeros for none."""

    opening: bytes
    closing: bytes
    unreviewed_closings: int
    """Orders that close and wait for a review, but for those that ended before their start."""


class Rights(msgspec.Struct, frozen=True):
    """What a signer may do for a subject: exclusive ends, zero for not at all."""

    consent_until: int
    stop_until: int


class TermsState(msgspec.Struct, frozen=True):
    """What all authorizations under one agreement and with the same fields share."""

    agreement: int
    """The agreement's number."""
    round: int
    """The agreement's round when they were granted."""
    fields: int


def party_named(contracts: Contracts, name: str) -> Call[bytes]:
    return view(contracts.registry, "Registry", bytes, "latest", "partyNamed", name)


def veto_until(contracts: Contracts, regulator: bytes) -> Call[int]:
    return view(contracts.registry, "Registry", int, "latest", "vetoUntil", regulator)


def is_verifier(contracts: Contracts, verifier: bytes) -> Call[bool]:
    return view(contracts.registry, "Registry", bool, "latest", "isVerifier", verifier)


def last_orders_of(contracts: Contracts, dataset: bytes) -> Call[LastOrders]:
    return view(contracts.catalogue, "Catalogue", LastOrders, "latest", "lastOrdersOf", dataset)


def closed_by_order(contracts: Contracts, dataset: bytes) -> Call[bool]:
    return view(contracts.catalogue, "Catalogue", bool, "latest", "closedByOrder", dataset)


def fields_bound(contracts: Contracts, purpose: bytes, dataset: bytes) -> Call[int]:
    return view(contracts.agreements, "Agreements", int, "latest", "fieldsBound", purpose, dataset)


def agreement_by_number(contracts: Contracts, number: int) -> Call[AgreementState]:
    return view(
        contracts.agreements, "Agreements", AgreementState, "latest", "agreementByNumber", number
    )


def supervisor_of(contracts: Contracts, supervisor: bytes) -> Call[bytes]:
    return view(contracts.agreements, "Agreements", bytes, "latest", "supervisorOf", supervisor)


def rights_of(contracts: Contracts, subject: bytes, signer: bytes) -> Call[Rights]:
    return view(
        contracts.authorizations, "Authorizations", Rights, "latest", "rightsOf", subject, signer
    )


def terms_of(contracts: Contracts, number: int) -> Call[TermsState]:
    return view(contracts.authorizations, "Authorizations", TermsState, "latest", "termsOf", number)


def item_of(contracts: Contracts, authorization: bytes) -> Call[bytes]:
    return view(
        contracts.authorizations, "Authorizations", bytes, "latest", "itemOf", authorization
    )


def is_voided(contracts: Contracts, authorization: bytes, sequence: int) -> Call[bool]:
    return view(
        contracts.authorizations,
        "Authorizations",
        bool,
        "latest",
        "isVoided",
        authorization,
        sequence,
    )


def nonce_used(contracts: Contracts, consumer: bytes, nonce: int) -> Call[bool]:
    return view(contracts.access_log, "AccessLog", bool, "latest", "nonceUsed", consumer, nonce)
