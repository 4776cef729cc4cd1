"""A deployment: which contracts, where, on which chain, with which code.

It is one JSON file that everybody is given. Whoever opens it against a node checks the node
(`verify_deployment`): the right chain, grown from the right genesis, with exactly the code that this
version of the library ships.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.artifacts import CONTRACTS, ContractName
from ledger.chain.events import Contracts
from ledger.crypto.secret_sharing import Roster, add_roster
from ledger.errors import ExitCode, LedgerError, MalformedError
from ledger.hexstr import ADDRESS_LENGTH, HexError, from_hex, to_hex
from ledger.jsonio import UNREADABLE, JsonError, parse_json
from ledger.model import Delays, Roles
from ledger.typed_data import Domain, SignedRecord

FORMAT: Final = 1
"""Version of the file."""


DEFAULT_RELEASE_WINDOW: Final = 3600
"""Seconds after its block in which an access may be released, also again."""

DEFAULT_HEAD_AGE: Final = 60
"""Seconds that a keyholder's newest final block may be behind its clock."""

_HASH: Final = 32
_PUBLIC: Final = 0o644


def require_bounds(release_window: int, head_age: int) -> None:
    if release_window <= 0 or head_age <= 0:
        raise DeploymentError("releaseWindow and headAge are seconds, at least one")


class DeploymentError(LedgerError):
    """A deployment file cannot be used, or a node does not have what it says."""

    exit_code = ExitCode.BAD_INPUT


class WrongNodeError(DeploymentError):
    """A node has another chain, or not the code that this library ships."""

    exit_code = ExitCode.NOT_VERIFIED


class Founder(msgspec.Struct, frozen=True):
    """A party that is there from the deployment on."""

    party: bytes
    """Address."""
    roles: Roles
    name: str


class Deployed(msgspec.Struct, frozen=True):
    """One contract of a deployment."""

    address: bytes
    code_hash: bytes
    """Keccak-256 of the code at the address, with its immutables."""


class Deployment(msgspec.Struct, frozen=True):
    """The contracts, and the chain that they are on."""

    chain_id: int
    genesis_hash: bytes
    block_number: int
    """Of the first block that has something of the deployment: readers start there."""
    authority: bytes
    trial: bool
    """Whether its delays may be shorter than three days: no power is bounded in a trial."""
    admission_delay: int
    """Seconds from an announcement in the registry to its taking effect."""
    recovery_delay: int
    """Seconds."""
    release_window: int
    """Seconds after its block, in block times, in which an access may be released."""
    head_age: int
    """Seconds that the newest final block may be behind a keyholder's clock while it releases: the time that a block
    takes to become final is in it."""
    compiler: str
    deployed: dict[ContractName, Deployed]
    rosters: tuple[Roster, ...] = ()
    """The keyholders' epochs, the oldest first; none before the first seed ceremony."""

    @property
    def contracts(self) -> Contracts:
        """The five contracts' addresses."""
        return Contracts(
            registry=self.address_of("Registry"),
            catalogue=self.address_of("Catalogue"),
            agreements=self.address_of("Agreements"),
            authorizations=self.address_of("Authorizations"),
            access_log=self.address_of("AccessLog"),
        )

    @property
    def delays(self) -> Delays:
        """What the contracts fixed; `verify_deployment` has asked them."""
        return Delays(recovery=self.recovery_delay, admission=self.admission_delay)

    @property
    def trial_text(self) -> str:
        """What a tool shows about `trial`."""
        if self.trial:
            return "YES: its delays can be shorter than 3 days, no party's power is bounded"
        return f"no: what is announced takes effect after {self.admission_delay // 3600} h"

    @property
    def webauthn_verifier(self) -> bytes:
        """Address of the contract that checks passkeys' signatures."""
        return self.address_of("ERC7913WebAuthnVerifier")

    def address_of(self, name: ContractName) -> bytes:
        return self.deployed[name].address

    def domain_of(self, record: type[SignedRecord] | SignedRecord) -> Domain:
        # The name is a ClassVar of the five classes' names; a wrong one would be a KeyError here.
        name: Any = record.verified_by
        return Domain(self.chain_id, self.address_of(name))

    def with_roster(self, roster: Roster) -> "Deployment":
        """Return this with one more epoch of keyholders.

        Raises:
            DeploymentError: There is another roster of this epoch.
        """
        try:
            return msgspec.structs.replace(self, rosters=add_roster(self.rosters, roster))
        except MalformedError as error:
            raise DeploymentError(str(error)) from error


