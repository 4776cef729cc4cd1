"""What the events of `Agreements` do to the state. Source: contracts/Agreements.sol."""

from ledger.chain.events import (
    AgreementApproved,
    AgreementSuspended,
    AgreementWithdrawn,
    ApplicationDeclined,
    Applied,
    ConfidentialitySigned,
    Event,
    PurposeFieldsBound,
    PurposeRegistered,
    PurposeRetired,
    SupervisorAppointed,
    SupervisorDismissed,
    SuspensionReviewed,
)
from ledger.chain.events.identifiers import agreement_id
from ledger.hexstr import keccak256
from ledger.model import ZERO_ADDRESS, Agreement, Application, Purpose, Roles, State, has_role
from ledger.policy import OutOfBoundsError, all_fields, is_agreed, require_within_purpose
from ledger.state.errors import ImpossibleEventError, require, require_role

_HASH_OF_NOTHING = keccak256(b"")
_SUSPENSION = 1_800
_LAST_SECOND = 2**40 - 1


def purpose_registered(state: State, event: PurposeRegistered) -> None:
    terms = event.terms
    require(event.purpose not in state.purposes, event, "the purpose exists")
    require(terms.code and terms.texts, event, "no code, or no text")
    require(terms.max_validity and terms.max_uses, event, "bounds of zero")
    state.purposes[event.purpose] = Purpose(
        code=terms.code,
        max_validity=terms.max_validity,
        max_uses=terms.max_uses,
        min_interval=terms.min_interval,
        retention=terms.retention,
        texts=tuple((text.language, text.template) for text in terms.texts),
    )


def purpose_fields_bound(state: State, event: PurposeFieldsBound) -> None:
    purpose = _active_purpose(state, event, event.purpose)
    require(event.dataset not in purpose.fields, event, "the fields were bound before")
    dataset = state.datasets.get(event.dataset)
    if dataset is None or not event.fields or event.fields & ~all_fields(dataset):
        raise ImpossibleEventError(event, "no fields, or outside of the schema")
    purpose.fields[event.dataset] = event.fields


def purpose_retired(state: State, event: PurposeRetired) -> None:
    _active_purpose(state, event, event.purpose).active = False


def applied(state: State, event: Applied) -> None:
    require(event.application not in state.applications, event, "the application exists")
    require_role(state, event, event.consumer, Roles.CONSUMER)
    dataset = state.datasets.get(event.dataset)
    if dataset is None or dataset.withdrawn:
        raise ImpossibleEventError(event, "the dataset is not active")
    try:
        require_within_purpose(state, event.purpose, event.dataset, event.fields)
    except OutOfBoundsError as error:
        raise ImpossibleEventError(event, str(error)) from error
    require(event.justification, event, "no justification")
    state.applications[event.application] = Application(
        event.consumer, dataset, event.purpose, event.fields
    )


def application_declined(state: State, event: ApplicationDeclined) -> None:
    application = _undecided(state, event, event.application)
    require(event.reason, event, "no reason")
    application.decided = True


def agreement_approved(state: State, event: AgreementApproved) -> None:
    application = _undecided(state, event, event.application)
    dataset = application.dataset
    _active_purpose(state, event, application.purpose)
    require(event.fields, event, "no fields")
    require(not event.fields & ~application.fields, event, "fields outside of the application")
    ends = event.block.timestamp < event.expires_at <= _LAST_SECOND
    require(ends, event, "ends before it starts, or too late")
    id_ = agreement_id(application.consumer, dataset.id, application.purpose)
    agreement = state.agreements.get(id_)
    number = len(state.agreements) + 1 if agreement is None else agreement.number
    named = (event.agreement, event.agreement_number)
    require(named == (id_, number), event, f"not agreement {number}")
    round_ = 0 if agreement is None else agreement.round + agreement.withdrawn
    require(event.round == round_, event, f"not round {round_}")
    application.decided = True
    if agreement is None:
        state.agreements[id_] = state.numbered[number] = Agreement(
            id=id_,
            number=number,
            consumer=application.consumer,
            dataset=dataset,
            purpose=application.purpose,
            application=application,
            fields=event.fields,
            expires_at=event.expires_at,
        )
    else:
        # What was granted refers to this object: new terms hold for it too, as on chain.
        agreement.application, agreement.withdrawn, agreement.round = application, False, round_
        agreement.fields, agreement.expires_at = event.fields, event.expires_at


def confidentiality_signed(state: State, event: ConfidentialitySigned) -> None:
    application = state.applications.get(event.application)
    if application is None or application.consumer != event.consumer:
        raise ImpossibleEventError(event, "the application is unknown, or another consumer's")
    require(not application.signed, event, "signed before")
    require(event.text_hash != _HASH_OF_NOTHING, event, "no text")
    application.signed = True


def agreement_withdrawn(state: State, event: AgreementWithdrawn) -> None:
    agreement = state.agreements.get(event.agreement)
    if agreement is None:
        raise ImpossibleEventError(event, "the agreement is unknown")
    require(
        event.by in (agreement.consumer, agreement.dataset.provider), event, "not by its parties"
    )
    require(not agreement.withdrawn, event, "withdrawn before")
    require(event.reason, event, "no reason")
    agreement.withdrawn = True


def supervisor_appointed(state: State, event: SupervisorAppointed) -> None:
    require_role(state, event, event.regulator, Roles.REGULATOR)
    require(event.supervisor != ZERO_ADDRESS, event, "nobody")
    state.supervisors[event.supervisor] = event.regulator


def supervisor_dismissed(state: State, event: SupervisorDismissed) -> None:
    require_role(state, event, event.regulator, Roles.REGULATOR)
    require(event.supervisor in state.supervisors, event, "it is none")
    del state.supervisors[event.supervisor]


def agreement_suspended(state: State, event: AgreementSuspended) -> None:
    regulator, now = state.supervisors.get(event.supervisor, ZERO_ADDRESS), event.block.timestamp
    holds = has_role(state.parties.get(regulator), Roles.REGULATOR)
    require(holds, event, "not by a supervisor of an active regulator")
    agreement = state.agreements.get(event.agreement)
    if agreement is None or not is_agreed(agreement, now):
        raise ImpossibleEventError(event, "the agreement is not active")
    require(not agreement.suspension_unseen, event, "nobody looked at the one before")
    require(event.until == now + _SUSPENSION and event.reason, event, "another end, or no reason")
    agreement.suspended_until, agreement.suspension_unseen = event.until, True


def suspension_reviewed(state: State, event: SuspensionReviewed) -> None:
    require_role(state, event, event.regulator, Roles.REGULATOR)
    agreement = state.agreements.get(event.agreement)
    if agreement is None or not agreement.suspension_unseen:
        raise ImpossibleEventError(event, "there is no suspension to look at")
    require(event.until <= agreement.suspended_until, event, "it would last longer")
    require(event.findings, event, "no findings")
    agreement.suspended_until, agreement.suspension_unseen = event.until, False


def _active_purpose(state: State, event: Event, purpose: bytes) -> Purpose:
    known = state.purposes.get(purpose)
    if known is None or not known.active:
        raise ImpossibleEventError(event, "the purpose is unknown or retired")
    return known


def _undecided(state: State, event: Event, application: bytes) -> Application:
    known = state.applications.get(application)
    if known is None or known.decided:
        raise ImpossibleEventError(event, "the application is unknown, or decided already")
    require_role(state, event, known.dataset.provider, Roles.PROVIDER)
    return known
