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

from ledger.artifacts import CONTRACTS, ContractName, load_artifact
from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.eth_methods import Block
from ledger.chain.events import Contracts
from ledger.chain.rpc import AsyncRpc, Call, Rpc
from ledger.chain.transactions import created_address
from ledger.crypto.secret_sharing import Roster, add_roster
from ledger.errors import UNREADABLE, ExitCode, LedgerError, MalformedError
from ledger.hexstr import ADDRESS_LENGTH, HexError, from_hex, keccak256, to_hex
from ledger.jsonio import JsonError, parse_json
from ledger.model import Delays, Roles
from ledger.typed_data import Domain, SignedRecord

FORMAT: Final = 1
"""Version of the file."""

DEFAULT_RECOVERY_DELAY: Final = 3 * 24 * 3600
"""Seconds in which a person can veto a recovery that was not theirs."""

DEFAULT_ADMISSION_DELAY: Final = 3 * 24 * 3600
"""Seconds from an announcement in the registry to its taking effect, in which it can be vetoed."""

LEAST_DELAY: Final = 3 * 24 * 3600
"""Of both delays, where the deployment is no trial."""

LEAST_REGULATORS: Final = 2
"""Among the founders, where the deployment is no trial."""

DEFAULT_RELEASE_WINDOW: Final = 3600
"""Seconds after its block in which an access may be released, also again."""

DEFAULT_HEAD_AGE: Final = 60
"""Seconds that a keyholder's newest final block may be behind its clock."""

_HASH: Final = 32
_PUBLIC: Final = 0o644


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
        """Return a contract's address."""
        return self.deployed[name].address

    def domain_of(self, record: type[SignedRecord] | SignedRecord) -> Domain:
        """Return the domain in which a kind of record is signed."""
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
        _require_bounds(text.release_window, text.head_age)
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


def deploy(
    rpc: Rpc,
    private_key: bytes,
    *,
    founders: Sequence[Founder],
    trial: bool = False,
    admission_delay: int = DEFAULT_ADMISSION_DELAY,
    recovery_delay: int = DEFAULT_RECOVERY_DELAY,
    release_window: int = DEFAULT_RELEASE_WINDOW,
    head_age: int = DEFAULT_HEAD_AGE,
) -> Deployment:
    """Deploy all contracts and announce them; the key's account is the authority.

    Authorizations and AccessLog know each other, and the registry lists the verifier of passkeys, so
    their addresses are worked out before they are there. If we crash here, nothing refers to what was
    deployed so far: deploy again.

    Args:
        rpc: the node.
        private_key: the authority's.
        founders: who is admitted without delay: where it is no trial, at least two regulators.
        trial: lets the delays be shorter than three days. Every tool shows it.
        admission_delay: seconds in which what is announced in the registry can be vetoed.
        recovery_delay: seconds in which a recovery can be vetoed.
        release_window: seconds after its block in which an access may be released.
        head_age: seconds that a keyholder's newest final block may be behind its clock.

    Raises:
        DeploymentError: Release window or head age are zero; the delays are too short or the
            regulators too few for what is no trial.
        RpcError: the node cannot be asked.
        LedgerError: a transaction did not work.
    """
    _require_bounds(release_window, head_age)
    if not trial:
        _require_serious(founders, admission_delay, recovery_delay)
    # web3 takes two seconds to load, and every service reads deployments.
    from ledger.chain.sender import Sender  # noqa: PLC0415
    from ledger.chain.web3_access import creation_code  # noqa: PLC0415

    sender = Sender(rpc, private_key)
    nonce = rpc.send(eth_methods.transaction_count(sender.address, "pending"))
    addresses = {
        name: created_address(sender.address, nonce + place) for place, name in enumerate(CONTRACTS)
    }
    registry, catalogue, agreements, authorizations, access_log, verifier = addresses.values()
    founding = [(founder.party, int(founder.roles), founder.name) for founder in founders]
    arguments: dict[ContractName, tuple[object, ...]] = {
        "Registry": (sender.address, trial, admission_delay, founding, [verifier]),
        "Catalogue": (registry,),
        "Agreements": (registry, catalogue),
        "Authorizations": (registry, catalogue, agreements, access_log, recovery_delay),
        "AccessLog": (registry, catalogue, agreements, authorizations),
    }
    receipts = sender.create_all(
        [creation_code(name, *arguments.get(name, ())) for name in CONTRACTS]
    )
    announcements = [contract_calls.announce(name, addresses[name]) for name in CONTRACTS]
    sender.send_all([(addresses["Registry"], call.data) for call in announcements])
    codes = rpc.send_many([eth_methods.code(address) for address in addresses.values()])
    genesis = _found(rpc.send(eth_methods.block(0)))
    return Deployment(
        chain_id=sender.chain_id,
        genesis_hash=genesis.hash,
        block_number=min(receipt.block_number for receipt in receipts),
        authority=sender.address,
        trial=trial,
        admission_delay=admission_delay,
        recovery_delay=recovery_delay,
        release_window=release_window,
        head_age=head_age,
        compiler=load_artifact("Registry").compiler.version,
        deployed={
            name: Deployed(address, keccak256(code))
            for (name, address), code in zip(addresses.items(), codes, strict=True)
        },
    )


