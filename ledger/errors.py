"""The root of every error that `ledger` raises."""


class LedgerError(Exception):
    """Something about the ledger is not as it must be."""


# Messages of these name places (a field, a subset, a line), never values: what is refused may be
# personal data.


class MalformedError(LedgerError):
    """Bytes, text or arguments do not have the form that a specification asks for."""


class CustodyError(LedgerError):
    """What keyholders handed over does not fit together."""


class MissingSubsetError(CustodyError):
    """Too few keyholders: nobody handed over the share of `subset`."""

    def __init__(self, subset: tuple[int, ...]) -> None:
        super().__init__(f"no share of subset {_name(subset)}: ask one of these keyholders")
        self.subset = subset

    def __reduce__(self) -> tuple[type["MissingSubsetError"], tuple[tuple[int, ...]]]:
        return type(self), (self.subset,)


class DisagreeingSharesError(CustodyError):
    """Two keyholders of `subset` handed over different shares; one of `holders` is wrong."""

    def __init__(self, subset: tuple[int, ...], holders: tuple[int, int]) -> None:
        first, second = holders
        super().__init__(
            f"keyholders {first} and {second} disagree about the share of subset {_name(subset)}"
        )
        self.subset = subset
        self.holders = holders

    def __reduce__(
        self,
    ) -> tuple[type["DisagreeingSharesError"], tuple[tuple[int, ...], tuple[int, int]]]:
        return type(self), (self.subset, self.holders)


def _name(subset: tuple[int, ...]) -> str:
    return "{" + ", ".join(map(str, subset)) + "}"
