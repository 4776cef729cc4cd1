"""Any k keyholders that are right open a release, and whose parts were wrong is named."""

import itertools
import os
import sys
from collections.abc import Callable, Sequence

import msgspec
import pytest

from ledger.api import HeldKeys, Release
from ledger.crypto.hpke import DecryptionKey, Purpose, Session, Suite
from ledger.crypto.merkle import RangeProof, TreeHead
from ledger.crypto.records import EncryptedRecord, encrypt_record
from ledger.crypto.released_parts import sign_statements, state_parts, verify_wrong_parts
from ledger.crypto.secret_sharing import (
    HolderParts,
    HolderSeeds,
    Roster,
    Share,
    Sharing,
    assemble_seeds,
    combine_subkeys,
    derive_parts,
    derive_subkeys,
    draw_seeds,
    most_sealed,
    pack,
)
from ledger.crypto.secret_sharing import Release as KeyParts
from ledger.crypto.signatures import address_of
from ledger.encoding import Schema
from ledger.hexstr import keccak256
from ledger.typed_data import AccessRequest, Domain, digest
from tests.support.lying_keyholder import (
    nested,
    noise,
    of_another_number,
    of_another_record,
    of_fewer_fields,
    without_a_subset,
)
from wallet.client.decryption import Faults, Unlocked, open_release
from wallet.client.errors import VerificationError

SHARING = Sharing(3, 5)
EPOCH = 4
SCHEMA = Schema(keccak256(b"dataset"), ("one", "two", "three"))
MASK = 0b101
DOMAIN = Domain(4242, bytes([7]) * 20)
REQUEST = AccessRequest(
    consumer=bytes([9]) * 20,
    basis=keccak256(b"basis"),
    item=bytes(32),
    fields=MASK,
    nonce=1,
    deadline=2_000_000_000,
)
DIGEST = digest(REQUEST, DOMAIN)
OPENING = DecryptionKey.generate()
ACCOUNTS = [keccak256(b"keyholder %d" % n) for n in range(1, 6)]
ROSTER = Roster(EPOCH, SHARING.threshold, tuple(map(address_of, ACCOUNTS)))
Change = Callable[[HolderParts], HolderParts]


def seeds() -> list[HolderSeeds]:
    numbers = range(1, SHARING.holders + 1)
    drawn = [seed for holder in numbers for seed in draw_seeds(SHARING, holder, EPOCH)]
    return [
        assemble_seeds(SHARING, holder, EPOCH, [one for one in drawn if holder in one.subset])
        for holder in numbers
    ]


SUBKEYS = [derive_subkeys(one, SCHEMA.dataset) for one in seeds()]


def record(number: int) -> EncryptedRecord:
    keys = combine_subkeys(SHARING, SUBKEYS)
    values = [f"{name} of {number}" for name in SCHEMA.names]
    return encrypt_record(SCHEMA, keys, owner=bytes(32), number=number, values=values)


RECORDS = [record(1), record(2)]


def handed(number: int, change: Change | None, records: Sequence[EncryptedRecord] = ()) -> HeldKeys:
    own = [
        derive_parts(SUBKEYS[number - 1], SCHEMA, one.number, one.salt, SCHEMA.indices(MASK))
        for one in records or RECORDS
    ]
    parts = KeyParts(tuple(one if change is None else change(one) for one in own))
    return sealed(number, parts)


def sealed(number: int, parts: KeyParts) -> HeldKeys:
    packed = OPENING.encryption_key.seal(pack(parts), Purpose.RELEASE, DIGEST)
    statement = state_parts(DIGEST, parts, [ROSTER])
    (signed,) = sign_statements([statement], ACCOUNTS[number - 1], DOMAIN)
    return HeldKeys(ROSTER.members[number - 1], packed, signed)


def opened(keys: list[HeldKeys], rosters: Sequence[Roster] = (ROSTER,)) -> Unlocked:
    release = Release(
        SCHEMA.dataset,
        1,
        TreeHead(2, bytes(32)),
        tuple(RECORDS),
        RangeProof(0, 2, 2, ()),
        tuple(keys),
    )
    found = open_release(release, SCHEMA, REQUEST, OPENING, rosters, DOMAIN)
    assert [field.value for field in found.records[1].fields] == ["one of 2", "three of 2"]
    return found


def members(*numbers: int) -> tuple[bytes, ...]:
    return tuple(sorted(ROSTER.members[n - 1] for n in numbers))


@pytest.mark.parametrize("change", [noise, of_another_number, without_a_subset])
def test_any_three_of_five_open_it_beside_two_that_lie_and_are_named(change: Change) -> None:
    for liars in itertools.combinations(range(1, 6), 2):
        found = opened([handed(n, change if n in liars else None) for n in range(1, 6)])
        assert found.faults.wrong == members(*liars)
        assert found.faults.unsigned == found.faults.disputed == ()
        for proof in found.faults.proofs:
            assert verify_wrong_parts(proof, [ROSTER], DOMAIN) == REQUEST


@pytest.mark.parametrize("change", [of_another_record, of_fewer_fields])
def test_who_signed_something_else_is_in_dispute(change: Change) -> None:
    # A gateway may have asked it for other records.
    for liars in itertools.combinations(range(1, 6), 2):
        found = opened([handed(n, change if n in liars else None) for n in range(1, 6)])
        assert found.faults == Faults(disputed=members(*liars))


