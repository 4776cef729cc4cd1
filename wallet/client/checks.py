"""The checks that a consumer makes of what it receives, by name."""

from enum import StrEnum


class Check(StrEnum):
    """One check. A result lists those that were made and those that could not be."""

    REQUEST = "request"
    """The answer is to the request that was signed."""
    ACCESS = "access"
    """The access is on chain as the gateway says: request, outcome, sequence, place; and final."""
    BASIS = "basis"
    """The release is from the dataset that the basis is about."""
    PUBLICATION = "publication"
    """Root and count are those of the version on chain."""
    FRESHNESS = "freshness"
    """The version was the newest one, or had just been replaced, when the access was recorded."""
    KEYS = "keys"
    """The keyholders' parts open, belong to this request and agree with each other."""
    VALUES = "values"
    """Values and names are what the department committed to, and just the fields asked for."""
    RECORDS = "records"
    """Each record is in the publication."""
    COMPLETENESS = "completeness"
    """None of the owner's records was left out (or: it is just the one record asked for)."""
    ERASURE = "erasure"
    """A record that is missing was erased on chain."""
    SUBJECT = "subject"
    """The owner of the records is the person of the authorization, by the identity authority's word."""

    @property
    def failure(self) -> str:
        """What is said when the check fails."""
        return _FAILURES[self]

    @property
    def success(self) -> str:
        """What is said when the check was made."""
        return _SUCCESSES[self]


_FAILURES = {
    Check.REQUEST: "the answer is to another request",
    Check.ACCESS: "the chain does not have this access as it is told",
    Check.BASIS: "the release is from another dataset",
    Check.PUBLICATION: "the chain has another publication",
    Check.FRESHNESS: "the release is from an old publication",
    Check.KEYS: "the keyholders' parts do not open what was handed over",
    Check.VALUES: "the values are not what the department published",
    Check.RECORDS: "a record is not in the publication",
    Check.COMPLETENESS: "records were left out or added",
    Check.ERASURE: "a record is missing that was not erased",
    Check.SUBJECT: "the records are not the authorizing person's",
}

_SUCCESSES = {
    Check.REQUEST: "the answer is to the request that was signed",
    Check.ACCESS: "the access is on chain, final, with this outcome and sequence",
    Check.BASIS: "the release is from the dataset that the basis is about",
    Check.PUBLICATION: "root and count are those of the publication on chain",
    Check.FRESHNESS: "the publication was the newest one, or had just been replaced",
    Check.KEYS: "the keyholders' parts open and agree with each other",
    Check.VALUES: "the values are exactly what the department published",
    Check.RECORDS: "each record is in the publication",
    Check.COMPLETENESS: "no record of the owner was left out",
    Check.ERASURE: "missing records were erased on chain",
    Check.SUBJECT: "the owner is the authorizing person, by the identity authority's signature",
}
