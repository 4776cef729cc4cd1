"""What the events of `Catalogue` do to the state. Source: contracts/Catalogue.sol."""

from ledger.chain.events import (
    DatasetReclassified,
    DatasetRegistered,
    DatasetWithdrawn,
    Event,
    OrderCountersigned,
    OrderEnded,
    OrderIssued,
    OrderReviewed,
    Published,
    RecordErased,
)
from ledger.model import ZERO_WORD, Class, Dataset, Order, Publication, Roles, State, has_role
from ledger.policy import LATEST_START, all_fields, was_in_force
from ledger.state.errors import ImpossibleEventError, require, require_role

_MAX_FIELDS = 256
_HIGHEST_GRADE = 4
_DAY = 86_400
_LONGEST_OPENING = 30 * _DAY
_LAST_SECOND = 2**40 - 1
_MAX_RECORDS = 2**40
_ESCAPE = "\\"


def dataset_registered(state: State, event: DatasetRegistered) -> None:
    terms = event.terms
    require(event.dataset not in state.datasets, event, "the dataset exists")
    require_role(state, event, event.provider, Roles.PROVIDER)
    require(terms.code, event, "no code")
    require(0 < len(terms.fields) <= _MAX_FIELDS and all(terms.fields), event, "no schema")
    # Names that were escaped when they were read may look like others.
    plain = [name for name in terms.fields if _ESCAPE not in name]
    require(len(set(plain)) == len(plain), event, "two fields of one name")
    _require_classes(event, terms.sharing, terms.grade, personal=terms.personal)
    state.datasets[event.dataset] = Dataset(
        id=event.dataset,
        provider=event.provider,
        code=terms.code,
        title=terms.title,
        fields=terms.fields,
        personal=terms.personal,
        sharing=terms.sharing,
        open=terms.open,
        grade=terms.grade,
        update_cycle=terms.update_cycle,
    )


def dataset_reclassified(state: State, event: DatasetReclassified) -> None:
    dataset = _kept_up(state, event, event.dataset)
    require(event.reason, event, "no reason")
    _require_classes(event, event.sharing, event.grade, personal=dataset.personal)
    dataset.sharing, dataset.open, dataset.grade = event.sharing, event.open, event.grade


def dataset_withdrawn(state: State, event: DatasetWithdrawn) -> None:
    dataset = _kept_up(state, event, event.dataset)
    require(event.reason, event, "no reason")
    dataset.withdrawn = True


def published(state: State, event: Published) -> None:
    dataset = _kept_up(state, event, event.dataset)
    versions = dataset.publications
    require(event.version == len(versions) + 1, event, f"not version {len(versions) + 1}")
    require(event.base <= len(versions), event, "it changes a version that is not there")
    require(event.root != ZERO_WORD, event, "no root")
    require(event.count <= _MAX_RECORDS, event, "too many records")
    versions.append(
        Publication(event.root, event.count, event.base, event.block.timestamp, event.manifest)
    )


def record_erased(state: State, event: RecordErased) -> None:
    dataset = _existing(state, event, event.dataset)
    require_role(state, event, dataset.provider, Roles.PROVIDER)
    known = 0 < event.version <= len(dataset.publications)
    require(known and event.item != ZERO_WORD, event, "no record, or of no known version")
    dataset.erased[event.item] = event.version


def order_issued(state: State, event: OrderIssued) -> None:
    """An order that closes is in force from its start on."""
    terms, now = event.terms, event.block.timestamp
    require(event.dataset == terms.dataset, event, "the dataset is not that of the terms")
    require(event.order not in state.orders, event, "the order exists")
    dataset = _existing(state, event, event.dataset)
    require(not dataset.withdrawn, event, "the dataset is withdrawn")
    require(terms.starts_at <= now + LATEST_START, event, "it starts too late")
    require(terms.ends_at > max(terms.starts_at, now), event, "no period")
    require(terms.reason, event, "no reason")
    require(not terms.fields & ~all_fields(dataset), event, "fields outside of the schema")
    order = Order(
        id=event.order,
        dataset=terms.dataset,
        purpose=terms.purpose,
        sharing=terms.sharing,
        fields=terms.fields,
        starts_at=terms.starts_at,
        ends_at=terms.ends_at,
    )
    if terms.sharing == Class.NOT_SHARED:
        last = dataset.last_closing
        require(last is None or last.ends_at <= now, event, "one that closes is not over")
        require(terms.ends_at <= _LAST_SECOND, event, "it ends too late")
        dataset.last_closing = order
        dataset.unreviewed_closings += 1
    else:
        _require_openable(event, dataset)
    state.orders[event.order] = order