def test_honest_ones_are_not_named_where_two_change_their_parts_by_the_same() -> None:
    # XOR cancels, so that the parts of 1, 2 and 3 open it, and those of 4 and 5 are others.
    def changed_for(subset: tuple[int, ...]) -> Change:
        def change(parts: HolderParts) -> HolderParts:
            shares = [
                msgspec.structs.replace(share, secret=bytes(b ^ 1 for b in share.secret))
                if share.subset == subset
                else share
                for share in parts.shares
            ]
            return msgspec.structs.replace(parts, shares=tuple(shares))

        return change

    lies = {1: changed_for((1, 4, 5)), 2: changed_for((2, 4, 5))}
    found = opened([handed(n, lies.get(n)) for n in range(1, 6)])
    assert found.faults == Faults(disputed=members(1, 2, 4, 5))
    found = opened([handed(n, lies.get(n)) for n in range(1, 5)])
    assert found.faults == Faults(disputed=members(1, 2, 4))


def test_a_gateway_names_nobody_by_noise_in_its_name() -> None:
    honest = [handed(n, None) for n in (1, 2, 3)]
    noises = [
        HeldKeys(ROSTER.members[3], os.urandom(500), b""),
        HeldKeys(ROSTER.members[3], os.urandom(500), handed(4, None).signed),
        msgspec.structs.replace(handed(5, noise), holder=ROSTER.members[3]),
        msgspec.structs.replace(handed(4, noise), signed=handed(4, None).signed),
    ]
    for one in noises:
        assert opened([*honest, one]).faults == Faults(unsigned=members(4))


def test_whoever_has_seeds_of_another_epoch_only_is_not_at_fault() -> None:
    other = Roster(EPOCH + 1, 2, (bytes([1]) * 20, *ROSTER.members[:2]))
    theirs = HeldKeys(other.members[0], sealed(1, KeyParts(())).sealed, b"")
    stranger = HeldKeys(bytes([2]) * 20, os.urandom(100), b"")
    found = opened([*(handed(n, None) for n in (1, 2, 3)), theirs, stranger], [ROSTER, other])
    assert found.faults == Faults(unsigned=(other.members[0],))


def test_an_answer_of_another_size_is_not_looked_at() -> None:
    honest = [handed(n, None) for n in (1, 2, 3)]
    twice = handed(4, None, [*RECORDS, *RECORDS])
    more = handed(4, None, [*RECORDS, *map(record, range(3, 50))])
    assert len(more.sealed) > most_sealed([ROSTER], len(RECORDS), 2)
    assert opened([*honest, twice]).faults == Faults(disputed=members(4))
    assert opened([*honest, more]).faults == Faults(unsigned=members(4))


@pytest.mark.parametrize("sharing", [(1, 1), (2, 3), (3, 5), (4, 5), (5, 9)], ids=str)
@pytest.mark.parametrize("suite", list(Suite))
def test_what_is_honest_is_never_too_long(sharing: tuple[int, int], suite: Suite) -> None:
    threshold, holders = sharing
    roster = Roster(2**32 - 1, threshold, tuple(bytes([n]) * 20 for n in range(holders)))
    key = DecryptionKey.generate(suite).encryption_key
    for records, fields in ((0, 0), (1, 1), (3, 12), (40, 256)):
        shares = tuple(
            Share(subset, bytes(32 * fields)) for subset in roster.sharing.subsets_of(holders)
        )
        one = HolderParts(holders, 2**32 - 1, 2**64 - 1, bytes(32), tuple(range(fields)), shares)
        packed = pack(KeyParts((one,) * records))
        most = most_sealed([roster], records, fields)
        for message in (
            key.seal(packed, Purpose.RELEASE, DIGEST),
            Session(key).seal(packed, Purpose.RELEASE, DIGEST),
        ):
            assert len(message) <= most <= 2 * len(message) + 1400


def test_one_whose_message_is_nested_deep_keeps_nobody_from_opening() -> None:
    limit = sys.getrecursionlimit()  # a library for tests raises it
    sys.setrecursionlimit(1000)
    try:
        message = nested(pack(KeyParts(())), 1200)
        deep = OPENING.encryption_key.seal(message, Purpose.RELEASE, DIGEST)
        assert len(deep) <= most_sealed([ROSTER], len(RECORDS), 2)
        lying = [msgspec.structs.replace(handed(n, None), sealed=deep) for n in (1, 2)]
        found = opened([*lying, *(handed(n, None) for n in (3, 4, 5))])
    finally:
        sys.setrecursionlimit(limit)
    assert found.faults == Faults(unsigned=members(1, 2))


def test_two_that_are_right_open_nothing() -> None:
    with pytest.raises(VerificationError, match="too few"):
        opened([handed(1, None), handed(2, None)])
    with pytest.raises(VerificationError):
        opened([handed(n, noise if n > 2 else None) for n in range(1, 6)])


def test_one_that_speaks_for_another_does_not_keep_that_one_out() -> None:
    found = opened([handed(n, of_another_number if n == 1 else None) for n in (1, 2, 3, 4)])
    assert found.faults.wrong == members(1)


def test_who_is_in_no_roster_opens_nothing() -> None:
    keys = [handed(1, None), handed(2, None), HeldKeys(bytes(20), handed(3, None).sealed, b"")]
    with pytest.raises(VerificationError):
        opened(keys)
