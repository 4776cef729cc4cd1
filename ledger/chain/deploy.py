"""Deploying all contracts, and checking that a node has what a deployment file says."""

from collections.abc import Sequence
from typing import Final

from ledger.artifacts import CONTRACTS, ContractName, load_artifact
from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.deployment import (
    DEFAULT_HEAD_AGE,
    DEFAULT_RELEASE_WINDOW,
    Deployed,
    Deployment,
    DeploymentError,
    Founder,
    WrongNodeError,
    require_bounds,
)
from ledger.chain.eth_methods import Block
from ledger.chain.rpc import AsyncRpc, Rpc
from ledger.chain.sender import Sender
from ledger.chain.transactions import created_address
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.model import Roles

DEFAULT_RECOVERY_DELAY: Final = 3 * 24 * 3600
"""Seconds in which a person can veto a recovery that was not theirs."""

DEFAULT_ADMISSION_DELAY: Final = 3 * 24 * 3600
"""Seconds from an announcement in the registry to its taking effect, in which it can be vetoed."""

MIN_DELAY: Final = 3 * 24 * 3600
"""Of both delays, where the deployment is no trial."""

MIN_REGULATORS: Final = 2
"""Among the founders, where the deployment is no trial."""


async def verify_deployment(rpc: AsyncRpc, deployment: Deployment) -> Deployment:
    """Return the deployment if the node has it.

    Raises:
        WrongNodeError: it has another chain or other code.
        DeploymentError: the contracts were made with other terms.
        RpcError: the node cannot be asked.
    """
    _check_chain(
        deployment, await rpc.send(eth_methods.chain_id()), await rpc.send(eth_methods.block(0))
    )
    codes = [eth_methods.code(deployment.address_of(name)) for name in CONTRACTS]
    _check_codes(deployment, await rpc.send_many(codes))
    at = deployment.contracts
    trial = await rpc.send(contract_reads.is_trial(at))
    delays = await rpc.send_many(
        [contract_reads.admission_delay(at), contract_reads.recovery_delay(at)]
    )
    _check_terms(deployment, trial, delays)
    return deployment


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


def _found(block: Block | None) -> Block:
    if block is None:
        raise DeploymentError("the node has no first block")
    return block


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
    require_bounds(release_window, head_age)
    if not trial:
        _require_serious(founders, admission_delay, recovery_delay)
    # web3 takes two seconds to load, and every service reads deployments.
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
    receipts = sender.send_all(
        [(None, creation_code(name, *arguments.get(name, ()))) for name in CONTRACTS]
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


def _require_serious(
    founders: Sequence[Founder], admission_delay: int, recovery_delay: int
) -> None:
    if min(admission_delay, recovery_delay) < MIN_DELAY:
        raise DeploymentError(
            f"a delay of less than {MIN_DELAY} s (3 days): only where the deployment is a trial"
        )
    regulators = {founder.party for founder in founders if founder.roles & Roles.REGULATOR}
    if len(regulators) < MIN_REGULATORS:
        raise DeploymentError(
            f"{len(regulators)} regulators among the founders, {MIN_REGULATORS} are needed:"
            " fewer only where the deployment is a trial"
        )


def _trial_text(trial: bool) -> str:
    return "that they are a trial" if trial else "that they are no trial"
