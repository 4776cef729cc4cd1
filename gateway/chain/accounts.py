"""The gateway's own accounts: their key files, and which consumers named its recorder."""

import os
import re
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateway.errors import SettingsError
from ledger.chain import contract_reads
from ledger.chain.events import Contracts
from ledger.chain.rpc import AsyncRpc
from ledger.crypto.keyfile import Envelope, EnvelopeError, decrypt
from ledger.jsonio import UNREADABLE, JsonError, check_depth

_MAX_BYTES: Final = 4096
_KEY: Final = 32


class _KeyFile(msgspec.Struct):
    version: Literal[3]
    crypto: Envelope


def read_key_file(path: Path, password_source: str) -> bytes:
    """Return the private key in a file, 32 bytes.

    Args:
        path: A V3 key file with scrypt.
        password_source: `fd:NUMBER` or `env:NAME`.

    Raises:
        SettingsError: The file or the password cannot be used; the message shows neither.
    """
    password = _password(password_source)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    try:
        check_depth(content)
        key = decrypt(msgspec.json.decode(content, type=_KeyFile).crypto, password)
    except (EnvelopeError, JsonError, *UNREADABLE) as error:
        if isinstance(error, EnvelopeError) and error.wrong_password:
            raise SettingsError(f"{path}: wrong password, or the file was changed") from error
        raise SettingsError(f"{path} is not a key file with scrypt") from error
    if len(key) != _KEY:
        raise SettingsError(f"{path} does not hold an account's key")
    return key


def _password(source: str) -> bytes:
    scheme, _, rest = source.partition(":")
    if scheme == "env" and rest:
        value = os.environ.get(rest)
        if not value:
            raise SettingsError(f"the environment has no {rest}")
        return value.encode()
    if scheme == "fd" and re.fullmatch(r"[0-9]{1,6}", rest):
        return _read(int(rest))
    raise SettingsError("a password comes from fd:NUMBER or env:NAME")


def _read(descriptor: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MAX_BYTES)
    except OSError as error:
        raise SettingsError(f"file descriptor {descriptor} cannot be read") from error
    return data.removesuffix(b"\n").removesuffix(b"\r")


_KEPT: Final = 60.0
"""Seconds for which a consumer that named us is not asked about again. One that did not is each time."""


class Namings:
    """Asks who named a recorder. Belongs to one event loop."""

    def __init__(self, rpc: AsyncRpc, contracts: Contracts, recorder: bytes) -> None:
        self._rpc = rpc
        self._contracts = contracts
        self._recorder = recorder
        self._named: dict[bytes, float] = {}
        """When we asked last (monotonic seconds). Bounded: only parties of the registry name anybody."""

    async def ask(self, consumer: bytes) -> bool:
        """Return whether a consumer named our recorder.

        Raises:
            RpcError: the node cannot be asked.
        """
        if self._named.get(consumer, float("-inf")) > time.monotonic() - _KEPT:
            return True
        call = contract_reads.may_record(self._contracts, consumer, self._recorder)
        named = await self._rpc.send(call)
        if named:
            self._named[consumer] = time.monotonic()
        return named

    def forget(self, consumer: bytes) -> None:
        """Ask about a consumer again: the contract has passed it over."""
        self._named.pop(consumer, None)
