"""Every setting of the gateway: its unit, its default, and the failure that it prevents."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import (
    Field,
    HttpUrl,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from gateway.errors import SettingsError
from gateway.supervision.rules import SUSPENDING, Bounds, Enforcement
from ledger import failpoints
from ledger.api import MAX_ACCESSES
from ledger.chain.finality import Finality
from ledger.chain.transactions import FeeRule
from ledger.errors import SettingError
from ledger.hexstr import parse_address
from ledger.plain_text import verify_text
from ledger.release_rules import PUBLICATION_LAG
from ledger.service.server import ServerLimits
from ledger.service.settings import FeeText, refuse_renamed

_MEBIBYTE: Final = 1 << 20
_DAY: Final = 24 * 3600
_PREFIX: Final = "QUANCHENG_GATEWAY_"
_RENAMED: Final = {
    "PATIENCE": "ACCESS_TIMEOUT",
    "ACCESSES_WAITING": "MAX_PENDING_ACCESSES",
    "ACCESSES_WAITING_OF_ONE": "MAX_PENDING_ACCESSES_PER_CONSUMER",
}
_FIELD: Final = re.compile(r'field "(\w+)"')

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        # A value that cannot be used is not shown: it may be a password.
        hide_input_in_errors=True,
    )

    # Where it listens

    host: str = "127.0.0.1"
    """Address to listen on. Only this machine by default: outside, put a TLS proxy before it."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8700
    """Port to listen on; 0 takes a free one, which is printed. Prevents a clash of two gateways."""

    authorities: tuple[str, ...] = ()
    """Host names (with port, unless it is the scheme's own) under which clients reach this gateway, beside
    `host:port`, `localhost:port` and `127.0.0.1:port`. A request signed for any other host is refused, so that what
    was signed for one gateway cannot be replayed at another."""

    scheme: Literal["http", "https"] = "http"
    """What clients use; https behind a TLS proxy. It decides which port may be left out of `@authority`."""

    # What it works with

    database_url: str = "sqlite:///var/gateway/gateway.db"
    """`sqlite:///file` or `postgresql+psycopg://user:password@host/name`."""

    database_timeout: PositiveFloat = 5.0
    """Seconds to wait for a lock or a connection. After it the caller gets a 503 instead of hanging."""

    database_pool: PositiveInt = 8
    """Connections to PostgreSQL at most."""

    deployment: Path = Path("var/deployment.json")
    """The deployment file. A node on another chain, or with other code, is refused by it."""

    node_url: HttpUrl = HttpUrl("http://127.0.0.1:8545")
    """Ethereum JSON-RPC of the node that this gateway reads and writes through."""

    node_timeout: PositiveFloat = 10.0
    """Seconds for one question to the node; a node that hangs holds nobody longer."""

    finality: str = "depth:0"
    """When a block counts as final: `depth:N` blocks on top of it, or `finalized`, as the node says. 0 is right only
    for chains that never take a block back; elsewhere it would release data for an access that vanishes."""

    poll_interval: PositiveFloat = 0.05
    """Seconds between two looks for a new block. Adds half of itself to each access."""

    # What it takes from callers

    body_limit: PositiveInt = _MEBIBYTE
    """Bytes of a JSON body at most (batches of accesses have their own limit). Keeps callers from filling the memory."""

    lines_limit: PositiveInt = 256 * _MEBIBYTE
    """Bytes of one body of upload lines at most. It is streamed, so it costs no memory; it bounds what is written before
    the signature over the whole body can be checked."""

    line_limit: PositiveInt = 2 * _MEBIBYTE
    """Bytes of one line of an upload at most."""

    body_timeout: PositiveFloat = 20.0
    """Seconds to wait for the next piece of a body. Slow clients are cut off instead of holding connections."""

    head_timeout: PositiveFloat = 10.0
    """Seconds from a connection, or from the first byte of a request, to the end of its headers. A client that is
    slower is cut off: each holds a connection."""

    head_limit: Annotated[int, Field(ge=8 * 1024)] = 64 * 1024
    """Bytes of a request's head at most. Keeps one client from filling the memory with a header."""

    connections: PositiveInt = 4_000
    """Connections at once, or three quarters of what the process may open, if that is less. Beyond, the one that has waited
    longest with an unfinished head is cut off: idle clients keep nobody out."""

    answer_timeout: PositiveFloat = 30.0
    """Seconds for which a client may take nothing of an answer that is waiting for it; then it is cut off."""

    signature_lifetime: Annotated[int, Field(gt=0, le=300)] = 300
    """Seconds for which a signed request may be valid; its nonce is remembered as long."""

    clock_skew: Annotated[int, Field(ge=0, le=300)] = 30
    """Seconds by which a client's clock may be ahead of this one."""

    requests_rate: PositiveFloat = 100.0
    """Signed requests (and requests of a session) per second that one signer may send in the long run; beyond it, a 429
    says when to come again. All signers together who are no party's and no person's count as one. Accesses have their
    own rate. Keeps one party from taking the database from all others."""

    requests_burst: PositiveInt = 500
    """Signed requests that one signer may send at once after a pause."""

    sign_in_rate: PositiveFloat = 50.0
    """Sessions per second that one signer may begin in the long run; all signers together who are no party's and no
    person's count as one. Each is kept until it is over."""

    sign_in_burst: PositiveInt = 200
    """Sessions that one signer may begin at once after a pause."""

    session_lifetime: Annotated[int, Field(gt=0, le=_DAY)] = 900
    """Seconds for which a browser's session lasts. A stolen token is worth that long."""

    # Uploads

    chunk_records: PositiveInt = 2_000
    """Lines of an upload in one transaction. More is faster and holds more memory and the write lock for longer."""

    chunk_bytes: PositiveInt = 8 * _MEBIBYTE
    """Bytes of lines in one transaction at most, so that huge records do not fill the memory."""

    upload_lifetime: PositiveInt = 7 * _DAY
    """Seconds after which an upload that nobody touched is deleted. Keeps abandoned uploads from filling the disk."""

    tile_memory: PositiveInt = 64 * _MEBIBYTE
    """Bytes of publications' tiles kept in memory. Less costs a database read and a few hashes per access."""

    # Running

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged, from this level on. No level shows payloads, keys, signatures or ids of people."""

    shutdown_grace: PositiveFloat = 20.0
    """Seconds in which requests under way may finish after SIGTERM."""

    housekeeping_interval: PositiveFloat = 60.0
    """Seconds between two runs of the housekeeping: expired nonces, sessions and uploads are removed."""

    switch_interval: PositiveFloat = 0.001
    """Seconds after which Python lets another thread run. While an upload is parsed in a thread, each answer would
    otherwise wait up to Python's own 5 ms, several times over."""

    @field_validator("finality")
    @classmethod
    def _check_finality(cls, value: str) -> str:
        try:
            Finality.parse(value)
        except SettingError as error:
            raise ValueError("a finality rule is depth:N or finalized") from error
        return value

    @field_validator("authorities")
    @classmethod
    def _check_authorities(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("/" in one or one != one.lower() for one in value):
            raise ValueError("an authority is a host name in lowercase, with its port if need be")
        return value

    @property
    def server_limits(self) -> ServerLimits:
        """What one connection may hold, and for how long."""
        return ServerLimits(
            head_timeout=self.head_timeout,
            head_bytes=self.head_limit,
            answer_timeout=self.answer_timeout,
            connections=self.connections,
            shutdown_grace=self.shutdown_grace,
        )

    @property
    def all_authorities(self) -> frozenset[str]:
        """Every `@authority` under which this gateway is itself."""
        usual = {"http": 80, "https": 443}[self.scheme]
        port = "" if self.port == usual else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        hosts = {host.lower(), "localhost", "127.0.0.1"}
        return frozenset({f"{one}{port}" for one in hosts} | set(self.authorities))

    @property
    def finality_rule(self) -> Finality:
        return Finality.parse(self.finality)

    @classmethod
    def read(cls) -> Self:
        """Read the settings from the environment.

        Raises:
            SettingsError: One cannot be used; the message says which and why, not its value.
        """
        return read_environment(cls)


def read_environment(kind: type[SettingsT]) -> SettingsT:
    """Read settings of a kind from the environment.

    Raises:
        SettingsError: One cannot be used; the message says which and why, not its value.
    """
    try:
        refuse_renamed(_PREFIX, _RENAMED)
        return kind()
    except SettingError as error:
        raise SettingsError(str(error)) from None
    except ValidationError as error:
        problems = "; ".join(
            f"{_PREFIX}{'_'.join(map(str, one['loc'])).upper()}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(problems) from None
    except PydanticSettingsError as error:
        name = _FIELD.search(str(error))
        raise SettingsError(
            f"{_PREFIX}{'' if name is None else name[1].upper()}: Input should be valid JSON"
        ) from None


class AccessSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="QUANCHENG_GATEWAY_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    # Recording

    recorder_key: Path | None = None
    """V3 key file (scrypt) of the account that records, which the authority admitted as Recorder. Without it the gateway reads
    and serves but records and relays nothing (503)."""

    recorder_password: str = "env:QUANCHENG_GATEWAY_PASSWORD"  # noqa: S105  where it is, not what
    """Where the key file's password comes from: `fd:NUMBER` or `env:NAME`."""

    fee: FeeText = "node"
    """What the recorder's and the supervisor's transactions offer: `node` (what the node suggests), `PRICE`, or `MOST:PRIORITY`, in wei per gas; `0` where gas is
    free. A node that suggests too little leaves them unmined, one that suggests too much spends the account."""

    journal: Path = Path("var/gateway/journal")
    """Directory of the recorder's journal, on a disk that keeps what is synced. What is in it was sent or will be: losing
    it loses accesses that were acknowledged by a node that forgot them."""

    max_pending_accesses: PositiveInt = 20_000
    """Access requests under way at most; the next ones get a 429. Keeps a flood from filling the memory."""

    max_pending_accesses_per_consumer: PositiveInt = 10_000
    """The same for one consumer, so that one that floods leaves room for the others."""

    accesses_rate: PositiveFloat = 5_000.0
    """Accesses per second that one consumer may ask for in the long run; beyond it, a 429 says when to come again. Several
    gateways each allow as much."""

    accesses_burst: Annotated[int, Field(ge=MAX_ACCESSES)] = 20_000
    """Accesses that one consumer may ask for at once after a pause."""

    access_timeout: PositiveFloat = 10.0
    """Seconds that a caller waits for its access to be final; then it gets a 503 and may ask again."""

    embedded_chain: bool = False
    """Whether the chain is the embedded one, which can forget final blocks when it is killed: the recorder then keeps its
    whole journal and sends again, without being asked, what the chain lost. Anywhere else a person must look first."""

    accesses_limit: PositiveInt = 4 * 1024 * 1024
    """Bytes of one body with accesses at most: a thousand signed requests have about 600 kB, a thousand keys of the
    hybrid suite 2.4 MB."""

    # Relaying

    transactions_rate: PositiveFloat = 10.0
    """Transactions of its own that one party may have relayed per second in the long run; beyond it, a 429 says when to come
    again. Keeps one party from filling blocks through the gateway."""

    transactions_burst: PositiveInt = 500
    """Transactions that one party may have relayed at once after a pause."""

    # Releasing

    keyholders: dict[str, HttpUrl] = {}
    """Where each keyholder of the deployment file's rosters is: URLs by address (JSON). All of them, so that others are asked
    when one is away. Who they are and how many it takes the file says, and no keyholder."""

    keyholder_timeout: PositiveFloat = 10.0
    """Seconds for one question to a keyholder."""

    keyholder_hedge: PositiveFloat = 0.4
    """Seconds after which another keyholder is asked beside one that has not answered yet."""

    publication_lag: NonNegativeInt = PUBLICATION_LAG
    """Seconds for which a superseded version may still answer, as the keyholders' own setting of that name says. More than
    they let, and accesses are recorded and counted that no keyholder releases."""

    identity: HttpUrl | None = None
    """Where the identity authority is that renews links. Without it an authorization of a year stops being answered after 30
    days, unless the person's own wallet brings a new link."""

    link_renewal_interval: PositiveFloat = 3600.0
    """Seconds between two looks for links in their last week, which are then renewed."""

    # Supervision

    supervision: bool = True
    """Whether this gateway watches the trail. Several may: an alert is raised once."""

    supervision_bounds: dict[str, int | float] = {}
    """Other bounds than the usual ones: from when on something is worth an alert (JSON; see `gateway.supervision.rules.Bounds`)."""

    supervisor_key: Path | None = None
    """V3 key file (scrypt) of a supervisor: an account that a regulator appointed on chain. With it, alerts of `suspending_rules`
    suspend an agreement for half an hour, and not again before a regulator has looked."""

    supervisor_password: str = "env:QUANCHENG_GATEWAY_SUPERVISOR_PASSWORD"  # noqa: S105
    """Where that key file's password comes from."""

    suspending_rules: tuple[str, ...] = ()
    """Rules that suspend by themselves (`odd-hours`, `rate`, `volume`), as the regulator named them; none unless it did. They count
    only what was allowed and whose signature is in this gateway's journal: nobody else can make these."""

    appeal: Annotated[str, Field(min_length=1, max_length=200)] = "the regulator"
    """Where to appeal; part of the reason on chain."""

    # For fault runs

    failpoint: str = ""
    """Step at which this process kills itself (`ledger.failpoints`). Empty outside of tests."""

    @field_validator("keyholders")
    @classmethod
    def _check_keyholders(cls, value: dict[str, HttpUrl]) -> dict[str, HttpUrl]:
        for address in value:
            parse_address(address)
        return value

    @field_validator("appeal")
    @classmethod
    def _check_appeal(cls, value: str) -> str:
        return verify_text("the place to appeal to", value)

    @field_validator("suspending_rules")
    @classmethod
    def _check_rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not set(value) <= set(SUSPENDING):
            raise ValueError(f"rules that may suspend are {', '.join(SUSPENDING)}")
        return value

    @field_validator("supervision_bounds")
    @classmethod
    def _check_bounds(cls, value: dict[str, int | float]) -> dict[str, int | float]:
        unknown = sorted(set(value) - set(Bounds.__struct_fields__))
        if unknown:
            raise ValueError(f"no bound: {', '.join(unknown)}")
        return value

    @field_validator("failpoint")
    @classmethod
    def _check_failpoint(cls, value: str) -> str:
        name = value.partition(":")[0]
        if name and name not in failpoints.NAMES:
            raise ValueError(f"no failpoint: {', '.join(failpoints.NAMES)}")
        return value

    @property
    def fee_rule(self) -> FeeRule:
        return FeeRule.parse(self.fee)

    @property
    def bounds(self) -> Bounds:
        return Bounds(**self.supervision_bounds)  # type: ignore[arg-type]

    @property
    def enforcement(self) -> Enforcement | None:
        """What suspends by itself; None without a supervisor's key."""
        if self.supervisor_key is None:
            return None
        return Enforcement(self.suspending_rules, self.appeal)

    @classmethod
    def read(cls) -> Self:
        """Read the settings from the environment.

        Raises:
            SettingsError: One cannot be used; the message says which and why, not its value.
        """
        return read_environment(cls)
