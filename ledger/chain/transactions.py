"""Raw transactions: building, signing and reading them, and what they offer for gas."""

import re
from typing import Any, Final, Self

import msgspec
import rlp

from ledger.chain.decoders import decode_rlp
from ledger.crypto import signatures
from ledger.errors import LedgerError, MalformedError, SettingError
from ledger.hexstr import ADDRESS_LENGTH, keccak256

GAS_CAP: Final = 16_777_216
"""Most gas that one transaction may use (EIP-7825)."""

_DYNAMIC_FEE: Final = 2
_LEGACY_FIRST: Final = 0xC0
_LEGACY_MEMBERS: Final = 9
_DYNAMIC_FEE_MEMBERS: Final = 12
_FIRST_V: Final = 27
_EIP155_V: Final = 35
_NUMBER_LENGTH: Final = 32


MAX_RAW: Final = 256 * 1024
"""Bytes of a raw transaction at most: a dataset of 256 fields with the longest names that contracts take has 230 kB."""


class Fee(msgspec.Struct, frozen=True):
    """What a transaction offers, wei per gas."""

    most: int
    """Zero on a chain without a price."""
    priority: int = 0
    """What of it goes to the validator above the base fee."""

    def raised(self) -> "Fee":
        """Return the least fee that nodes take as a replacement: an eighth more."""
        return Fee(most=_raised(self.most), priority=_raised(self.priority))


class Transaction(msgspec.Struct, frozen=True):
    """A transaction to sign."""

    chain_id: int
    nonce: int
    gas: int
    """Most that it may use."""
    fee: Fee
    to: bytes | None
    """None creates a contract."""
    data: bytes


class SignedTransaction(msgspec.Struct, frozen=True):
    """A transaction as it travels, and what is in it."""

    raw: bytes
    hash: bytes
    sender: bytes
    content: Transaction


def sign_transaction(transaction: Transaction, private_key: bytes) -> SignedTransaction:
    """Sign a transaction; deterministic.

    Raises:
        SigningError: not a private key.
    """
    legacy = transaction.fee.most == 0
    members = _legacy_members(transaction) if legacy else _dynamic_fee_members(transaction)
    prefix = b"" if legacy else bytes([_DYNAMIC_FEE])
    unsigned = [*members, _bytes(transaction.chain_id), b"", b""] if legacy else members
    signature = signatures.sign(keccak256(prefix + rlp.encode(unsigned)), private_key)
    parity = signature[64] - _FIRST_V
    v = transaction.chain_id * 2 + _EIP155_V + parity if legacy else parity
    raw = prefix + rlp.encode(
        [*members, _bytes(v), signature[:32].lstrip(b"\0"), signature[32:64].lstrip(b"\0")]
    )
    return SignedTransaction(raw, keccak256(raw), signatures.address_of(private_key), transaction)


def parse_transaction(raw: bytes) -> SignedTransaction:
    """Return a signed transaction, and who signed it.

    Raises:
        MalformedError: not a legacy transaction with a chain id or one with a fee cap, not
            canonical RLP, one that carries value or an access list, or its signature is malformed.
    """
    if not raw:
        raise MalformedError("an empty transaction").labelled("Transaction")
    try:
        return _parse_legacy(raw) if raw[0] >= _LEGACY_FIRST else _parse_dynamic_fee(raw)
    except (ValueError, LedgerError) as error:
        raise MalformedError(f"not a signed transaction: {error}").labelled(
            "Transaction"
        ) from error


def created_address(sender: bytes, nonce: int) -> bytes:
    """Return the address of the contract that a sender's transaction creates (Yellow Paper, 7)."""
    encoded: bytes = rlp.encode([sender, _bytes(nonce)])
    return keccak256(encoded)[-ADDRESS_LENGTH:]


def _parse_legacy(raw: bytes) -> SignedTransaction:
    nonce, price, gas, to, value, data, v, r, s = _members(raw, _LEGACY_MEMBERS)
    if _int(v) < _EIP155_V:
        raise ValueError("it names no chain")
    chain_id, parity = divmod(_int(v) - _EIP155_V, 2)
    unsigned = rlp.encode([nonce, price, gas, to, value, data, _bytes(chain_id), b"", b""])
    content = _content(chain_id, nonce, gas, Fee(_int(price), _int(price)), to, value, data)
    sender = _sender(unsigned, r, s, parity)
    return SignedTransaction(raw, keccak256(raw), sender, content)


