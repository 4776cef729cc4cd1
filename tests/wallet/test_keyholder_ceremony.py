"""The seed ceremony: every subset shares a seed, nobody else knows it, and nobody can slip one in."""

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import msgspec
import pytest

from ledger.crypto.hpke import DecryptionKey, Suite
from ledger.crypto.keyfile import MIN_SCRYPT_N
from ledger.crypto.secret_sharing import Roster, Sharing, combine_subkeys, derive_subkeys
from ledger.crypto.signatures import address_of
from ledger.errors import CustodyError, MalformedError
from ledger.hexstr import keccak256
from tests.support.errors import of_kind
from wallet.errors import KeystoreError, KeystoreErrorKind
from wallet.keyholder.ceremony import (
    SeedPacket,
    begin_epoch,
    decode_packet,
    encode_packet,
    make_packets,
    open_packet,
)
from wallet.keyholder.errors import KeyholderError, SeedsMissingError
from wallet.keyholder.seeds import (
    EpochSeeds,
    Holdings,
    create_holder,
    load_holdings,
    store_epoch,
)
from wallet.keystore import Keystore
from wallet.passwords import Password

SHARINGS = [Sharing(1, 1), Sharing(2, 3), Sharing(3, 5)]
DATASET = keccak256(b"dataset")
PASSWORD = Password("correct horse")


def make_holder(number: int, suite: Suite = Suite.X25519) -> Holdings:
    return Holdings(keccak256(b"keyholder" + bytes([number])), DecryptionKey.generate(suite), {})


def roster_of(holders: Sequence[Holdings], threshold: int, epoch: int = 1) -> Roster:
    return Roster(epoch, threshold, tuple(holder.address for holder in holders))


def drawn(holders: Sequence[Holdings], roster: Roster) -> tuple[list[EpochSeeds], list[SeedPacket]]:
    """What every holder drew, and all packets between them, as they travel."""
    keys = {holder.address: holder.opening.encryption_key for holder in holders}
    begun = [begin_epoch(holder, roster) for holder in holders]
    packets = [
        decode_packet(encode_packet(packet))
        for holder, seeds in zip(holders, begun, strict=True)
        for packet in make_packets(seeds, holder.account, keys)
    ]
    return begun, packets


def taken(holder: Holdings, seeds: EpochSeeds, packets: Sequence[SeedPacket]) -> EpochSeeds:
    mine = [packet for packet in packets if packet.recipient == holder.address]
    return seeds.with_seeds(
        open_packet(packet, seeds.roster, holder.opening, holder.address) for packet in mine
    )


def hold_ceremony(sharing: Sharing, epoch: int = 1) -> tuple[list[Holdings], list[EpochSeeds]]:
    holders = [make_holder(number) for number in range(1, sharing.holders + 1)]
    begun, packets = drawn(holders, roster_of(holders, sharing.threshold, epoch))
    complete = [taken(*pair, packets) for pair in zip(holders, begun, strict=True)]
    return holders, complete


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_after_the_ceremony_any_k_holders_agree_and_fewer_lack_a_seed(sharing: Sharing) -> None:
    _, complete = hold_ceremony(sharing)
    subkeys = [derive_subkeys(seeds.complete(), DATASET) for seeds in complete]

    keys = {combine_subkeys(sharing, some) for some in combinations(subkeys, sharing.threshold)}

    assert len(keys) == 1
    for some in combinations(subkeys, sharing.threshold - 1):
        if some:
            with pytest.raises(CustodyError, match="no share of subset"):
                combine_subkeys(sharing, some)


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_members_of_a_subset_see_the_same_fingerprint_of_its_seed(sharing: Sharing) -> None:
    _, complete = hold_ceremony(sharing)
    seen: dict[tuple[int, ...], set[str]] = {}
    for seeds in complete:
        for subset, fingerprint in seeds.fingerprints().items():
            seen.setdefault(subset, set()).add(fingerprint)
    assert set(seen) == set(sharing.subsets)
    assert all(len(fingerprints) == 1 for fingerprints in seen.values())
    assert len({next(iter(one)) for one in seen.values()}) == len(sharing.subsets)