def order_countersigned(state: State, event: OrderCountersigned) -> None:
    require_role(state, event, event.regulator, Roles.REGULATOR)
    order = _order(state, event, event.order, event.dataset)
    require(order.sharing != Class.NOT_SHARED and not order.countersigned, event, "it needs none")
    require(order.ends_at > event.block.timestamp, event, "the order is over")
    dataset = _existing(state, event, event.dataset)
    _require_reviewed(event, dataset)
    order.countersigned, dataset.last_opening = True, order


def order_ended(state: State, event: OrderEnded) -> None:
    order, now = _order(state, event, event.order, event.dataset), event.block.timestamp
    dataset = _existing(state, event, event.dataset)
    above = event.by == state.authority or has_role(state.parties.get(event.by), Roles.REGULATOR)
    own = event.by == dataset.provider and order.sharing != Class.NOT_SHARED
    require(above or own, event, "not by one who may end it")
    require(order.ends_at > now, event, "the order is over")
    require(event.ends_at == now and event.reason, event, "not now, or no reason")
    order.ends_at, order.ended = event.ends_at, True
    if order.sharing == Class.NOT_SHARED and not was_in_force(order):
        dataset.unreviewed_closings -= 1


def order_reviewed(state: State, event: OrderReviewed) -> None:
    require_role(state, event, event.regulator, Roles.REGULATOR)
    order = _order(state, event, event.order, event.dataset)
    require(order.ends_at <= event.block.timestamp, event, "the order is not over")
    require(was_in_force(order), event, "it was never in force")
    require(not order.reviewed, event, "reviewed before")
    require(event.findings, event, "no findings")
    order.reviewed = True
    if order.sharing == Class.NOT_SHARED:
        _existing(state, event, event.dataset).unreviewed_closings -= 1


def _require_openable(event: OrderIssued, dataset: Dataset) -> None:
    terms = event.terms
    since = max(terms.starts_at, event.block.timestamp)
    require(terms.ends_at <= since + _LONGEST_OPENING, event, "it opens for too long")
    require(terms.purpose != ZERO_WORD, event, "no purpose")
    wide = dataset.personal and terms.sharing == Class.UNCONDITIONAL
    require(not wide, event, "personal data are never opened to everybody")
    _require_reviewed(event, dataset)


def _require_reviewed(event: Event, dataset: Dataset) -> None:
    last = dataset.last_opening
    reviewed = last is None or last.reviewed or not was_in_force(last)
    require(reviewed, event, "the order before was not reviewed")
    require(not dataset.unreviewed_closings, event, "one that closed was not reviewed")


def _existing(state: State, event: Event, dataset: bytes) -> Dataset:
    known = state.datasets.get(dataset)
    if known is None:
        raise ImpossibleEventError(event, "the dataset is unknown")
    return known


def _kept_up(state: State, event: Event, dataset: bytes) -> Dataset:
    """Return a dataset that its provider may still change."""
    known = _existing(state, event, dataset)
    require_role(state, event, known.provider, Roles.PROVIDER)
    require(not known.withdrawn, event, "the dataset is withdrawn")
    return known


def _order(state: State, event: Event, order: bytes, dataset: bytes) -> Order:
    known = state.orders.get(order)
    if known is None or known.dataset != dataset:
        raise ImpossibleEventError(event, "the order is unknown, or another dataset's")
    return known


def _require_classes(event: Event, sharing: Class, grade: int, *, personal: bool) -> None:
    require(0 < grade <= _HIGHEST_GRADE, event, f"no grade {grade}")
    unconditional = personal and sharing == Class.UNCONDITIONAL
    require(not unconditional, event, "personal data cannot be unconditional")
