"""A keyholder that lies: stands before a real one, and changes what it says as a test tells it."""

import json
import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import msgspec

from ledger.api import Refusal, ReleaseTask, SealedParts
from ledger.api.keyholder import decode_tasks, encode_answers
from ledger.crypto.hpke import DecryptionKey, EncryptionKey, Purpose
from ledger.crypto.released_parts import sign_statements, state_parts, subkeys_digest
from ledger.crypto.secret_sharing import HolderParts, Release, derive_parts, derive_subkeys, pack
from ledger.crypto.signatures import sign
from ledger.encoding import Schema
from ledger.hexstr import from_hex, to_hex
from ledger.typed_data import Domain, digest
from tests.support.http_servers import http_server
from wallet.keyholder.seeds import Holdings

Change = Callable[[HolderParts], HolderParts]


def noise(parts: HolderParts) -> HolderParts:
    shares = [
        msgspec.structs.replace(share, secret=os.urandom(len(share.secret)))
        for share in parts.shares
    ]
    return msgspec.structs.replace(parts, shares=tuple(shares))


def of_another_record(parts: HolderParts) -> HolderParts:
    return msgspec.structs.replace(parts, number=parts.number + 1, salt=bytes(32))


def of_another_number(parts: HolderParts) -> HolderParts:
    return msgspec.structs.replace(parts, holder=1 + parts.holder % 3)


def of_fewer_fields(parts: HolderParts) -> HolderParts:
    return msgspec.structs.replace(parts, indices=parts.indices[:-1])


def without_a_subset(parts: HolderParts) -> HolderParts:
    return msgspec.structs.replace(parts, shares=parts.shares[:-1])


def nested(packed: bytes, depth: int = 200_000) -> bytes:
    """A message with one element more, which is nested deeper than decoders go."""
    version, head, rest = packed[:1], packed[1], packed[2:]
    return version + bytes([head + 1]) + rest + b"\x91" * depth + b"\x90"


@dataclass
class Liar:
    """What it says now. Switched by assigning; honest at first."""

    holdings: Holdings
    real: str
    """Where the real one answers."""
    schema: Schema
    domain: Domain
    """Of access requests."""
    description: dict[str, Any] = field(default_factory=dict)
    """What it says of itself instead."""
    change: Change | None = None
    """What it does to its parts before it seals them."""
    seals_to_another: bool = False
    signs_as_another: bool = False
    nests_deep: bool = False
    subkeys: dict[str, Any] = field(default_factory=dict)
    """What it says instead beside subkeys."""
    provider: tuple[bytes, EncryptionKey] | None = None
    """To whom it hands subkeys; the real one refuses what was signed for another name."""
    adds: int = 0
    """Bytes of noise behind what it seals."""
    garbage: bytes | None = None
    """What it says to every question for parts."""
    refuses: Refusal | None = None
    delay: float = 0.0
    asked: int = 0
    """Times that it was asked for parts."""
    url: str = ""

    def be_honest(self) -> None:
        """Say nothing but what the real one says."""
        self.description, self.change, self.seals_to_another = {}, None, False
        self.signs_as_another, self.nests_deep, self.adds = False, False, 0
        self.garbage, self.refuses, self.delay, self.asked = None, None, 0.0, 0

    def answer(self, path: str, body: bytes, real: httpx.Response) -> bytes:
        """Return what it says instead of what the real one said."""
        if path == "/v1/holder":
            return json.dumps({**real.json(), **self.description}).encode()
        if path != "/v1/releases":
            return real.content
        self.asked += 1
        time.sleep(self.delay)
        if self.garbage is not None:
            return self.garbage
        tasks = decode_tasks(body)
        if self.refuses is not None:
            return encode_answers([self.refuses] * len(tasks))
        others = (self.seals_to_another, self.signs_as_another, self.nests_deep, self.adds)
        if self.change is None and not any(others):
            return real.content
        return encode_answers([self._parts(task) for task in tasks])

    def hand_subkeys(self, body: bytes) -> bytes:
        assert self.provider is not None
        address, key = self.provider
        asked = json.loads(body)
        dataset = from_hex(asked["dataset"])
        seeds = self.holdings.epochs[asked["epoch"]]
        subkeys = derive_subkeys(seeds.complete(), dataset)
        sealed = key.seal(pack(subkeys), Purpose.SUBKEYS, dataset)
        digest_ = subkeys_digest(seeds.roster.digest(), dataset, address, sealed, self.domain)
        told = {
            "holder": seeds.number,
            "epoch": seeds.roster.epoch,
            "sealed": b64encode(sealed).decode("ascii"),
            "signature": to_hex(sign(digest_, self.holdings.account)),
        }
        return json.dumps(told | self.subkeys).encode()

    def _parts(self, task: ReleaseTask) -> SealedParts:
        request = task.submission.request
        subkeys = derive_subkeys(self.holdings.newest().complete(), task.dataset)
        indices = self.schema.indices(request.fields)
        own = [
            derive_parts(subkeys, self.schema, record.number, record.salt, indices)
            for record in task.records
        ]
        parts = [one if self.change is None else self.change(one) for one in own]
        key = EncryptionKey(task.submission.key)
        if self.seals_to_another:
            key = DecryptionKey.generate().encryption_key
        asked, release = digest(request, self.domain), Release(tuple(parts))
        account = os.urandom(32) if self.signs_as_another else self.holdings.account
        rosters = [epoch.roster for epoch in self.holdings.epochs.values()]
        statement = state_parts(asked, release, rosters)
        (signed,) = sign_statements([statement], account, self.domain)
        plain = nested(pack(release)) if self.nests_deep else pack(release)
        sealed = key.seal(plain, Purpose.RELEASE, asked)
        return SealedParts(sealed + bytes(self.adds), signed)


@contextmanager
def standing_before(liar: Liar) -> Iterator[Liar]:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        if request.path == "/v1/subkeys":
            return 200, liar.hand_subkeys(body)
        real = client.request(request.command, liar.real + request.path, content=body)
        said = liar.answer(request.path, body, real) if real.is_success else real.content
        return real.status_code, said

    with httpx.Client(timeout=30) as client, http_server(answer) as liar.url:
        yield liar


def another_roster(holdings: Holdings) -> dict[str, Any]:
    """What a keyholder says that names other members, another epoch and another threshold."""
    epoch = {"epoch": 7, "number": 1, "threshold": 99, "members": [to_hex(holdings.address)] * 3}
    return {"epochs": [{**epoch, "complete": True}]}