def test_before_the_packets_arrive_a_holder_says_which_seeds_are_missing() -> None:
    holders = [make_holder(number) for number in (1, 2, 3)]
    begun, _ = drawn(holders, roster_of(holders, 2))

    assert [seeds.missing for seeds in begun] == [(), ((1, 2),), ((1, 3), (2, 3))]
    with pytest.raises(SeedsMissingError, match=r"\(1, 2\)"):
        begun[1].complete()


def test_a_seed_travels_only_to_the_members_of_its_subset() -> None:
    holders = [make_holder(number) for number in range(1, 6)]
    roster = roster_of(holders, 3)
    _, packets = drawn(holders, roster)
    for packet in packets:
        recipient = roster.number_of(packet.recipient)
        assert recipient in packet.subset
        assert roster.number_of(packet.sender) == packet.subset[0] != recipient


def test_post_quantum_keys_take_part() -> None:
    holders = [make_holder(number, Suite.MLKEM768_X25519) for number in (1, 2)]
    begun, packets = drawn(holders, roster_of(holders, 1))
    assert taken(holders[1], begun[1], packets).complete().seeds == begun[0].complete().seeds


Forge = Callable[[SeedPacket, Sequence[Holdings], Roster], SeedPacket]


def other_subset(packet: SeedPacket, _: Sequence[Holdings], __: Roster) -> SeedPacket:
    return msgspec.structs.replace(packet, subset=(1, 3))


def flipped_signature(packet: SeedPacket, _: Sequence[Holdings], __: Roster) -> SeedPacket:
    changed = bytes([packet.signature[0] ^ 1]) + packet.signature[1:]
    return msgspec.structs.replace(packet, signature=changed)


def flipped_seal(packet: SeedPacket, _: Sequence[Holdings], __: Roster) -> SeedPacket:
    changed = packet.sealed[:-1] + bytes([packet.sealed[-1] ^ 1])
    return msgspec.structs.replace(packet, sealed=changed)


def drawn_by_an_outsider(packet: SeedPacket, holders: Sequence[Holdings], _: Roster) -> SeedPacket:
    outsider = make_holder(9)
    others = [outsider, *holders[1:]]
    keys = {holder.address: holder.opening.encryption_key for holder in others}
    seeds = begin_epoch(outsider, roster_of(others, 2))
    forged = make_packets(seeds, outsider.account, keys)[0]
    return msgspec.structs.replace(forged, roster=packet.roster, sender=packet.sender)


def drawn_by_another_member(
    packet: SeedPacket, holders: Sequence[Holdings], roster: Roster
) -> SeedPacket:
    # Keyholder 2 pretends that it had to draw the seed that keyholder 1 draws.
    shuffled = [holders[1], holders[0], holders[2]]
    keys = {holder.address: holder.opening.encryption_key for holder in holders}
    seeds = begin_epoch(holders[1], roster_of(shuffled, 2))
    forged = make_packets(seeds, holders[1].account, keys)[0]
    return msgspec.structs.replace(forged, roster=roster.digest(), recipient=packet.recipient)


@pytest.mark.parametrize(
    "forge",
    [
        other_subset,
        flipped_signature,
        flipped_seal,
        drawn_by_an_outsider,
        drawn_by_another_member,
    ],
)
def test_a_packet_that_the_right_member_did_not_make_is_refused(forge: Forge) -> None:
    holders = [make_holder(number) for number in (1, 2, 3)]
    roster = roster_of(holders, 2)
    _, packets = drawn(holders, roster)
    packet = next(one for one in packets if one.subset == (1, 2))

    open_packet(packet, roster, holders[1].opening, holders[1].address)

    forged = forge(packet, holders, roster)
    with pytest.raises(KeyholderError):
        open_packet(forged, roster, holders[1].opening, holders[1].address)


def test_a_packet_of_another_roster_is_refused() -> None:
    holders = [make_holder(number) for number in (1, 2, 3)]
    _, packets = drawn(holders, roster_of(holders, 2))
    others = (
        roster_of(holders, 2, epoch=2),
        roster_of(holders, 1),
        roster_of([holders[1], holders[0], holders[2]], 2),
    )
    for roster in others:
        with pytest.raises(KeyholderError, match="another roster"):
            open_packet(packets[0], roster, holders[1].opening, holders[1].address)