def _require_bounds(release_window: int, head_age: int) -> None:
    if release_window <= 0 or head_age <= 0:
        raise DeploymentError("releaseWindow and headAge are seconds, at least one")


def _require_serious(
    founders: Sequence[Founder], admission_delay: int, recovery_delay: int
) -> None:
    if min(admission_delay, recovery_delay) < LEAST_DELAY:
        raise DeploymentError(
            f"a delay of less than {LEAST_DELAY} s (3 days): only where the deployment is a trial"
        )
    regulators = {founder.party for founder in founders if founder.roles & Roles.REGULATOR}
    if len(regulators) < LEAST_REGULATORS:
        raise DeploymentError(
            f"{len(regulators)} regulators among the founders, {LEAST_REGULATORS} are needed:"
            " fewer only where the deployment is a trial"
        )


# Checking


def verify_deployment(rpc: Rpc, deployment: Deployment) -> Deployment:
    """Return the deployment if the node has it.

    Raises:
        WrongNodeError: it has another chain or other code.
        DeploymentError: the contracts were made with other terms.
        RpcError: the node cannot be asked.
    """
    _check_chain(deployment, rpc.send(eth_methods.chain_id()), rpc.send(eth_methods.block(0)))
    _check_codes(deployment, rpc.send_many(_codes(deployment)))
    at = deployment.contracts
    trial = rpc.send(contract_reads.is_trial(at))
    delays = rpc.send_many([contract_reads.admission_delay(at), contract_reads.recovery_delay(at)])
    _check_terms(deployment, trial, delays)
    return deployment


async def verify_deployment_async(rpc: AsyncRpc, deployment: Deployment) -> Deployment:
    """Do as `verify_deployment`, from asyncio."""
    _check_chain(
        deployment, await rpc.send(eth_methods.chain_id()), await rpc.send(eth_methods.block(0))
    )
    _check_codes(deployment, await rpc.send_many(_codes(deployment)))
    at = deployment.contracts
    trial = await rpc.send(contract_reads.is_trial(at))
    delays = await rpc.send_many(
        [contract_reads.admission_delay(at), contract_reads.recovery_delay(at)]
    )
    _check_terms(deployment, trial, delays)
    return deployment


def _codes(deployment: Deployment) -> list[Call[bytes]]:
    return [eth_methods.code(deployment.address_of(name)) for name in CONTRACTS]


def _check_chain(deployment: Deployment, chain_id: int, genesis: Block | None) -> None:
    if chain_id != deployment.chain_id:
        raise WrongNodeError(
            f"the node's chain has the id {chain_id}, the deployment is on {deployment.chain_id}"
        ).labelled("WrongChain")
    if _found(genesis).hash != deployment.genesis_hash:
        raise WrongNodeError(
            f"the node's chain began with {to_hex(_found(genesis).hash)}, "
            f"the deployment's with {to_hex(deployment.genesis_hash)}"
        ).labelled("OtherGenesis")


def _check_codes(deployment: Deployment, codes: Sequence[bytes]) -> None:
    for name, code in zip(CONTRACTS, codes, strict=True):
        address = to_hex(deployment.address_of(name))
        if not code:
            raise WrongNodeError(f"there is no {name} at {address}").labelled("CodeMissing")
        artifact = load_artifact(name)
        if keccak256(code) != deployment.deployed[name].code_hash:
            raise WrongNodeError(
                f"the code at {address} is not the {name} that was deployed"
            ).labelled("CodeChanged")
        # The file itself may have been changed: what counts is the code that ships with this library.
        if artifact.masked(code) != artifact.masked(from_hex(artifact.deployed_bytecode)):
            raise WrongNodeError(
                f"the code at {address} is not the {name} of this version"
            ).labelled("CodeChanged")


def _check_terms(deployment: Deployment, trial: bool, delays: Sequence[int]) -> None:
    # Immutables are in the code's hash, but who made the file may have put another hash there too.
    if trial != deployment.trial:
        raise DeploymentError(
            f"the contracts say {_trial_text(trial)}, the deployment {_trial_text(deployment.trial)}"
        )
    said = [deployment.admission_delay, deployment.recovery_delay]
    if list(delays) != said:
        raise DeploymentError(
            f"the contracts' delays are {list(delays)} s, the deployment's {said}"
        )


def _trial_text(trial: bool) -> str:
    return "that they are a trial" if trial else "that they are no trial"


def _found(block: Block | None) -> Block:
    if block is None:
        raise DeploymentError("the node has no first block")
    return block
