"""Records of two epochs in one release: each keyholder releases those that it has seeds of."""

from collections.abc import Sequence

import pytest

from ledger.api import HeldKeys, Release
from ledger.chain.events import Block
from ledger.crypto.hpke import DecryptionKey, Purpose
from ledger.crypto.merkle import RangeProof, TreeHead
from ledger.crypto.records import EncryptedRecord, encrypt_record
from ledger.crypto.released_parts import sign_statements, state_parts
from ledger.crypto.secret_sharing import (
    Roster,
    Seed,
    Sharing,
    assemble_seeds,
    combine_subkeys,
    derive_subkeys,
    draw_seeds,
    pack,
)
from ledger.crypto.signatures import address_of
from ledger.encoding import Schema
from ledger.hexstr import keccak256
from ledger.model import Outcome
from ledger.release_rules import Reason, ReleaseRefusedError
from ledger.typed_data import AccessRequest, Domain, digest
from wallet.client.decryption import open_release
from wallet.client.errors import VerificationError
from wallet.keyholder.chain_state import KnownAccess
from wallet.keyholder.journal import entry_of
from wallet.keyholder.releases import Vault
from wallet.keyholder.rules import VerifiedRelease
from wallet.keyholder.seeds import EpochSeeds, Holdings

SHARING = Sharing(2, 3)
SCHEMA = Schema(keccak256(b"dataset"), ("one", "two"))
DOMAIN = Domain(4242, bytes([7]) * 20)
REQUEST = AccessRequest(bytes([9]) * 20, keccak256(b"basis"), bytes(32), 0b11, 1, 2_000_000_000)
DIGEST = digest(REQUEST, DOMAIN)
OPENING = DecryptionKey.generate()

STAYED, LEFT, CAME, BOTH = ACCOUNTS = [keccak256(b"member %d" % n) for n in range(4)]
ROSTERS = (
    Roster(1, 2, tuple(map(address_of, (STAYED, BOTH, LEFT)))),
    Roster(2, 2, tuple(map(address_of, (STAYED, BOTH, CAME)))),
)


def drawn(roster: Roster) -> list[Seed]:
    return [seed for n in (1, 2, 3) for seed in draw_seeds(SHARING, n, roster.epoch)]


SEEDS = {roster.epoch: drawn(roster) for roster in ROSTERS}


def vault_of(account: bytes) -> Vault:
    epochs: dict[int, EpochSeeds] = {}
    for roster in ROSTERS:
        if address_of(account) in roster.members:
            number = roster.number_of(address_of(account))
            own = [seed for seed in SEEDS[roster.epoch] if number in seed.subset]
            epochs[roster.epoch] = EpochSeeds(roster, number, {}).with_seeds(own)
    return Vault(Holdings(account, OPENING, epochs))


def record(number: int, epoch: int) -> EncryptedRecord:
    holders = [
        assemble_seeds(SHARING, n, epoch, [one for one in SEEDS[epoch] if n in one.subset])
        for n in (1, 2, 3)
    ]
    keys = combine_subkeys(SHARING, [derive_subkeys(holder, SCHEMA.dataset) for holder in holders])
    values = [f"{name} of {number}" for name in SCHEMA.names]
    return encrypt_record(SCHEMA, keys, owner=bytes(32), number=number, values=values)


OLD, NEW = record(1, 1), record(2, 2)


def verified(*records: EncryptedRecord) -> VerifiedRelease:
    return VerifiedRelease(
        access=bytes(32),
        digest=DIGEST,
        consumer=REQUEST.consumer,
        signature=bytes(65),
        fields=0b11,
        recorded=KnownAccess(bytes(32), 1, Outcome.ALLOWED, 1, 1, 0),
        judged_at=Block(1, bytes(32), 1),
        schema=SCHEMA,
        indices=(0, 1),
        publication=1,
        records=records,
        recipient=OPENING.encryption_key,
    )


def handed(account: bytes, *records: EncryptedRecord) -> HeldKeys:
    vault = vault_of(account)
    parts = vault.parts(vault.held(verified(*records)))
    sealed = OPENING.encryption_key.seal(pack(parts), Purpose.RELEASE, DIGEST)
    (signed,) = sign_statements([state_parts(DIGEST, parts, vault.rosters)], account, DOMAIN)
    return HeldKeys(address_of(account), sealed, signed)


def opened(accounts: Sequence[bytes]) -> list[str]:
    keys = tuple(handed(account, OLD, NEW) for account in accounts)
    proof = RangeProof(0, 2, 2, ())
    release = Release(SCHEMA.dataset, 1, TreeHead(2, bytes(32)), (OLD, NEW), proof, keys)
    found = open_release(release, SCHEMA, REQUEST, OPENING, ROSTERS, DOMAIN)
    assert found.faults.wrong == found.faults.unsigned == found.faults.disputed == ()
    return [str(record.fields[0].value) for record in found.records]


def test_whoever_left_and_whoever_came_open_both_with_one_that_stayed() -> None:
    assert opened([LEFT, BOTH, CAME]) == ["one of 1", "one of 2"]
    assert opened([STAYED, BOTH]) == ["one of 1", "one of 2"]
    for missing in ([LEFT, BOTH], [BOTH, CAME], [LEFT, CAME]):
        with pytest.raises(VerificationError):
            opened(missing)


def test_what_is_noted_is_what_was_released() -> None:
    held = vault_of(CAME).held(verified(OLD, NEW))
    entry = entry_of(held, 0)
    assert entry.epochs == (2,)
    assert [numbers.numbers for numbers in entry.records] == [(2,)]


def test_whoever_has_seeds_of_no_record_refuses() -> None:
    with pytest.raises(ReleaseRefusedError) as refused:
        vault_of(CAME).held(verified(OLD))
    assert refused.value.reason is Reason.EPOCH_UNKNOWN
    assert vault_of(CAME).held(verified()).records == ()