def test_a_seed_is_never_drawn_twice_nor_replaced() -> None:
    holders = [make_holder(number) for number in (1, 2, 3)]
    roster = roster_of(holders, 2)
    begun, _ = drawn(holders, roster)
    again = Holdings(holders[0].account, holders[0].opening, {1: begun[0]})

    assert begin_epoch(again, roster) == begun[0]
    with pytest.raises(KeyholderError, match="take the next"):
        begin_epoch(again, roster_of(holders, 3))
    fresh, packets = drawn(holders, roster)  # keyholder 1 lost its keystore and drew anew
    received = taken(holders[1], fresh[1], packets)
    _, packets_again = drawn(holders, roster)
    with pytest.raises(KeyholderError, match="another seed"):
        taken(holders[1], received, packets_again)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"v":1}', b"\xff"])
def test_a_file_that_is_no_packet_is_refused(data: bytes) -> None:
    with pytest.raises(KeyholderError, match="not a seed packet"):
        decode_packet(data)


def test_impossible_rosters_are_refused() -> None:
    one, two = make_holder(1).address, make_holder(2).address
    for threshold, members in [(0, (one,)), (2, (one,)), (1, (one, one)), (1, ()), (1, (b"x",))]:
        with pytest.raises(MalformedError):
            Roster(1, threshold, members)
    with pytest.raises(MalformedError, match="not a keyholder"):
        Roster(1, 1, (one,)).number_of(two)


def test_keystore_keeps_old_epochs_and_opens_only_with_the_password(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keystore", scrypt_n=MIN_SCRYPT_N)
    created = create_holder(keystore, PASSWORD)
    with pytest.raises(KeystoreError):
        create_holder(keystore, PASSWORD)
    for epoch in (1, 2):
        seeds = begin_epoch(load_holdings(keystore, PASSWORD), roster_of([created], 1, epoch))
        store_epoch(keystore, PASSWORD, seeds)

    loaded = load_holdings(keystore, PASSWORD)

    assert loaded.address == created.address == address_of(created.account)
    assert sorted(loaded.epochs) == [1, 2]
    assert loaded.newest().roster.epoch == 2
    first, second = (loaded.epochs[epoch].complete().seeds[0].secret for epoch in (1, 2))
    assert first != second
    with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.WRONG_PASSWORD)):
        load_holdings(keystore, Password("another"))
    assert not any(first in path.read_bytes() for path in (tmp_path / "keystore").iterdir())


def test_an_epoch_that_is_not_complete_is_not_the_newest_in_use() -> None:
    holders, complete = hold_ceremony(Sharing(2, 3))
    begun = begin_epoch(holders[2], roster_of(holders, 2, epoch=2))
    holdings = Holdings(holders[2].account, holders[2].opening, {1: complete[2], 2: begun})
    assert holdings.newest() is complete[2]
    with pytest.raises(SeedsMissingError, match="ceremony"):
        Holdings(holders[2].account, holders[2].opening, {2: begun}).newest()


def test_seeds_of_another_holder_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keystore", scrypt_n=MIN_SCRYPT_N)
    create_holder(keystore, PASSWORD)
    _, complete = hold_ceremony(Sharing(2, 3))
    store_epoch(keystore, PASSWORD, complete[0])
    with pytest.raises(KeystoreError):
        load_holdings(keystore, PASSWORD)


def test_no_secret_shows_in_a_repr() -> None:
    holders, complete = hold_ceremony(Sharing(2, 3))
    holdings = Holdings(holders[0].account, holders[0].opening, {1: complete[0]})
    text = repr(holdings) + repr(complete[0].seeds) + repr(complete[0].complete())
    for seed in complete[0].seeds.values():
        assert seed.secret.hex() not in text
        assert repr(seed.secret)[2:-1] not in text
    assert repr(holders[0].account)[2:-1] not in text
