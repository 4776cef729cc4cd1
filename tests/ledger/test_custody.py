"""Custody: any k keyholders can make a key, k-1 cannot, and a wrong share is noticed and named."""

import hashlib
import hmac
import pickle
import re
from itertools import combinations
from typing import Any

import msgspec
import pytest

from ledger.crypto.secret_sharing import (
    MAX_SUBSETS,
    HolderParts,
    HolderSeeds,
    HolderSubkeys,
    RecordKeys,
    Release,
    Seed,
    Share,
    Sharing,
    assemble_seeds,
    combine_parts,
    combine_subkeys,
    derive_parts,
    derive_subkeys,
    draw_seeds,
    pack,
    unpack,
)
from ledger.encoding import Schema
from ledger.errors import (
    CustodyError,
    MalformedError,
)
from tests.support.provider import provider_keys
from tests.vectors.files import vectors

VECTORS = vectors("custody.json")

SHARINGS = [Sharing(1, 1), Sharing(1, 3), Sharing(2, 3), Sharing(3, 3), Sharing(3, 5)]
SCHEMA = Schema(hashlib.sha256(b"dataset").digest(), ("name", "district", "area"))
SALT = hashlib.sha256(b"salt").digest()
NUMBER = 7
EPOCH = 2


def make_holders(sharing: Sharing, epoch: int = EPOCH) -> list[HolderSeeds]:
    """Every holder draws the seeds that it leads, and gets the others it may have."""
    numbers = range(1, sharing.holders + 1)
    drawn = [seed for holder in numbers for seed in draw_seeds(sharing, holder, epoch)]
    return [
        assemble_seeds(sharing, holder, epoch, [seed for seed in drawn if holder in seed.subset])
        for holder in numbers
    ]


def make_subkeys(sharing: Sharing) -> list[HolderSubkeys]:
    return [derive_subkeys(seeds, SCHEMA.dataset) for seeds in make_holders(sharing)]


def make_parts(subkeys: list[HolderSubkeys], salt: bytes = SALT) -> list[HolderParts]:
    return [derive_parts(subkey, SCHEMA, NUMBER, salt, (0, 2)) for subkey in subkeys]


def with_share(parts: HolderParts, place: int, share: Share) -> HolderParts:
    shares = (*parts.shares[:place], share, *parts.shares[place + 1 :])
    return msgspec.structs.replace(parts, shares=shares)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_any_k_holders_make_the_keys_that_the_provider_encrypted_with(sharing: Sharing) -> None:
    subkeys = make_subkeys(sharing)
    parts = make_parts(subkeys)
    expected: set[RecordKeys] = set()
    for chosen in combinations(range(sharing.holders), sharing.threshold):
        keys = combine_subkeys(sharing, [subkeys[at] for at in chosen])
        expected.add(provider_keys(keys, SCHEMA, NUMBER, SALT, (0, 2)))
        expected.add(combine_parts(sharing, [parts[at] for at in chosen]))
    assert len(expected) == 1


@pytest.mark.parametrize("sharing", SHARINGS)
def test_any_fewer_holders_miss_a_subset_and_the_error_names_it(sharing: Sharing) -> None:
    subkeys = make_subkeys(sharing)
    parts = make_parts(subkeys)
    numbers = range(1, sharing.holders + 1)
    for chosen in combinations(numbers, sharing.threshold - 1):
        others = tuple(holder for holder in numbers if holder not in chosen)
        known = {subset for holder in chosen for subset in sharing.subsets_of(holder)}
        assert others in sharing.subsets
        assert others not in known
        with pytest.raises(CustodyError) as missing:
            combine_parts(sharing, [parts[holder - 1] for holder in chosen])
        named = re.search(r"subset \{(.*)\}", str(missing.value))
        assert named is not None
        assert tuple(map(int, named[1].split(", "))) not in known
        with pytest.raises(CustodyError, match="no share of subset"):
            combine_subkeys(sharing, [subkeys[holder - 1] for holder in chosen])


