"""Any k keyholders that are right open a release, and whose parts were wrong is named."""

import itertools
from collections.abc import Callable

import msgspec
import pytest

from ledger.custody import (
    HolderParts,
    HolderSeeds,
    Sharing,
    assemble_seeds,
    combine_subkeys,
    derive_parts,
    derive_subkeys,
    draw_seeds,
    pack,
)
from ledger.custody import Release as KeyParts
from ledger.encoding import Schema
from ledger.exchange import HeldKeys, Release
from ledger.keccak import keccak256
from ledger.merkle import RangeProof, TreeHead
from ledger.parts_statements import sign_statements, state_parts
from ledger.records import EncryptedRecord, encrypt_record
from ledger.rosters import Roster
from ledger.sealing import OpeningKey, Purpose
from ledger.signing import address_of
from tests.support.lying_keyholder import (
    nested,
    noise,
    of_another_number,
    of_another_record,
    of_fewer_fields,
    without_a_subset,
)
from wallet.client.errors import VerificationError
from wallet.client.opening import Unlocked, open_release

SHARING = Sharing(3, 5)
EPOCH = 4
SCHEMA = Schema(keccak256(b"dataset"), ("one", "two", "three"))
MASK = 0b101
DIGEST = keccak256(b"request")
OPENING = OpeningKey.generate()
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


def handed(number: int, change: Change | None) -> HeldKeys:
    own = [
        derive_parts(SUBKEYS[number - 1], SCHEMA, one.number, one.salt, SCHEMA.indices(MASK))
        for one in RECORDS
    ]
    parts = KeyParts(tuple(one if change is None else change(one) for one in own))
    sealed = OPENING.encryption_key.seal(pack(parts), Purpose.RELEASE, DIGEST)
    (signed,) = sign_statements([state_parts(DIGEST, parts)], ACCOUNTS[number - 1])
    return HeldKeys(ROSTER.members[number - 1], sealed, signed)


def opened(keys: list[HeldKeys]) -> Unlocked:
    release = Release(
        SCHEMA.dataset,
        1,
        TreeHead(2, bytes(32)),
        tuple(RECORDS),
        RangeProof(0, 2, 2, ()),
        tuple(keys),
    )
    return open_release(release, SCHEMA, MASK, OPENING, DIGEST, [ROSTER])


@pytest.mark.parametrize(
    "change", [noise, of_another_number, of_another_record, of_fewer_fields, without_a_subset]
)
def test_any_three_of_five_open_it_beside_two_that_lie(change: Change) -> None:
    for liars in itertools.combinations(range(1, 6), 2):
        found = opened([handed(n, change if n in liars else None) for n in range(1, 6)])
        assert set(found.wrong) == {ROSTER.members[n - 1] for n in liars}
        provable = change in (
            noise,
            without_a_subset,
        )  # the others say that it is about something else
        assert {one.holder for one in found.proofs} == (set(found.wrong) if provable else set())
        assert [one.value for one in found.records[1].fields] == ["one of 2", "three of 2"]


def test_one_whose_message_is_nested_deep_keeps_nobody_from_opening() -> None:
    deep = OPENING.encryption_key.seal(nested(pack(KeyParts(()))), Purpose.RELEASE, DIGEST)
    lying = [msgspec.structs.replace(handed(n, None), sealed=deep) for n in (1, 2)]
    found = opened([*lying, *(handed(n, None) for n in (3, 4, 5))])
    assert [one.value for one in found.records[1].fields] == ["one of 2", "three of 2"]


def test_two_that_are_right_open_nothing() -> None:
    with pytest.raises(VerificationError, match="too few"):
        opened([handed(1, None), handed(2, None)])
    with pytest.raises(VerificationError):
        opened([handed(n, noise if n > 2 else None) for n in range(1, 6)])


def test_one_that_speaks_for_another_does_not_keep_that_one_out() -> None:
    found = opened([handed(n, of_another_number if n == 1 else None) for n in (1, 2, 3, 4)])
    assert found.wrong == (ROSTER.members[0],)


def test_who_is_in_no_roster_opens_nothing() -> None:
    keys = [handed(1, None), handed(2, None), HeldKeys(bytes(20), handed(3, None).sealed, b"")]
    with pytest.raises(VerificationError):
        opened(keys)
