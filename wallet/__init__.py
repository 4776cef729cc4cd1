"""The SDK of Quancheng: `from wallet import Consumer`, and the other parties; docs/sdk.md.

Names are imported when they are first used, so that a keyholder's process has nothing of a consumer's.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from wallet.client.transports import AsyncClient, Client
    from wallet.parties import (
        AsyncCitizen,
        AsyncConsumer,
        AsyncProvider,
        AsyncRegulator,
        Citizen,
        Consumer,
        Provider,
        Regulator,
    )
    from wallet.party import City

__all__ = [
    "AsyncCitizen",
    "AsyncClient",
    "AsyncConsumer",
    "AsyncProvider",
    "AsyncRegulator",
    "Citizen",
    "City",
    "Client",
    "Consumer",
    "Provider",
    "Regulator",
]

_ELSEWHERE: Final = {
    "AsyncClient": "wallet.client.transports",
    "Client": "wallet.client.transports",
    "City": "wallet.party",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'wallet' has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "wallet.parties")), name)
