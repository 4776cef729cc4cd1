"""What can be wrong with evidence, and with making it; the checks by number and name."""

from enum import StrEnum
from typing import Final

from ledger.errors import LedgerError


class Check(StrEnum):
    """The checks, in the order in which they are made. A result lists those that were made."""

    FORM = "form"
    """The file has the form of evidence, and nothing beside it."""
    DEPLOYMENT = "deployment"
    """It is of the chain and the contracts that the verifier means."""
    ANCHOR = "anchor"
    """Each block is one that the verifier trusts, or leads to one."""
    RECEIPT = "receipt"
    """Each receipt is in its block, by the receipts root in the block's header."""
    ACCESS = "access"
    """One of the receipts has the access that answers just this request."""
    REQUEST = "request"
    """The consumer signed the request."""
    SEQUENCE = "sequence"
    """The running hash leads from the access before to the end of the recorder's call."""
    DECISION = "decision"
    """What is in the file leads to the recorded outcome, by the rules."""
    APPROVAL = "approval"
    """The person's signer signed the authorization."""
    STATEMENT = "statement"
    """What the person read says what was authorized, in both languages, in the purpose's words."""
    LINK = "link"
    """The identity authority says that the owner of the records is the authorizing person."""
    PUBLICATION = "publication"
    """Root and count of the publication are those on chain, from before the access."""
    RECORDS = "records"
    """Each record is in the publication, and none of what was asked for is left out."""
    VALUES = "values"
    """The values are what the department published, of just the fields asked for."""

    @property
    def number(self) -> int:
        """Its place in the order, from 1."""
        return _ORDER.index(self) + 1


_ORDER: Final = tuple(Check)


class EvidenceError(LedgerError):
    """Root of what can go wrong with evidence."""


class EvidenceCheckError(EvidenceError):
    """A check failed: the evidence proves nothing."""

    def __init__(self, check: Check, problem: str) -> None:
        super().__init__(f"check {check.number}, {check.value}: {problem}")
        self.check = check
        self.problem = problem

    def __reduce__(self) -> tuple[type["EvidenceCheckError"], tuple[Check, str]]:
        return type(self), (self.check, self.problem)


class NoEvidenceError(EvidenceError):
    """No evidence can be made: the node does not have what it takes; the message says what."""
