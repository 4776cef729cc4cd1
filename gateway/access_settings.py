"""The settings of accesses, relays and supervision: unit, default, and the failure that each prevents.

Read once, at start, from the same environment as `gateway.settings` (`QUANCHENG_GATEWAY_<NAME>`).
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    Field,
    HttpUrl,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.settings import read_environment
from gateway.supervision.rules import SUSPENDING, Bounds
from gateway.supervision.watch import Enforcement
from ledger import failpoints
from ledger.api import MOST_ACCESSES
from ledger.chain.transactions import FeeRule
from ledger.hexstr import parse_address
from ledger.plain_text import verify_text
from ledger.release_rules import PUBLICATION_LAG
from ledger.service.settings import FeeText


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

    accesses_waiting: PositiveInt = 20_000
    """Access requests under way at most; the next ones get a 429. Keeps a flood from filling the memory."""

    accesses_waiting_of_one: PositiveInt = 10_000
    """The same for one consumer, so that one that floods leaves room for the others."""

    accesses_rate: PositiveFloat = 5_000.0
    """Accesses per second that one consumer may ask for in the long run; beyond it, a 429 says when to come again. Several
    gateways each allow as much."""

    accesses_burst: Annotated[int, Field(ge=MOST_ACCESSES)] = 20_000
    """Accesses that one consumer may ask for at once after a pause."""

    patience: PositiveFloat = 10.0
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
