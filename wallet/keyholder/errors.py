"""Why a keyholder refuses, or cannot."""

from enum import Enum

from wallet.errors import WalletError


class KeyholderError(WalletError):
    """Root of everything that `wallet.keyholder` raises."""


class SeedsMissingError(KeyholderError):
    """This keyholder does not hold (all of) its seeds of an epoch."""


class JournalError(KeyholderError):
    """The release journal cannot be written or read, or is damaged; nothing is released."""


class NotFollowingError(KeyholderError):
    """The keyholder's own node cannot be followed; the message says why."""


class Reason(Enum):
    """Why a task is refused: end of the problem's type, HTTP status, title."""

    ACCESS_NOT_FINAL = ("access-not-final", 503, "The access is in no final block yet")
    RELEASE_OVER = ("release-over", 410, "The release window of the access is over")
    RELEASE_STOPPED = ("release-stopped", 403, "An act on chain stands against the release")
    ACCESS_UNKNOWN = ("access-unknown", 404, "No such access is recorded")
    ACCESS_DENIED = ("access-denied", 403, "The access was denied on chain")
    ACCESS_DIFFERS = ("access-differs", 403, "Another request was recorded")
    SIGNATURE_INVALID = ("signature-invalid", 403, "The consumer did not sign this request")
    BASIS_UNKNOWN = ("basis-unknown", 403, "The basis is not known on chain")
    STATEMENT_WANTED = ("statement-wanted", 409, "The signed record is wanted, once")
    STATEMENT_WRONG = ("statement-wrong", 403, "The person did not see what is authorized")
    DATASET_MISMATCH = ("dataset-mismatch", 403, "The basis is for another dataset")
    FIELDS_OUTSIDE = ("fields-outside", 403, "Fields outside the basis")
    PUBLICATION_UNKNOWN = ("publication-unknown", 403, "The dataset has no such publication")
    PUBLICATION_LATER = ("publication-later", 403, "Published after the access")
    PUBLICATION_SUPERSEDED = ("publication-superseded", 403, "A newer publication was there")
    PROOF_INVALID = ("proof-invalid", 403, "The records are not in the publication")
    RECORDS_MISSING = ("records-missing", 403, "Not all of the records that the access covers")
    RECORD_UNPROVEN = ("record-unproven", 403, "A record is not the published one")
    ITEM_MISMATCH = ("item-mismatch", 403, "Another record than the access names")
    OWNER_MISMATCH = ("owner-mismatch", 403, "Somebody else's record")
    LINK_MISSING = ("link-missing", 403, "Nothing ties the records to the subject")
    LINK_INVALID = ("link-invalid", 403, "The link is none of the subject's identity authority")
    LINK_OVER = ("link-over", 403, "The link is over")
    LINK_MISMATCH = ("link-mismatch", 403, "The link is for another subject or dataset")
    RECORD_ERASED = ("record-erased", 410, "The record was erased")
    EPOCH_UNKNOWN = ("epoch-unknown", 503, "The keyholder has no seeds of the record's epoch")
    KEY_MISMATCH = ("key-mismatch", 403, "The request is not to be answered to this key")
    KEY_UNUSABLE = ("key-unusable", 409, "Nothing can be sealed to the key")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title


class ReleaseRefusedError(KeyholderError):
    """A task does not stand up to the keyholder's own look at the chain."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
