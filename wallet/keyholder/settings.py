"""Settings of a keyholder's process, from the environment: QUANCHENG_KEYHOLDER_*."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ledger.chain.transactions import FeeRule
from ledger.hexstr import parse_address
from ledger.release_rules import PUBLICATION_LAG
from ledger.service.settings import FeeText


class KeyholderSettings(BaseSettings):
    """Read once, when the process starts."""

    model_config = SettingsConfigDict(
        env_prefix="QUANCHENG_KEYHOLDER_",
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    RENAMED: ClassVar[Mapping[str, str]] = {"PATIENCE": "BLOCK_TIMEOUT", "POLL": "POLL_INTERVAL"}

    home: Path
    """Directory of this keyholder: `keystore/` and the release journal `releases.ndjson`."""

    deployment: Path
    """The deployment file: which contracts, on which chain. Another chain is refused."""

    node: str = "http://127.0.0.1:8545"
    """URL of the keyholder's *own* node. Sharing the gateway's node means believing the gateway."""

    password: str = "env:QUANCHENG_KEYHOLDER_PASSWORD"  # noqa: S105  (a place, no password)
    """Where the keystore's password comes from: `prompt`, `fd:N` or `env:NAME`."""

    host: str = "127.0.0.1"
    """Address to listen on. The service has no TLS of its own: beyond loopback, put a proxy before it."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8601
    """Port to listen on."""

    authorities: Annotated[tuple[str, ...], NoDecode] = ()
    """Names (host:port, separated by commas) under which clients know this service, when not by host
    and port above. A signed request for another name is refused, so that none is carried over."""

    identity_authorities: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses, separated by commas, of the identity authorities whose links are believed, from their own
    word and not from the chain: the data bureau may admit one that is false. None named: no person's
    records are released. A new one is named beside the one that it follows until the links of that are
    over, 30 days later. `GET /v1/holder` lists those on chain that are not named here."""

    finality: str = "depth:0"
    """When a block is final: `depth:N` (0 for a chain that takes no block back) or `finalized`. Too
    little, and a key may leave for an access that a reorganization then undoes."""

    fee: FeeText = "node"
    """What this keyholder's own (`register`) transactions offer: `node` (what the node suggests), `PRICE`, or `MOST:PRIORITY`, in wei per gas; `0` where gas is
    free. A node that suggests too little leaves them unmined, one that suggests too much spends the account."""

    block_timeout: Annotated[float, Field(ge=0, le=60)] = 2.0
    """Seconds to wait for the own node to reach the block of an access that the gateway has already."""

    stale_after: Annotated[float, Field(gt=0)] = 30.0
    """Seconds without news of the node after which nothing is released: what is known may be old."""

    poll_interval: Annotated[float, Field(gt=0, le=60)] = 0.25
    """Seconds between two looks at the node while nobody waits."""

    release_window: Annotated[int, Field(ge=1)] | None = None
    """Seconds after its block in which an access is released, when they shall be fewer than those of the
    deployment file. More are refused at the start."""

    head_age: Annotated[int, Field(ge=1)] | None = None
    """Seconds that the newest final block may be apart from this machine's clock, when they shall be fewer
    than those of the deployment file. More are refused at the start."""

    publication_lag: Annotated[int, Field(ge=0)] = PUBLICATION_LAG
    """Seconds for which a superseded publication may still be answered from. Too long, and a gateway
    can hide a correction; too short, and one that is slow to serve a new version is refused."""

    scrypt_n: int = 2**17
    """Cost of opening what is stored in the keystore from now on; lower only for demonstrations."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`. No level logs keys, signatures or payloads."""

    @field_validator("authorities", "identity_authorities", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) and value else value or ()

    @field_validator("identity_authorities")
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
    def pinned(self) -> frozenset[bytes]:
        """The identity authorities whose links are believed."""
        return frozenset(map(parse_address, self.identity_authorities))

    @property
    def keystore(self) -> Path:
        """Directory of the keystore."""
        return self.home / "keystore"

    @property
    def journal(self) -> Path:
        """File of the release journal."""
        return self.home / "releases.ndjson"

    @property
    def known_as(self) -> tuple[str, ...]:
        """Names that a signed request may be for."""
        return self.authorities or (f"{self.host}:{self.port}", f"localhost:{self.port}")
