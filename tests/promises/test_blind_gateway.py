"""Promise 7: whoever takes the gateway over, and one keyholder with it, opens no record.

The attacker gets the gateway's database, its settings and journal, everything in its memory while it
serves, and a keyholder's opened keystore. With a second keystore it opens the record, and with the one
missing seed lying about anywhere it would find it: so the search is real.
"""

import base64
import binascii
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.api.access import decode_result
from ledger.crypto.records import EncryptedRecord
from ledger.crypto.secret_sharing import (
    DatasetKeys,
    HolderSeeds,
    Share,
    combine_subkeys,
    derive_subkeys,
    field_key,
)
from ledger.encoding import part_message, record_context, value_context
from scripts.scenario import FIELDS, SHARING
from tests.promises.test_whole_way import Town
from tests.support.city import City, gateway_process
from tests.support.dumping_gateway import read_dump

pytestmark = pytest.mark.slow

_HEX = re.compile(rb"(?:0x)?((?:[0-9a-fA-F]{2}){32,})")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{43,}={0,2}")


@dataclass(frozen=True)
class Target:
    city: City
    record: EncryptedRecord
    index: int = 0

    @property
    def message(self) -> bytes:
        """What gives the field's part of a key."""
        context = record_context(self.record.number, self.record.salt)
        return part_message(context, self.city.schema.encoded[self.index])

    def opens(self, key: bytes) -> bool:
        """Whether this key decrypts the field."""
        ciphertext = self.record.ciphertexts[self.index]
        assert ciphertext is not None
        context = value_context(
            self.city.schema.dataset, record_context(self.record.number, self.record.salt)
        )
        try:
            AESGCM(key).decrypt(
                ciphertext[:12], ciphertext[12:], context + self.city.schema.encoded[self.index]
            )
        except InvalidTag:
            return False
        return True

    def opened_by(self, keys: DatasetKeys) -> bool:
        """Whether a dataset's keys open the field."""
        return self.opens(field_key(keys, self.message)[0])


def attack(target: Target, loot: Iterable[bytes], seeds: HolderSeeds) -> bool:
    """Try every 32 bytes of the loot as whatever is missing; return whether the field opens."""
    dataset = target.city.schema.dataset
    mine = {share.subset: share.secret for share in derive_subkeys(seeds, dataset).subkeys}
    (missing,) = [subset for subset in SHARING.subsets if subset not in mine]
    for candidate in {key for data in loot for key in _keys_in(data) if _looks_random(key)}:
        if target.opens(candidate):  # the field's key itself
            return True
        as_seed = derive_subkeys(HolderSeeds(2, seeds.epoch, (Share(missing, candidate),)), dataset)
        for subkey in (candidate, as_seed.subkeys[0].secret):
            found = {**mine, missing: subkey}
            keys = DatasetKeys(
                seeds.epoch, dataset, tuple(found[subset] for subset in SHARING.subsets)
            )
            if target.opened_by(keys):
                return True
    return False


def _looks_random(data: bytes) -> bool:
    """Whether 32 bytes can be a key: of a billion random ones none is all ASCII or repeats so much."""
    return len(data) == 32 and not data.isascii() and len(set(data)) >= 16


def _keys_in(data: bytes) -> Iterator[bytes]:
    """Yield what could be a key in some bytes: themselves, cut up, or written as hex or base64."""
    for start in range(0, min(len(data), 1024) - 31, 32 if len(data) > 96 else 1):
        yield data[start : start + 32]
    for found in _HEX.findall(data[:4096]):
        decoded = bytes.fromhex(found.decode())
        for start in range(0, len(decoded) - 31, 32):
            yield decoded[start : start + 32]
    for found in _BASE64.findall(data[:4096]):
        try:
            yield base64.b64decode(found + b"==", altchars=b"-_" if b"-" in found else None)[:32]
        except (binascii.Error, ValueError):
            continue


@pytest.fixture(scope="module")
def looted(city: City, tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, list[bytes]]:
    """Let a gateway serve, then take all that it has."""
    home = tmp_path_factory.mktemp("gateway")
    memory = home / "memory"
    module = ("tests.support.dumping_gateway", str(memory))
    with gateway_process(city, home, module=module) as gateway:
        town = Town(city, gateway, {})
        person = city.person()
        town.publish()
        for _ in range(3):
            result = decode_result(town.use(town.granted(person)).content)
            assert len(city.open(result)) == 2
        town.close()
        os.kill(gateway.process.pid, signal.SIGUSR1)
        _wait_for(memory)
    loot = read_dump(memory)
    assert len(loot) > 10_000
    for path in sorted(home.rglob("*")):
        if path.is_file() and path != memory:
            data = path.read_bytes()
            loot += [data[at : at + 96] for at in range(0, len(data), 64)]
    loot += [f"{name}={value}".encode() for name, value in os.environ.items()]
    record = next(one for one in city.records if one.owner == person.owner)
    return Target(city, record), loot


def _wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, "the gateway did not dump its memory"
        time.sleep(0.1)


def test_gateway_and_one_keyholder_together_open_nothing(
    looted: tuple[Target, list[bytes]],
) -> None:
    target, loot = looted
    assert not attack(target, loot, target.city.holders[0].newest().complete())


def test_two_keyholders_open_it(looted: tuple[Target, list[bytes]]) -> None:
    target, _ = looted
    for pair in ((0, 1), (0, 2), (1, 2)):
        subkeys = [
            derive_subkeys(
                target.city.holders[place].newest().complete(), target.city.schema.dataset
            )
            for place in pair
        ]
        assert target.opened_by(combine_subkeys(SHARING, subkeys))


@pytest.mark.parametrize("form", ["seed", "subkey", "key", "hex", "base64"])
def test_the_search_would_find_the_one_secret_that_is_missing(
    looted: tuple[Target, list[bytes]], form: str
) -> None:
    target, _ = looted
    first, second, _ = [holder.newest().complete() for holder in target.city.holders]
    held = {share.subset for share in first.seeds}
    seed = next(share.secret for share in second.seeds if share.subset not in held)
    subkey = next(
        share.secret
        for share in derive_subkeys(second, target.city.schema.dataset).subkeys
        if share.subset not in held
    )
    planted = {
        "seed": b"in the middle " + seed + b" of something",
        "subkey": subkey,
        "key": field_key(target.city.keys, target.message)[0],
        "hex": b'{"seed":"0x' + seed.hex().encode() + b'"}',
        "base64": b'{"seed":"' + base64.b64encode(seed) + b'"}',
    }
    assert attack(target, [os.urandom(64), planted[form]], first)


def test_the_gateway_keeps_no_value_that_a_person_would_recognize(
    looted: tuple[Target, list[bytes]],
) -> None:
    _, loot = looted
    values = [f"{FIELDS[index]} of ".encode() for index in range(len(FIELDS))]
    assert not any(value in data for data in loot for value in values)