@pytest.mark.parametrize("sharing", SHARINGS)
def test_every_subset_has_a_seed_of_its_own_and_its_holders_know_it(sharing: Sharing) -> None:
    known: dict[tuple[int, ...], set[bytes]] = {}
    for holder in make_holders(sharing):
        assert tuple(share.subset for share in holder.seeds) == sharing.subsets_of(holder.holder)
        for share in holder.seeds:
            known.setdefault(share.subset, set()).add(share.secret)
    assert sorted(known) == list(sharing.subsets)
    assert all(len(seeds) == 1 for seeds in known.values())
    assert len(set.union(*known.values())) == len(sharing.subsets)


def test_subsets_are_all_of_their_size_in_order() -> None:
    assert Sharing(1, 1).subsets == ((1,),)
    assert Sharing(2, 3).subsets == ((1, 2), (1, 3), (2, 3))
    assert Sharing(2, 3).subsets_of(2) == ((1, 2), (2, 3))
    assert len(Sharing(3, 5).subsets) == 10


def test_two_holders_that_disagree_are_named_with_their_subset() -> None:
    sharing = Sharing(2, 3)
    first, second, _ = make_parts(make_subkeys(sharing))
    wrong = with_share(second, 0, Share((1, 2), bytes(64)))
    with pytest.raises(CustodyError, match=r"keyholders 1 and 2 .* \{1, 2\}"):
        combine_parts(sharing, [first, wrong])


def test_two_holders_with_different_subkeys_are_named() -> None:
    sharing = Sharing(2, 3)
    one, other = make_subkeys(sharing), make_subkeys(sharing)
    with pytest.raises(CustodyError, match=r"\{1, 2\}"):
        combine_subkeys(sharing, [one[0], other[1]])


def test_shares_that_are_not_the_holders_own_are_refused() -> None:
    sharing = Sharing(2, 3)
    first, second, third = make_parts(make_subkeys(sharing))
    renamed = msgspec.structs.replace(second, holder=3)
    with pytest.raises(CustodyError, match="keyholder 3"):
        combine_parts(sharing, [first, renamed])
    fewer = msgspec.structs.replace(second, shares=second.shares[:1])
    with pytest.raises(CustodyError, match="keyholder 2"):
        combine_parts(sharing, [first, fewer])
    short = with_share(third, 1, Share((2, 3), bytes(32)))
    with pytest.raises(CustodyError, match="64 bytes"):
        combine_parts(sharing, [first, short])
    nobody = msgspec.structs.replace(second, holder=4)
    with pytest.raises(MalformedError, match="no keyholder 4"):
        combine_parts(sharing, [first, nobody])


@pytest.mark.parametrize(
    "change", [{"epoch": 3}, {"number": 8}, {"salt": bytes(32)}, {"indices": (0, 1)}]
)
def test_parts_of_different_records_do_not_mix(change: dict[str, Any]) -> None:
    sharing = Sharing(2, 3)
    first, second, _ = make_parts(make_subkeys(sharing))
    with pytest.raises(CustodyError, match="same record"):
        combine_parts(sharing, [first, msgspec.structs.replace(second, **change)])


def test_subkeys_of_different_datasets_or_epochs_do_not_mix() -> None:
    sharing = Sharing(2, 3)
    first, second, _ = make_holders(sharing)
    for other in (
        derive_subkeys(second, bytes(32)),
        derive_subkeys(msgspec.structs.replace(second, epoch=EPOCH + 1), SCHEMA.dataset),
    ):
        with pytest.raises(CustodyError, match="same dataset and epoch"):
            combine_subkeys(sharing, [derive_subkeys(first, SCHEMA.dataset), other])


def test_keys_differ_by_field_record_encryption_dataset_and_epoch() -> None:
    sharing = Sharing(2, 3)
    seeds = make_holders(sharing)[:2]
    other_dataset = Schema(bytes(32), SCHEMA.names)
    renamed = Schema(SCHEMA.dataset, ("name", "district", "size"))
    later = [msgspec.structs.replace(seed, epoch=EPOCH + 1) for seed in seeds]
    found: list[bytes] = []
    for holders, schema, number, salt in (
        (seeds, SCHEMA, 7, SALT),
        (seeds, SCHEMA, 8, SALT),
        (seeds, SCHEMA, 7, bytes(32)),
        (seeds, other_dataset, 7, SALT),
        (later, SCHEMA, 7, SALT),
    ):
        keys = combine_subkeys(
            sharing, [derive_subkeys(holder, schema.dataset) for holder in holders]
        )
        for field in provider_keys(keys, schema, number, salt, (0, 1, 2)).fields:
            found += [field.key, field.salt]
    keys = combine_subkeys(sharing, [derive_subkeys(seed, SCHEMA.dataset) for seed in seeds])
    (area,) = provider_keys(keys, renamed, 7, SALT, (2,)).fields
    found += [area.key, area.salt]
    assert len(set(found)) == len(found) == 32


