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


class OptionsError(ProviderError):
    """What is asked for contradicts itself."""


class QualityError(ProviderError):
    """The file has defects, and the provider did not allow to leave records out."""

    def __init__(self, message: str, report: QualityReport) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type["QualityError"], tuple[str, QualityReport]]:
        return type(self), (str(self), self.report)


class TermsMismatchError(ProviderError):
    """The dataset is registered with other fields than its description has."""


class RootMismatchError(ProviderError):
    """The gateway counts or hashes the uploaded records differently: nothing is published."""


class NothingToPublishError(ProviderError):
    """The file says the same as the version that is published."""
