"""What can go wrong while a department prepares and publishes its data.

Messages name files, lines and columns, never values: those are people's data.
"""

from wallet.errors import WalletError


class ProviderError(WalletError):
    """Root of what can go wrong at a provider."""


class DescriptionError(ProviderError):
    """The description of a dataset is missing, malformed or contradicts itself."""


class SourceError(ProviderError):
    """A file cannot be read as what its description says; nothing of it was taken."""


class HeaderError(SourceError):
    """The file does not have the columns that its description names."""


class QualityError(ProviderError):
    """The file has defects, and the provider did not allow to leave records out."""


class SpoolError(ProviderError):
    """The working file on the provider's machine cannot be written or read."""


class BookError(ProviderError):
    """The provider's book of what is published is damaged, locked or belongs to another dataset."""


class EncryptionError(ProviderError):
    """The processes that encrypt have failed."""


class OwnersError(ProviderError):
    """The identity authority did not give an owner for each person or enterprise."""


class RootMismatchError(ProviderError):
    """The gateway counts or hashes the uploaded records differently: nothing is published."""


class UploadError(ProviderError):
    """The gateway's state of an upload does not fit with what was sent."""


class NothingToPublishError(ProviderError):
    """The file says the same as the version that is published."""
