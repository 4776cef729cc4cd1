"""Where passwords come from: a person, a file descriptor or the environment; never the command line.

On the command line a source is written `prompt`, `fd:3` or `env:NAME`.
"""

import getpass
import os
import re
import warnings
from collections.abc import Callable
from typing import Final

import msgspec

from wallet.errors import KeystoreError, KeystoreErrorKind

_MAX_SIZE: Final = 4096
_FIRST_FREE_DESCRIPTOR: Final = 3


class Password:
    """A password that does not show in logs and tracebacks.

    Raises:
        KeystoreError (PASSWORD): it is empty, or not Unicode text.
    """

    __slots__ = ("_bytes",)

    def __init__(self, text: str) -> None:
        try:
            self._bytes = text.encode()
        except UnicodeEncodeError:
            raise KeystoreError(
                "the password is not Unicode text", KeystoreErrorKind.PASSWORD
            ) from None
        if not text:
            raise KeystoreError("the password is empty", KeystoreErrorKind.PASSWORD)

    def reveal(self) -> bytes:
        """Return the password in UTF-8, as it goes into the key derivation."""
        return self._bytes

    def __repr__(self) -> str:
        return "Password(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Password) and self._bytes == other._bytes

    __hash__ = None  # type: ignore[assignment]


class Prompt(msgspec.Struct, frozen=True):
    """Ask the person at the terminal."""


class Descriptor(msgspec.Struct, frozen=True):
    """Read an open file descriptor to its end; one line feed at the end is no part of it."""

    number: int


class Environment(msgspec.Struct, frozen=True):
    """Take the value of an environment variable."""

    variable: str


PasswordSource = Prompt | Descriptor | Environment


def parse_source(text: str) -> PasswordSource:
    """Return the source that `prompt`, `fd:3` or `env:NAME` names.

    Raises:
        KeystoreError (PASSWORD): it is none of these.
    """
    if text == "prompt":
        return Prompt()
    scheme, _, rest = text.partition(":")
    if scheme == "fd" and re.fullmatch(r"[0-9]{1,6}", rest) and int(rest) >= _FIRST_FREE_DESCRIPTOR:
        return Descriptor(int(rest))
    if scheme == "env" and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
        return Environment(rest)
    raise KeystoreError(
        "a password comes from prompt, fd:NUMBER (from 3 on) or env:NAME",
        KeystoreErrorKind.PASSWORD,
    )


def read_password(
    source: PasswordSource,
    *,
    question: str = "Password: ",
    repeat: bool = False,
    ask: Callable[[str], str] = getpass.getpass,
) -> Password:
    """Get a password from its source.

    Args:
        source: where from.
        question: what a person is asked.
        repeat: whether a person must give it twice, as for a new one.
        ask: asks without showing what is typed.

    Raises:
        KeystoreError (PASSWORD): there is none, or the two differ.
    """
    match source:
        case Prompt():
            return _ask(ask, question, repeat=repeat)
        case Descriptor(number):
            return Password(_read(number))
        case Environment(variable):
            value = os.environ.get(variable)
            if value is None:
                raise KeystoreError(
                    f"the environment has no {variable}", KeystoreErrorKind.PASSWORD
                )
            return Password(value)


def _ask(ask: Callable[[str], str], question: str, *, repeat: bool) -> Password:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            password = Password(ask(question))
            if repeat and Password(ask("Again: ")) != password:
                raise KeystoreError("the two passwords differ", KeystoreErrorKind.PASSWORD)
    except (getpass.GetPassWarning, EOFError, OSError) as error:
        raise KeystoreError(
            "there is no terminal to ask at: use fd:NUMBER or env:NAME", KeystoreErrorKind.PASSWORD
        ) from error
    return password


def _read(descriptor: int) -> str:
    try:
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise KeystoreError(
            f"file descriptor {descriptor} cannot be read", KeystoreErrorKind.PASSWORD
        ) from error
    if len(data) > _MAX_SIZE:
        raise KeystoreError(
            f"file descriptor {descriptor} holds more than a password", KeystoreErrorKind.PASSWORD
        )
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise KeystoreError(
            f"file descriptor {descriptor} holds no UTF-8", KeystoreErrorKind.PASSWORD
        ) from None
    return text.removesuffix("\n").removesuffix("\r")