def test_seeds_are_assembled_only_from_exactly_the_holders_own() -> None:
    sharing = Sharing(2, 3)
    drawn = {seed.subset: seed for holder in (1, 2) for seed in draw_seeds(sharing, holder, EPOCH)}
    mine = [drawn[1, 2], drawn[2, 3]]
    assert assemble_seeds(sharing, 2, EPOCH, [*mine, drawn[1, 2]]).holder == 2
    with pytest.raises(CustodyError, match=r"\{2, 3\}"):
        assemble_seeds(sharing, 2, EPOCH, mine[:1])
    with pytest.raises(CustodyError, match="is not in"):
        assemble_seeds(sharing, 2, EPOCH, [*mine, drawn[1, 3]])
    with pytest.raises(CustodyError, match="two different seeds"):
        assemble_seeds(sharing, 2, EPOCH, [*mine, Seed(EPOCH, (1, 2), bytes(32))])
    with pytest.raises(CustodyError, match="epoch"):
        assemble_seeds(sharing, 2, EPOCH + 1, mine)
    with pytest.raises(MalformedError, match="no keyholder 4"):
        draw_seeds(sharing, 4, EPOCH)


@pytest.mark.parametrize(("threshold", "holders"), [(0, 1), (2, 1), (-1, 3), (10, 20), (1, 10**9)])
def test_impossible_or_unwieldy_sharings_are_refused(threshold: int, holders: int) -> None:
    with pytest.raises(MalformedError, match=rf"impossible|{MAX_SUBSETS}"):
        Sharing(threshold, holders)


@pytest.mark.parametrize("indices", [(), (1, 0), (1, 1), (3,), (-1, 0)])
def test_fields_outside_the_schema_are_refused(indices: tuple[int, ...]) -> None:
    (subkeys,) = make_subkeys(Sharing(1, 1))
    with pytest.raises(MalformedError, match="increasing"):
        derive_parts(subkeys, SCHEMA, NUMBER, SALT, indices)


def test_a_wrong_dataset_salt_or_number_is_refused() -> None:
    sharing = Sharing(1, 1)
    (subkeys,) = make_subkeys(sharing)
    with pytest.raises(MalformedError, match="another dataset"):
        derive_parts(subkeys, Schema(bytes(32), SCHEMA.names), NUMBER, SALT, (0,))
    with pytest.raises(MalformedError, match="salt has 31 bytes"):
        derive_parts(subkeys, SCHEMA, NUMBER, bytes(31), (0,))
    with pytest.raises(MalformedError, match="2\\^64"):
        derive_parts(subkeys, SCHEMA, 2**64, SALT, (0,))


def test_what_is_packed_comes_back_and_nothing_else_is_accepted() -> None:
    sharing = Sharing(2, 3)
    seeds = make_holders(sharing)[0]
    subkeys = derive_subkeys(seeds, SCHEMA.dataset)
    release = Release((derive_parts(subkeys, SCHEMA, NUMBER, SALT, (0, 2)),))
    (seed,) = draw_seeds(sharing, 2, EPOCH)
    assert unpack(pack(seeds), HolderSeeds) == seeds
    assert unpack(pack(subkeys), HolderSubkeys) == subkeys
    assert unpack(pack(release), Release) == release
    assert unpack(pack(seed), Seed) == seed
    packed = pack(release)
    for bad in (b"", packed[:-1], packed + b"\x00", b"\x02" + packed[1:], pack(seeds), b"\x01\xc1"):
        with pytest.raises(MalformedError):
            unpack(bad, Release)


