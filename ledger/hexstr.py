"""0x strings, the text form of bytes in JSON, settings and on the command line; and Keccak-256."""

from typing import Final

from eth_hash.backends.pysha3 import keccak256

from ledger.errors import LedgerError

__all__ = ["keccak256"]

ADDRESS_LENGTH: Final = 20
"""Bytes of an Ethereum address."""


class HexError(LedgerError, ValueError):
    """A text that should be a 0x string is not, or has another length than asked for."""


def to_hex(data: bytes) -> str:
    """Return `data` as 0x and lowercase digits."""
    return "0x" + data.hex()


def from_hex(text: str, length: int | None = None) -> bytes:
    """Return the bytes of a 0x string: an even number of digits of either case, of `length` bytes if given.

    Raises:
        HexError: no 0x in front, another character than a digit, odd, or another length.
    """
    if text[:2] != "0x":
        raise HexError("not a 0x string: 0x is missing in front")
    digits = text[2:]
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        data = b""
    # `fromhex` passes over blanks, which are no digits: then there are fewer bytes than digits say.
    if 2 * len(data) != len(digits):
        raise HexError("not a 0x string: needs an even number of hexadecimal digits")
    if length is not None and len(data) != length:
        raise HexError(f"needs {length} bytes, has {len(data)}")
    return data


def checksum_address(address: bytes) -> str:
    """Return an address in the mixed case that carries a checksum (EIP-55), for people; `HexError` if not 20 bytes."""
    if len(address) != ADDRESS_LENGTH:
        raise HexError(f"an address has {ADDRESS_LENGTH} bytes, this has {len(address)}")
    digits = address.hex()
    checks = keccak256(digits.encode("ascii")).hex()
    return "0x" + "".join(
        digit.upper() if check >= "8" else digit
        for digit, check in zip(digits, checks, strict=False)
    )


def parse_address(text: str) -> bytes:
    """Return an address written all in lowercase or with a right checksum; else `HexError`."""
    address = from_hex(text, ADDRESS_LENGTH)
    # The checksum costs a Keccak, so it is computed only when it is asked for.
    if text != to_hex(address) and text != checksum_address(address):
        raise HexError("the address is mistyped: its checksum (EIP-55) is wrong")
    return address
