"""The numbers that the contracts use for classes, roles and outcomes.

Source: contracts/libraries/Types.sol; a test holds one against the other.
"""

from enum import IntEnum, IntFlag
from typing import Final


class Class(IntEnum):
    """Sharing class (共享属性) or open class (开放属性) of a dataset."""

    UNCONDITIONAL = 0
    CONDITIONAL = 1
    NOT_SHARED = 2


class Roles(IntFlag):
    """What a party may be: any set of these. Bit i is Solidity's `Role` number i."""

    PROVIDER = 1
    CONSUMER = 2
    REGULATOR = 4
    RECORDER = 8
    KEYHOLDER = 16
    IDENTITY_AUTHORITY = 32


ALL_ROLES: Final = 0b111111
"""Every role there is, as a plain number."""


class Change(IntEnum):
    """What the authority announces beside admissions, each about up to two addresses."""

    AUTHORITY = 0
    """The next authority; zero."""
    VERIFIER = 1
    """A verifier of signatures (ERC-7913); zero."""
    SUCCESSOR = 2
    """An identity authority; who acts for the subjects that it registered."""


class VoidGround(IntEnum):
    """Why a use is given back."""

    UNSIGNED = 0
    """No gateway's journal has a signature, and no keyholder's a release."""
    NEVER_HANDED_OUT = 1
    """The release window is over, and too few keyholders released for anybody to open it."""


class Outcome(IntEnum):
    """How an access was decided, in the order in which the decision looks (DESIGN 3.3).

    The numbers are part of the running hash and never change.
    """

    ALLOWED = 0
    DUPLICATE_REQUEST = 1
    REQUEST_EXPIRED = 2
    CONSUMER_INACTIVE = 3
    CONSUMER_RESTRICTED = 4
    UNKNOWN_BASIS = 5
    CONSUMER_MISMATCH = 6
    DATASET_INACTIVE = 7
    AGREEMENT_INACTIVE = 8
    NOT_YET_VALID = 9
    EXPIRED = 10
    REVOKED = 11
    FROZEN = 12
    ITEM_EXCEEDED = 13
    FIELDS_EXCEEDED = 14
    TOO_SOON = 15
    USES_EXHAUSTED = 16

    @property
    def title(self) -> str:
        """The name as DESIGN and the contracts write it: `UsesExhausted`."""
        return self.name.title().replace("_", "")


OUTCOMES: Final = tuple(Outcome)
"""The outcomes by number; looking one up here is five times as fast as calling `Outcome`."""
