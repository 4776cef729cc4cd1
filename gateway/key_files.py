"""The gateway's own accounts' keys: V3 key files with scrypt, as Ethereum wallets make them.

These keys send transactions. They open no record: for that there are the keyholders, elsewhere.
"""

import os
import re
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateway.errors import SettingsError
from ledger.crypto.keyfile import Envelope, EnvelopeError, decrypt
from ledger.errors import UNREADABLE
from ledger.jsonio import JsonError, check_depth

_MOST_BYTES: Final = 4096
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
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise SettingsError(f"file descriptor {descriptor} cannot be read") from error
    return data.removesuffix(b"\n").removesuffix(b"\r")
