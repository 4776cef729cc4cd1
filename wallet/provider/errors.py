"""What can go wrong while a department prepares and publishes its data.

Messages name files, lines and columns, never values: those are people's data.
"""

from wallet.errors import WalletError
from wallet.provider.quality import QualityReport


class ProviderError(WalletError):
    """Root of what can go wrong at a provider."""


class DescriptionError(ProviderError):
    """The description of a dataset is missing, malformed or contradicts itself."""


class SourceError(ProviderError):
    """A file cannot be read as what its description says; nothing of it was taken."""


class HeaderError(SourceError):
    """The file does not have the columns that its description names."""


class WithdrawalsError(SourceError):
    """The records to withdraw are not in the version before, are named twice, or are in the file."""


class NoVersionBeforeError(SourceError):
    """A file has only changes, and this machine's book does not have the version that they change."""


class OptionsError(ProviderError):
    """What is asked for contradicts itself."""


class QualityError(ProviderError):
    """The file has defects, and the provider did not allow to leave records out."""

    def __init__(self, message: str, report: QualityReport) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type["QualityError"], tuple[str, QualityReport]]:
        return type(self), (str(self), self.report)


class SpoolError(ProviderError):
    """The working file on the provider's machine cannot be written or read."""


class BookError(ProviderError):
    """The provider's book of what is published is damaged, locked or belongs to another dataset."""


class EncryptionError(ProviderError):
    """The processes that encrypt have failed."""


class OwnersError(ProviderError):
    """The identity authority did not give an owner for each person or enterprise."""


class SubkeysError(ProviderError):
    """The keyholders did not give what the dataset is encrypted with, or disagree about it."""


class TermsMismatchError(ProviderError):
    """The dataset is registered with other fields than its description has."""


class RootMismatchError(ProviderError):
    """The gateway counts or hashes the uploaded records differently: nothing is published."""


class UploadError(ProviderError):
    """The gateway's state of an upload does not fit with what was sent."""


class NothingToPublishError(ProviderError):
    """The file says the same as the version that is published."""