def test_secrets_are_not_shown() -> None:
    sharing = Sharing(1, 1)
    (seeds,) = make_holders(sharing)
    subkeys = derive_subkeys(seeds, SCHEMA.dataset)
    parts = derive_parts(subkeys, SCHEMA, NUMBER, SALT, (0,))
    keys = combine_parts(sharing, [parts])
    secrets = [seeds.seeds[0].secret, subkeys.subkeys[0].secret, parts.shares[0].secret]
    secrets += [keys.fields[0].key, keys.fields[0].salt]
    dataset_keys = combine_subkeys(sharing, [subkeys])
    for shown in (seeds, subkeys, parts, Release((parts,)), dataset_keys, seeds.seeds[0], keys):
        texts = repr(shown) + str(getattr(shown, "__rich_repr__", list)())
        assert not any(repr(secret)[2:-1] in texts for secret in secrets)


def test_what_a_process_pool_needs_can_be_pickled() -> None:
    sharing = Sharing(2, 3)
    keys = combine_subkeys(sharing, make_subkeys(sharing))
    for value in (sharing, SCHEMA, keys):
        assert pickle.loads(pickle.dumps(value)) == value
    assert pickle.loads(pickle.dumps(SCHEMA)).encoded == SCHEMA.encoded


@pytest.mark.parametrize("case", VECTORS["sharings"])
def test_vectors_of_the_spec(case: dict[str, Any]) -> None:
    """The byte formulas of the spec page, written out with nothing from `ledger`."""
    dataset, salt = bytes.fromhex(VECTORS["dataset"][2:]), bytes.fromhex(VECTORS["salt"][2:])
    epoch = VECTORS["epoch"].to_bytes(4, "big")
    number = VECTORS["number"].to_bytes(8, "big")
    for place, field in enumerate(VECTORS["fields"]):
        name = field["name"].encode()
        encoded = field["index"].to_bytes(4, "big") + len(name).to_bytes(4, "big") + name
        prk = bytes(32)
        for subset in case["subsets"]:
            seed = bytes.fromhex(subset["seed"][2:])
            subkey = by_hand(seed, b"quancheng/1/dataset" + epoch + dataset)
            part = by_hand(subkey, b"quancheng/1/field" + number + salt + encoded)
            assert "0x" + subkey.hex() == subset["subkey"]
            assert "0x" + part.hex() == subset["parts"][place]
            prk = bytes(a ^ b for a, b in zip(prk, part, strict=True))
        key = by_hand(prk, b"quancheng/1/key+salt\x01")
        commitment_salt = by_hand(prk, key + b"quancheng/1/key+salt\x02")
        expected = {"index": field["index"], "key": hexed(key), "salt": hexed(commitment_salt)}
        assert case["keys"][place] == expected


@pytest.mark.parametrize("case", VECTORS["sharings"])
def test_the_library_gives_the_vectors_of_the_spec(case: dict[str, Any]) -> None:
    sharing = Sharing(case["threshold"], case["holders"])
    assert [tuple(one["holders"]) for one in case["subsets"]] == list(sharing.subsets)
    seeds = [
        Seed(VECTORS["epoch"], tuple(one["holders"]), bytes.fromhex(one["seed"][2:]))
        for one in case["subsets"]
    ]
    dataset, salt = bytes.fromhex(VECTORS["dataset"][2:]), bytes.fromhex(VECTORS["salt"][2:])
    indices = tuple(field["index"] for field in VECTORS["fields"])
    names = [f"field {at}" for at in range(max(indices) + 1)]
    for field in VECTORS["fields"]:
        names[field["index"]] = field["name"]
    schema = Schema(dataset, tuple(names))
    handed = []
    for holder in range(1, sharing.threshold + 1):
        mine = [seed for seed in seeds if holder in seed.subset]
        held = assemble_seeds(sharing, holder, VECTORS["epoch"], mine)
        subkeys = derive_subkeys(held, dataset)
        handed.append(derive_parts(subkeys, schema, VECTORS["number"], salt, indices))
    keys = combine_parts(sharing, handed)
    found = [{"index": f.index, "key": hexed(f.key), "salt": hexed(f.salt)} for f in keys.fields]
    assert found == case["keys"]


def by_hand(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def hexed(data: bytes) -> str:
    return "0x" + data.hex()