# The file


class _RosterText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: int
    threshold: int
    members: list[str]


class _DeployedText(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    address: str
    code_hash: str


class _File(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    format: int
    chain_id: int
    genesis_hash: str
    block_number: int
    authority: str
    trial: bool
    admission_delay: int
    recovery_delay: int
    release_window: int
    head_age: int
    compiler: str
    contracts: dict[ContractName, _DeployedText]
    rosters: list[_RosterText]


def encode_deployment(deployment: Deployment) -> bytes:
    """Return the file's text."""
    text = _File(
        format=FORMAT,
        chain_id=deployment.chain_id,
        genesis_hash=to_hex(deployment.genesis_hash),
        block_number=deployment.block_number,
        authority=to_hex(deployment.authority),
        trial=deployment.trial,
        admission_delay=deployment.admission_delay,
        recovery_delay=deployment.recovery_delay,
        release_window=deployment.release_window,
        head_age=deployment.head_age,
        compiler=deployment.compiler,
        contracts={
            name: _DeployedText(to_hex(contract.address), to_hex(contract.code_hash))
            for name, contract in deployment.deployed.items()
        },
        rosters=[
            _RosterText(roster.epoch, roster.threshold, [to_hex(m) for m in roster.members])
            for roster in deployment.rosters
        ],
    )
    return msgspec.json.format(msgspec.json.encode(text), indent=2) + b"\n"


def decode_deployment(data: bytes) -> Deployment:
    """Return the deployment in a file's text.

    Raises:
        DeploymentError: it is not such a text, says something twice, or is of another version.
    """
    try:
        parse_json(data)  # msgspec takes the last of two equal keys; this refuses them
        text = msgspec.json.decode(data, type=_File)
        if text.format != FORMAT:
            raise DeploymentError(f"a deployment of format {text.format}, {FORMAT} is known")
        if set(text.contracts) != set(CONTRACTS):
            raise DeploymentError("a deployment that lacks a contract")
        require_bounds(text.release_window, text.head_age)
        return Deployment(
            chain_id=text.chain_id,
            genesis_hash=from_hex(text.genesis_hash, _HASH),
            block_number=text.block_number,
            authority=from_hex(text.authority, ADDRESS_LENGTH),
            trial=text.trial,
            admission_delay=text.admission_delay,
            recovery_delay=text.recovery_delay,
            release_window=text.release_window,
            head_age=text.head_age,
            compiler=text.compiler,
            deployed={
                name: Deployed(
                    from_hex(contract.address, ADDRESS_LENGTH), from_hex(contract.code_hash, _HASH)
                )
                for name, contract in text.contracts.items()
            },
            rosters=_rosters(text.rosters),
        )
    except (*UNREADABLE, HexError, JsonError, MalformedError) as error:
        raise DeploymentError(f"not a deployment: {error}") from error


def _rosters(texts: Sequence[_RosterText]) -> tuple[Roster, ...]:
    rosters = tuple(
        Roster(
            item.epoch,
            item.threshold,
            tuple(from_hex(member, ADDRESS_LENGTH) for member in item.members),
        )
        for item in texts
    )
    epochs = [item.epoch for item in rosters]
    if epochs != sorted(set(epochs)):
        raise MalformedError("rosters go by epoch, each once")
    return rosters


def write_deployment(deployment: Deployment, path: Path) -> None:
    """Write the file, whole or not at all.

    If we crash here, the old file or the new one is there, and at worst `path`.new beside it.

    Raises:
        DeploymentError: it cannot be written.
    """
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("wb") as file:
            file.write(encode_deployment(deployment))
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(_PUBLIC)
        beside.replace(path)
    except OSError as error:
        raise DeploymentError(f"{path} cannot be written: {error.strerror}") from error


def read_deployment(path: Path) -> Deployment:
    """Return the deployment in a file.

    Raises:
        DeploymentError: it cannot be read, or is no deployment.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DeploymentError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return decode_deployment(data)
    except DeploymentError as error:
        raise DeploymentError(f"{path}: {error}") from error


# Deploying


# Checking
