"""The resolver: a consumer that knows a customer by name and number is led to the person's inbox."""

from collections.abc import Callable

from wallet.identity.chain import ChainDesk
from wallet.identity.errors import (
    GatewayUnavailableError,
    NoMatchError,
    NotEnrolledError,
    RecoveryPendingError,
)
from wallet.identity.handles import Gateway, Handle
from wallet.identity.lookups import LookupLog, LookupOutcome
from wallet.identity.people import Identity
from wallet.identity.selection import KeepFor, SubjectRow, choose
from wallet.identity.store import Person, Store


class Resolver:
    """Looks people up for consumers. Every look-up is on disk before it is answered.

    Args:
        store: People and subject ids.
        log: Where look-ups are noted.
        chain: Says who is a consumer, and whether a subject is under recovery.
        gateway: Gives the handles.
        clock: The present, seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        log: LookupLog,
        chain: ChainDesk,
        gateway: Gateway,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._log = log
        self._chain = chain
        self._gateway = gateway
        self._clock = clock

    async def resolve(
        self, consumer: bytes, wanted: Identity, purpose: bytes, case_number: str
    ) -> Handle:
        """Return a handle to the inbox of the subject id that the person keeps for the consumer.

        Args:
            consumer: Who asks, authenticated.
            wanted: Whom.
            purpose: Id of the purpose, 32 bytes.
            case_number: The consumer's own, shown to the person.

        Raises:
            NotAdmittedError: It is no active consumer.
            UnknownOnChainError: There is no such purpose.
            NoMatchError: Nobody has this number and this name.
            NotEnrolledError: The person has no subject id for this consumer.
            RecoveryPendingError: The person's key is being replaced.
            ChainUnavailableError, GatewayUnavailableError, DatabaseError: Not now.
        """
        await self._chain.verify_consumer(consumer)
        await self._chain.verify_purpose(purpose)
        person = await self._store.person(wanted.kind, wanted.number)
        noted = None if person is None else person.id
        now = int(self._clock())
        lookup = await self._log.note(noted, consumer, purpose, case_number, now)
        try:
            handle = await self._answer(consumer, wanted, person)
        except NoMatchError:
            await self._log.settle(lookup, LookupOutcome.NO_MATCH)
            raise
        except NotEnrolledError:
            await self._log.settle(lookup, LookupOutcome.NOT_ENROLLED)
            raise
        except RecoveryPendingError:
            await self._log.settle(lookup, LookupOutcome.RECOVERY_PENDING)
            raise
        except GatewayUnavailableError:
            await self._log.settle(lookup, LookupOutcome.UNAVAILABLE)
            raise
        await self._log.settle(lookup, LookupOutcome.HANDLE)
        return handle

    async def _answer(self, consumer: bytes, wanted: Identity, person: Person | None) -> Handle:
        # One answer for a wrong name and for an unknown number: numbers cannot be tried out.
        if person is None or not person.identity.has_name(wanted.name):
            raise NoMatchError("nobody has this number and this name")
        chosen = await self._choose(person, consumer)
        if (await self._chain.subject(chosen.subject)).recovery_at:
            raise RecoveryPendingError("the person's key is being replaced")
        return await self._gateway.handle_for(chosen.subject)

    async def _choose(self, person: Person, consumer: bytes) -> SubjectRow:
        while True:
            chosen = choose(await self._store.subjects_of(person.id), consumer)
            if chosen is None:
                raise NotEnrolledError("the person has no subject id that this consumer could ask")
            if chosen.keep_for is not KeepFor.ONE or chosen.consumer == consumer:
                return chosen
            if await self._store.keep_for(chosen.subject, consumer):
                return chosen
            # Another consumer was faster: choose again.
