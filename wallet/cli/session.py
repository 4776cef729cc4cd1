"""What a command works with: its options, where it writes, and the party as the SDK has it (`wallet.parties`)."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import typer

from ledger.chain.contract_calls import ContractCall
from ledger.chain.deploy import verify_deployment
from ledger.chain.deployment import Deployment, read_deployment
from ledger.chain.finality import Finality
from ledger.chain.rpc import Rpc
from ledger.chain.transactions import FeeRule
from ledger.crypto.keyfile import STANDARD_SCRYPT_N
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from wallet.cli.output import Output, mask_of
from wallet.client.datasets import registered
from wallet.client.transactions import Mined, transact
from wallet.errors import InputError, PartyError, WalletError
from wallet.keystore import Keystore
from wallet.party import City, Party
from wallet.passwords import Password, PasswordSource, parse_source, read_password
from wallet.supervisor import Addresses, Layout, read_addresses

P = TypeVar("P", bound=Party)


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the command."""

    home: Path
    data: Path | None = None
    deployment: Path | None = None
    gateway: str = ""
    identity: str = ""
    node: str = ""
    keyholders: tuple[str, ...] = ()
    finality: str = "depth:0"
    fee: str = "node"
    key: str = "account"
    password: str = "prompt"  # noqa: S105 - where it comes from
    scrypt_n: int = STANDARD_SCRYPT_N
    machine: bool = False


@dataclass
class Session:
    """One command's surroundings; closed when the command ends."""

    options: Options
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def output(self) -> Output:
        """Where to write."""
        return Output(machine=self.options.machine)

    @cached_property
    def addresses(self) -> Addresses:
        """Where the services are: as given, or of a data directory of `quancheng up`.

        Raises:
            SupervisorError: the data directory has none.
        """
        options = self.options
        known = Addresses(node="", gateway="", identity="", keyholders=())
        if options.data is not None and Layout(options.data).addresses.exists():
            known = read_addresses(Layout(options.data).addresses)
        return Addresses(
            node=options.node or known.node,
            gateway=options.gateway or known.gateway,
            identity=options.identity or known.identity,
            keyholders=options.keyholders or known.keyholders,
        )

    @cached_property
    def deployment(self) -> Deployment:
        """The contracts.

        Raises:
            InputError: no file was named.
            DeploymentError: it cannot be read.
        """
        options = self.options
        if options.deployment is not None:
            return read_deployment(options.deployment)
        if options.data is not None:
            return read_deployment(Layout(options.data).deployment)
        raise InputError("which contracts? name --deployment FILE, or --data DIR of `quancheng up`")

    @cached_property
    def finality(self) -> Finality:
        """When a block counts as final.

        Raises:
            SettingError: the option names no rule.
        """
        return Finality.parse(self.options.finality)

    def tell_trial(self) -> None:
        """Say whether the contracts are a trial, whatever the command is.

        Where there are none yet, or they cannot be read, the command that needs them says so.
        """
        with suppress(LedgerError, WalletError):
            self.output.tell_trial(self.deployment)

    @contextmanager
    def node(self, which: str = "") -> Iterator[Rpc]:
        """Ask the node that the party named, once it is known to have these contracts.

        Raises:
            InputError: it named none; the message ends with `which`.
            DeploymentError: it has another chain or other contracts.
        """
        if not self.addresses.node:
            raise InputError(f"which node? name --node URL{which}")
        with Rpc(self.addresses.node) as rpc:
            rpc.run(verify_deployment, self.deployment)
            yield rpc

    @cached_property
    def keystore(self) -> Keystore:
        """The party's secrets."""
        return Keystore(self.options.home / "keystore", scrypt_n=self.options.scrypt_n)

    @cached_property
    def password(self) -> Password:
        """Asked for once; of an empty keystore a person gives it twice."""
        return read_password(self.password_source, repeat=not self.keystore.entries())

    @property
    def password_source(self) -> PasswordSource:
        """Where the password comes from."""
        return parse_source(self.options.password)

    def party(self, kind: type[P]) -> P:
        """Return the party of this home; nothing of it is opened before it is needed."""
        options = self.options
        party = kind(
            self._city,
            options.home,
            lambda: self.password,
            account=options.key,
            scrypt_n=options.scrypt_n,
        )
        self._stack.callback(party.close)
        return party

    @cached_property
    def anybody(self) -> Party:
        """The party, for acts that are no kind's alone."""
        return self.party(Party)

    def _city(self) -> City:
        at = self.addresses
        fee = FeeRule.parse(self.options.fee)
        return City(
            self.deployment, at.gateway, at.identity, at.node, at.keyholders, self.finality, fee
        )

    def mask(self, party: Party, dataset: bytes, chosen: str) -> int:
        """Return the bitmap of a choice of a registered dataset's fields; see `mask_of`."""
        return mask_of(party.run(registered(party.ledger, dataset)).fields, chosen)

    def act(self, call: ContractCall, line: str, **members: str | int) -> None:
        """Send a transaction as the party, and print where it is on chain; see `done`."""
        party = self.anybody
        self.done(party.run(transact(party.ledger, party.key, call)), line, **members)

    def done(self, mined: Mined, line: str, **members: str | int) -> None:
        """Print where a transaction is: a line for people, members for machines."""
        document = {"transaction": to_hex(mined.transaction), "block_number": mined.block_number}
        self.output.result(document | members, line, f"in block {mined.block_number}")

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask the person at the terminal, unless `--yes` was given.

        Raises:
            PartyError: Cancelled: the answer is no, or there is nobody to ask.
        """
        if yes:
            return
        if self.options.machine or not sys.stdin.isatty():
            raise PartyError("Cancelled", "nothing was signed: say --yes where nobody can be asked")
        if not self.output.ask(question):
            raise PartyError("Cancelled", "nothing was signed")


def session_of(context: typer.Context) -> Session:
    """Return the session that the options before the command made."""
    session = context.obj
    if not isinstance(session, Session):
        raise InputError("the command was started without its options")
    return session


def default_home() -> Path:
    """Return the directory of a party that names none."""
    return Path(os.environ.get("HOME", ".")) / ".quancheng"
