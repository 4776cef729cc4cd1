"""Releases: check, note, seal; in batches, with a sealing session for each answer key."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from ledger.api import Refusal, ReleaseTask, SealedParts
from ledger.crypto.hpke import EncryptionKey, Purpose, Session
from ledger.crypto.released_parts import PartsStatement, sign_statements, state_parts
from ledger.crypto.secret_sharing import (
    HolderSubkeys,
    Release,
    Roster,
    derive_parts,
    derive_subkeys,
    pack,
)
from ledger.errors import MalformedError
from ledger.hexstr import to_hex
from ledger.model import Roles
from ledger.release_rules import Reason, ReleaseRefusedError
from ledger.service.app import FORBIDDEN, PREFIX, ProblemError
from wallet.keyholder.chain_state import ChainState
from wallet.keyholder.errors import SeedsMissingError
from wallet.keyholder.follower import Follower
from wallet.keyholder.journal import FileJournal, SubkeysEntry, entry_of
from wallet.keyholder.rules import Rules, VerifiedRelease, verify_task
from wallet.keyholder.seeds import EpochSeeds, Holdings
from wallet.links import RememberedLinks

LIFETIME: Final = 60.0
"""Seconds for which a session is used: what one key that became known would open."""

_MOST: Final = 1_000


class Sessions:
    """The session with each answer key, a new one every minute. For one event loop.

    Args:
        clock: Steady seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Session]] = OrderedDict()

    def to(self, recipient: EncryptionKey) -> Session:
        """Return a session with a recipient that may seal at least one message.

        Raises:
            MalformedError: Nothing can be sealed to the recipient's key.
        """
        name, now = recipient.to_bytes(), self._clock()
        until, session = self._known.get(name, (now, None))
        if session is None or until <= now or not session.left:
            session = Session(recipient)
            self._known[name] = (now + LIFETIME, session)
            self._known.move_to_end(name)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return session


_TURN: Final = 8
"""Tasks after which others may run: a batch of a thousand takes a few tenths of a second."""

Answer = SealedParts | Refusal


@dataclass(frozen=True, slots=True)
class SealedSubkeys:
    """A dataset's subkeys of one holder and epoch, sealed to the dataset's provider."""

    seeds: EpochSeeds
    sealed: bytes


