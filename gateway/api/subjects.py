"""What a person sees: its authorizations, who used them, a receipt for each use."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request

from gateway.api.consent_receipts import ConsentReceipt, make_receipt
from gateway.api.dependencies import services_of, subjects_of
from gateway.api.presenters import Presenter
from gateway.errors import BodyError, UnknownError
from gateway.store.releases import access_id
from ledger.api.supervision import AuthorizationsAnswer, HistoryAnswer, HistoryEntry
from ledger.hexstr import from_hex
from ledger.index.queries import Selection
from ledger.index.rows import AccessEntry, EventEntry, PartyEntry
from ledger.model import Roles

router = APIRouter(prefix="/v1", tags=["subjects"])

_PAGE: Final = 50
_NOWHERE: Final = 2**62
_MAX_DIGITS: Final = 20

Cursor = Annotated[str | None, Query(max_length=50, pattern=r"^[0-9]+(\.[0-9]+)?$")]


@router.get("/authorizations")
async def get_authorizations(request: Request, cursor: Cursor = None) -> AuthorizationsAnswer:
    """Show a person what it granted, with all of its ids that this signer signs for."""
    services = services_of(request)
    index = await services.fresh_index()
    found = await index.authorizations(
        subjects=await _ids_of(request),
        before=None if cursor is None else int(cursor.partition(".")[0]),
        limit=_PAGE,
    )
    shower = Presenter(index.snapshot)
    signed = await services.authorizations.find([entry.id for _, entry in found])
    shown = [shower.authorization(entry, signed.get(entry.id)) for _, entry in found]
    return AuthorizationsAnswer(
        authorizations=tuple(each for each in shown if each.authorization is not None),
        elsewhere=tuple(each for each in shown if each.authorization is None),
        cursor=str(found[-1][0]) if len(found) == _PAGE else None,
    )


@router.get("/history")
async def get_history(request: Request, cursor: Cursor = None) -> HistoryAnswer:
    """Show a person everything that happened around its ids, the newest first."""
    services = services_of(request)
    index = await services.fresh_index()
    selection = Selection(subjects=await _ids_of(request))
    sequence, key = _read_cursor(cursor)
    accesses = await index.accesses(selection, before=sequence, limit=_PAGE)
    events = await index.events(selection, before=key, limit=_PAGE)
    shower = Presenter(index.snapshot)
    both: list[AccessEntry | EventEntry] = [*accesses, *events]
    both.sort(key=lambda entry: (-entry.place.block_number, -entry.log_index))
    page = both[:_PAGE]
    releases = await services.release_states(accesses)
    entries: list[HistoryEntry] = []
    for one in page:
        if isinstance(one, AccessEntry):
            sequence = one.sequence
            entries.append(shower.access_in_history(one, releases))
        else:
            key = one.key
            entries.append(shower.event_in_history(one))
    more = len(page) == _PAGE
    following = f"{sequence or _NOWHERE}.{key or _NOWHERE}" if more else None
    return HistoryAnswer(entries=tuple(entries), cursor=following)


@router.get("/receipts/{access}")
async def get_receipt(
    access: Annotated[str, Path(pattern="^0x[0-9a-f]{64}$")], request: Request
) -> ConsentReceipt:
    """Give a person the receipt of one use of its data (ISO/IEC TS 27560)."""
    services = services_of(request)
    index = await services.fresh_index()
    subjects = await _ids_of(request)
    entry = await _access(request, subjects, from_hex(access))
    authorization = await index.authorization(entry.basis)
    dataset = index.snapshot.datasets.get(entry.dataset or b"")
    if authorization is None or dataset is None:
        raise UnknownError("receipt: the access does not rest on an authorization")
    shower = Presenter(index.snapshot)
    parties = [
        index.snapshot.parties.get(address)
        or PartyEntry(address, "", Roles(0), False, 0, "", "", b"", frozenset())
        for address in (dataset.provider, entry.consumer)
    ]
    return make_receipt(
        shower.access(entry, await services.release_states([entry])),
        authorization,
        await services.authorizations.get(entry.basis),
        dataset=dataset,
        purpose=index.snapshot.purposes.get(authorization.purpose),
        parties=parties,
    )


async def _ids_of(request: Request) -> tuple[bytes, ...]:
    """Return the ids of whoever sent a request, closed ones too: what was granted can still be revoked."""
    return tuple(subject.id for subject in await subjects_of(request))


async def _access(request: Request, subjects: tuple[bytes, ...], access: bytes) -> AccessEntry:
    """Find an access of these subjects by its id."""
    services = services_of(request)
    found = (await services.journal.find([access])).get(access)
    before = None if found is None else found.recorded.sequence + 1
    selection = Selection(subjects=subjects)
    while True:
        page = await services.index.accesses(selection, before=before, limit=500)
        for entry in page:
            if access_id(entry) == access:
                return entry
        if not page or found is not None:
            raise UnknownError("access of these subjects")
        before = page[-1].sequence


def _read_cursor(cursor: str | None) -> tuple[int | None, int | None]:
    if cursor is None:
        return None, None
    sequence, _, key = cursor.partition(".")
    if not key or max(len(sequence), len(key)) > _MAX_DIGITS:
        raise BodyError("not a cursor of this list")
    return min(int(sequence), _NOWHERE), min(int(key), _NOWHERE)
