"""Settings of the identity authority's process, from the environment: QUANCHENG_IDENTITY_*."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ledger.chain.transactions import FeeRule
from ledger.hexstr import parse_address
from ledger.service.settings import FeeText


class IdentitySettings(BaseSettings):
    """Read once, when the process starts."""

    model_config = SettingsConfigDict(
        env_prefix="QUANCHENG_IDENTITY_",
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    RENAMED: ClassVar[Mapping[str, str]] = {
        "PATIENCE": "ENROLMENT_TIMEOUT",
        "POLL": "POLL_INTERVAL",
    }

    home: Path
    """Directory of the authority: `keystore/`, and `identity.db` unless another database is set."""

    database: str = ""
    """`sqlite:///file` or `postgresql+psycopg://user:password@host/name`; empty: SQLite in `home`. It holds who is
    who: back it up encrypted, and let nobody else read it."""

    deployment: Path
    """The deployment file: which contracts, on which chain. Another chain is refused."""

    node: str = "http://127.0.0.1:8545"
    """URL of the authority's own node."""

    gateway: str = "http://127.0.0.1:8500"
    """URL of the gateway that gives handles."""

    password: str = "env:QUANCHENG_IDENTITY_PASSWORD"  # noqa: S105  (a place, no password)
    """Where the keystore's password comes from: `prompt`, `fd:N` or `env:NAME`."""

    host: str = "127.0.0.1"
    """Address to listen on. The service has no TLS of its own: beyond loopback, put a proxy before it."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8600
    """Port to listen on."""

    authorities: Annotated[tuple[str, ...], NoDecode] = ()
    """Names (host:port, separated by commas) under which clients know this service, when not by host
    and port above. A signed request for another name is refused, so that none is carried over."""

    officers: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses, separated by commas, of those who identify people at the counter: they issue codes and
    start recoveries."""

    finality: str = "depth:0"
    """When a block is final: `depth:N` (0 for a chain that takes no block back) or `finalized`."""

    fee: FeeText = "node"
    """What the authority's transactions offer: `node` (what the node suggests), `PRICE`, or `MOST:PRIORITY`, in wei per gas; `0` where gas is
    free. A node that suggests too little leaves them unmined, one that suggests too much spends the account."""

    poll_interval: Annotated[float, Field(gt=0, le=60)] = 0.5
    """Seconds between two looks at the node."""

    batch_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.2
    """Seconds for which new subject ids are gathered before a transaction registers them. Ids that come
    alone show that they are one person's: a city sets hours, a demonstration a moment."""

    recovery_spread: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """Seconds over which the recoveries of one person's ids are started, in random order; the first starts at once. Ids that
    change side by side show that they are one person's."""

    enrolment_timeout: Annotated[float, Field(ge=0, le=60)] = 10.0
    """Seconds for which an enrolment waits for its transaction before it answers that it will come."""

    code_seconds: Annotated[int, Field(ge=60)] = 7 * 86_400
    """Seconds for which an enrolment code counts."""

    resolutions_per_minute: Annotated[int, Field(ge=1)] = 600
    """Look-ups that one consumer may make."""

    misses_per_hour: Annotated[int, Field(ge=1)] = 60
    """Look-ups of one consumer that may find nobody, before all of its look-ups wait: against trying
    out names and numbers."""

    owners_per_minute: Annotated[int, Field(ge=1)] = 20_000_000
    """Owners that one provider may ask for."""

    links_per_minute: Annotated[int, Field(ge=1)] = 600
    """Links, sessions and lists that one signer may ask for."""

    renewals_per_hour: Annotated[int, Field(ge=1)] = 60
    """Renewals of one subject's links, whoever shows them."""

    scrypt_n: int = 2**17
    """Cost of opening what is stored in the keystore from now on; lower only for demonstrations."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`. No level logs names, numbers, codes or signatures."""

    @field_validator("authorities", "officers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) and value else value or ()

    @field_validator("officers")
    @classmethod
    def _check(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_address(text)
        return value

    @property
    def fee_rule(self) -> FeeRule:
        """`fee`, parsed."""
        return FeeRule.parse(self.fee)

    @property
    def keystore(self) -> Path:
        """Directory of the keystore."""
        return self.home / "keystore"

    @property
    def database_url(self) -> str:
        """URL of the database."""
        return self.database or f"sqlite:///{self.home / 'identity.db'}"

    @property
    def officer_addresses(self) -> frozenset[bytes]:
        """The officers."""
        return frozenset(map(parse_address, self.officers))

    @property
    def known_as(self) -> tuple[str, ...]:
        """Names that a signed request may be for."""
        return self.authorities or (f"{self.host}:{self.port}", f"localhost:{self.port}")