class Vault:
    """Derives from the seeds; subkeys stay in memory, so that a part costs one HMAC for each subset."""

    def __init__(self, holdings: Holdings) -> None:
        self._epochs: Mapping[int, EpochSeeds] = holdings.epochs
        self._newest = holdings.newest
        self._subkeys: dict[tuple[int, bytes], HolderSubkeys] = {}

    @property
    def rosters(self) -> tuple[Roster, ...]:
        return tuple([seeds.roster for seeds in self._epochs.values()])

    def seeds(self, epoch: int | None) -> EpochSeeds:
        """Return the seeds of an epoch; None for the newest whose seeds are all there.

        Raises:
            SeedsMissingError: They are not all there.
        """
        if epoch is None:
            return self._newest()
        seeds = self._epochs.get(epoch)
        if seeds is None or seeds.missing:
            raise SeedsMissingError(f"the seeds of epoch {epoch} are not (all) here")
        return seeds

    def subkeys(self, epoch: int, dataset: bytes) -> HolderSubkeys:
        """Return this holder's subkeys for a dataset. Raises as `seeds`."""
        known = self._subkeys.get((epoch, dataset))
        if known is None:
            known = derive_subkeys(self.seeds(epoch).complete(), dataset)
            self._subkeys[epoch, dataset] = known
        return known

    def held(self, release: VerifiedRelease) -> VerifiedRelease:
        """Return a release without the records of epochs whose seeds only others hold.

        After a ceremony with other members a person's records are of both epochs, and some keyholders of one only.

        Raises:
            ReleaseRefusedError: No record is left.
        """
        records = tuple([record for record in release.records if record.epoch in self._epochs])
        if release.records and not records:
            raise ReleaseRefusedError(
                Reason.EPOCH_UNKNOWN, f"no seeds of epoch {release.records[0].epoch} are here"
            )
        return replace(release, records=records)

    def parts(self, release: VerifiedRelease) -> Release:
        """Return this holder's parts of the keys of the verified records.

        Raises:
            ReleaseRefusedError: The seeds of a record's epoch are not all here.
        """
        schema = release.schema
        parts = []
        try:
            for record in release.records:
                subkeys = self.subkeys(record.epoch, schema.dataset)
                number, salt = record.number, record.salt
                parts.append(derive_parts(subkeys, schema, number, salt, release.indices))
        except SeedsMissingError as error:
            raise ReleaseRefusedError(Reason.EPOCH_UNKNOWN, str(error)) from error
        return Release(tuple(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """Answers gateways and providers.

    Attributes:
        vault: Derives the parts.
        account: Private key of the keyholder's account, which signs what is released.
        follower: Knows the chain.
        journal: Where releases are noted before they leave.
        rules: Settings of the checks.
        links: Recovers the signers of links.
        sessions: Seal to consumers.
        patience: Seconds to wait for the keyholder's node to have an access that the gateway has.
        clock: The present, seconds since 1970.
    """

    vault: Vault
    account: bytes = field(repr=False)
    follower: Follower
    journal: FileJournal
    rules: Rules
    links: RememberedLinks
    sessions: Sessions
    patience: float
    clock: Callable[[], float]

    async def answer(self, tasks: Sequence[ReleaseTask]) -> list[Answer]:
        """Check every task, note what is released, and seal it; answers in the tasks' order.

        Raises:
            NotFollowingError: The keyholder's node cannot be relied on now.
            JournalError: Nothing can be noted, so nothing is released.
        """
        register = await self._caught_up(tasks)
        answers: list[Answer | None] = []
        releases: list[tuple[int, VerifiedRelease, Release]] = []
        for place, task in enumerate(tasks):
            try:
                verified = self.vault.held(verify_task(task, register, self.rules, self.links))
                releases.append((place, verified, self.vault.parts(verified)))
                answers.append(None)
            except ReleaseRefusedError as error:
                answers.append(_refusal(error))
            if place % _TURN == _TURN - 1:
                await asyncio.sleep(0)
                register = self.follower.require()
        now = int(self.clock())
        noted = self.journal.note([entry_of(verified, now) for _, verified, _ in releases])
        # Sealing goes on while the disk writes. Nothing leaves before it is noted.
        signed = await self._sign([(verified, parts) for _, verified, parts in releases])
        for (place, verified, parts), own in zip(releases, signed, strict=True):
            answers[place] = self._seal(verified, parts, own)
            if place % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        await noted
        return [answer for answer in answers if answer is not None]

    async def verify_provider(self, address: bytes) -> None:
        """Check that an address is an active provider's, before anything is remembered of its request.

        Raises:
            ProblemError: It is none.
            NotFollowingError: As `answer`.
        """
        self.follower.require()
        await self.follower.until(
            lambda known: known.has_role(address, Roles.PROVIDER), self.patience
        )
        if not self.follower.require().has_role(address, Roles.PROVIDER):
            raise ProblemError(FORBIDDEN, "the signer is no active provider")

    async def subkeys(self, dataset: bytes, provider: bytes, epoch: int | None) -> SealedSubkeys:
        """Seal the subkeys of a dataset to its provider.

        Args:
            dataset: Its id.
            provider: Who asks, authenticated.
            epoch: Which; None for the newest whose seeds are all here.

        Raises:
            ProblemError: Somebody else registered the dataset, or nobody did.
            SeedsMissingError: The seeds are not all here.
            ReleaseRefusedError: The provider's key cannot be sealed to.
            JournalError, NotFollowingError: As `answer`.
        """
        self.follower.require()
        # A provider may come right after it registered the dataset and its key.
        await self.follower.until(
            lambda known: (
                known.provider(dataset) not in (None, provider)
                or bool(known.provider(dataset) and known.encryption_key(provider))
            ),
            self.patience,
        )
        register = self.follower.require()
        active = register.has_role(provider, Roles.PROVIDER)
        if register.provider(dataset) != provider or not active:
            raise ProblemError(FORBIDDEN, "subkeys are for the dataset's provider")
        key = register.encryption_key(provider)
        if key is None:
            raise ReleaseRefusedError(
                Reason.KEY_UNUSABLE, "the Registry has no key of the provider"
            )
        seeds = self.vault.seeds(epoch)
        number = seeds.roster.epoch
        packed = pack(self.vault.subkeys(number, dataset))
        with _usable_key():
            sealed = key.seal(packed, Purpose.SUBKEYS, dataset)
        now = int(self.clock())
        entry = SubkeysEntry(1, now, to_hex(provider), to_hex(dataset), number)
        await self.journal.note([entry])
        return SealedSubkeys(seeds, sealed)

    async def _sign(self, releases: Sequence[tuple[VerifiedRelease, Release]]) -> list[bytes]:
        """Sign what is released, once for each key."""
        rosters, domain = self.vault.rosters, self.rules.access_log
        statements: dict[bytes, list[tuple[int, PartsStatement]]] = {}
        for place, (verified, parts) in enumerate(releases):
            stated = state_parts(verified.digest, parts, rosters)
            statements.setdefault(verified.recipient.to_bytes(), []).append((place, stated))
            if place % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        signed = [b""] * len(releases)
        for count, mine in enumerate(statements.values(), 1):
            own = sign_statements([statement for _, statement in mine], self.account, domain)
            for (place, _), signature in zip(mine, own, strict=True):
                signed[place] = signature
            if count % _TURN == 0:
                await asyncio.sleep(0)
        return signed

    def _seal(self, verified: VerifiedRelease, parts: Release, signed: bytes) -> Answer:
        try:
            with _usable_key():
                session = self.sessions.to(verified.recipient)
        except ReleaseRefusedError as error:
            return _refusal(error)
        sealed = session.seal(pack(parts), Purpose.RELEASE, verified.digest)
        return SealedParts(sealed, signed)

    async def _caught_up(self, tasks: Sequence[ReleaseTask]) -> ChainState:
        """Return the register once it holds the accesses, as far as the node has them in time."""
        register = self.follower.require()
        newest = max((task.location.block_number for task in tasks), default=0)
        if newest > register.block.number:
            await self.follower.until(lambda known: known.block.number >= newest, self.patience)
        return self.follower.require()


@contextmanager
def _usable_key() -> Iterator[None]:
    """Say as a refusal that nothing can be sealed to a key."""
    try:
        yield
    except MalformedError as error:
        raise ReleaseRefusedError(Reason.KEY_UNUSABLE, str(error)) from error


def _refusal(error: ReleaseRefusedError) -> Refusal:
    reason = error.reason
    return Refusal(PREFIX + reason.slug, reason.title, reason.status, str(error))