def _parse_dynamic_fee(raw: bytes) -> SignedTransaction:
    if raw[0] != _DYNAMIC_FEE:
        raise ValueError(f"type {raw[0]} is not taken")
    members = _members(raw[1:], _DYNAMIC_FEE_MEMBERS)
    chain_id, nonce, priority, most, gas, to, value, data, access_list, parity, r, s = members
    if access_list:
        raise ValueError("access lists are not taken")
    fee = Fee(_int(most), _int(priority))
    content = _content(_int(chain_id), nonce, gas, fee, to, value, data)
    unsigned = raw[:1] + rlp.encode(members[:9])
    sender = _sender(unsigned, r, s, _int(parity))
    return SignedTransaction(raw, keccak256(raw), sender, content)


def _members(encoded: bytes, count: int) -> list[Any]:
    members = decode_rlp(encoded, most_items=2 * count)
    if not isinstance(members, list) or len(members) != count:
        raise ValueError(f"it has not {count} members")
    # The access list, a list itself, is the only member that may not be bytes; `_parse` refuses it.
    if not all(isinstance(member, bytes) or member == [] for member in members):
        raise ValueError("access lists are not taken")
    return members


def _content(
    chain_id: int, nonce: bytes, gas: bytes, fee: Fee, to: bytes, value: bytes, data: bytes
) -> Transaction:
    if _int(value):
        raise ValueError("it carries value")
    if len(to) not in (0, ADDRESS_LENGTH):
        raise ValueError("its receiver is not an address")
    return Transaction(chain_id, _int(nonce), _int(gas), fee, to or None, data)


def _sender(unsigned: bytes, r: bytes, s: bytes, parity: int) -> bytes:
    if parity not in (0, 1) or len(r) > _NUMBER_LENGTH or len(s) > _NUMBER_LENGTH:
        raise ValueError("its signature is malformed")
    signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([_FIRST_V + parity])
    return signatures.recover(keccak256(unsigned), signature)


def _legacy_members(content: Transaction) -> list[bytes]:
    price, to = _bytes(content.fee.most), content.to or b""
    return [_bytes(content.nonce), price, _bytes(content.gas), to, b"", content.data]


def _dynamic_fee_members(content: Transaction) -> list[Any]:
    return [
        _bytes(content.chain_id),
        _bytes(content.nonce),
        _bytes(content.fee.priority),
        _bytes(content.fee.most),
        _bytes(content.gas),
        content.to or b"",
        b"",
        content.data,
        [],
    ]


def _raised(price: int) -> int:
    return price + price // 8 + 1


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _int(data: bytes) -> int:
    if data[:1] == b"\0" or len(data) > _NUMBER_LENGTH:
        raise ValueError("a number is not canonical")
    return int.from_bytes(data, "big")


_FORM: Final = re.compile(r"([0-9]{1,38})(?::([0-9]{1,38}))?")
_SUGGESTED: Final = "node"


class FeeRule(msgspec.Struct, frozen=True):
    """How much to offer."""

    fixed: Fee | None = None
    """None: what the node suggests."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that a setting names: `node`, `PRICE`, or `MOST:PRIORITY`, in wei per gas.

        Raises:
            SettingError: It is none of these, or the priority is more than the most.
        """
        if text == _SUGGESTED:
            return cls()
        match = _FORM.fullmatch(text)
        if match is None:
            raise SettingError("a fee is node, PRICE or MOST:PRIORITY, in wei per gas").labelled(
                "Fee"
            )
        most = int(match[1])
        priority = most if match[2] is None else int(match[2])
        if priority > most:
            raise SettingError("of a fee MOST:PRIORITY the priority is at most the whole").labelled(
                "Fee"
            )
        return cls(Fee(most, priority))

    def offer(self, base_fee: int | None, gas_price: int) -> Fee:
        """Return what to offer now.

        Args:
            base_fee: of the newest block; None on a chain without.
            gas_price: what the node suggests; base fee and a tip together.
        """
        if self.fixed is not None:
            return self.fixed
        if not base_fee:
            return Fee(gas_price, gas_price)
        tip = max(gas_price - base_fee, 0)
        # Twice the base fee still suffices after six full blocks in a row (an eighth more each).
        return Fee(2 * base_fee + tip, tip)


AS_SUGGESTED: Final = FeeRule()
