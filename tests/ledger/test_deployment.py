"""A deployment is what its file says, or it is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.artifacts import CONTRACTS, load_artifact
from ledger.chain import contract_reads, eth_methods
from ledger.chain.deploy import MIN_DELAY, deploy, verify_deployment
from ledger.chain.deployment import (
    Deployed,
    Deployment,
    DeploymentError,
    Founder,
    WrongNodeError,
    decode_deployment,
    encode_deployment,
    read_deployment,
    write_deployment,
)
from ledger.chain.events import ContractAnnounced
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.rpc import AsyncRpc, Call
from ledger.crypto.secret_sharing import Roster
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.model import Roles
from ledger.typed_data import AccessRequest, Authorization, ConfidentialityAgreement
from scripts.scenario import RECOVERY_DELAY, ROSTER, Chain
from tests.support import more_views


def test_deployment_verifies_against_its_own_chain(chain: Chain) -> None:
    assert chain.rpc.run(verify_deployment, chain.deployment) is chain.deployment


async def test_deployment_verifies_from_asyncio(chain: Chain) -> None:
    async with AsyncRpc(chain.node.url) as rpc:
        assert await verify_deployment(rpc, chain.deployment) is chain.deployment
        with pytest.raises(WrongNodeError):
            await verify_deployment(rpc, changed(chain, chain_id=1))


def test_contracts_are_announced_and_know_each_other(chain: Chain) -> None:
    first = chain.deployment.block_number
    logs = chain.rpc.send(eth_methods.logs(first, first + 50, [chain.contracts.registry]))
    events = EventDecoder(chain.contracts).decode_all(logs)
    announced = {e.contract_name: e.deployed for e in events if isinstance(e, ContractAnnounced)}
    assert announced == {name: chain.deployment.address_of(name) for name in CONTRACTS}
    assert first == min(int(log.block_number, 16) for log in logs)
    access_log = eth_methods.call(chain.contracts.authorizations, keccak256(b"ACCESS_LOG()")[:4])
    assert chain.rpc.send(access_log)[12:] == chain.contracts.access_log
    delay = eth_methods.call(chain.contracts.authorizations, keccak256(b"RECOVERY_DELAY()")[:4])
    assert int.from_bytes(chain.rpc.send(delay), "big") == RECOVERY_DELAY
    assert chain.rpc.send(contract_reads.authority(chain.contracts)) == chain.deployment.authority


def test_records_are_signed_for_the_contract_that_reads_them(chain: Chain) -> None:
    deployment = chain.deployment
    assert deployment.domain_of(AccessRequest).verifying_contract == chain.contracts.access_log
    authorization = deployment.domain_of(Authorization)
    assert authorization.verifying_contract == chain.contracts.authorizations
    agreement = deployment.domain_of(ConfidentialityAgreement)
    assert agreement.verifying_contract == chain.contracts.agreements
    assert agreement.chain_id == deployment.chain_id


# What does not fit


def changed(chain: Chain, **changes: Any) -> Deployment:
    return msgspec.structs.replace(chain.deployment, **changes)


def elsewhere(chain: Chain, **changes: Any) -> Deployment:
    deployed = dict(chain.deployment.deployed)
    deployed["AccessLog"] = msgspec.structs.replace(deployed["AccessLog"], **changes)
    return changed(chain, deployed=deployed)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda chain: changed(chain, chain_id=1), WrongNodeError, "has the id"),
        (lambda chain: changed(chain, genesis_hash=bytes(32)), WrongNodeError, "began with"),
        (lambda chain: elsewhere(chain, address=bytes(20)), WrongNodeError, "there is no"),
        (lambda chain: elsewhere(chain, code_hash=bytes(32)), WrongNodeError, "was deployed"),
        (
            lambda chain: elsewhere(chain, address=chain.contracts.registry),
            WrongNodeError,
            "was deployed",
        ),
        (lambda chain: changed(chain, trial=False), DeploymentError, "trial"),
        (lambda chain: changed(chain, admission_delay=MIN_DELAY), DeploymentError, "delays"),
        (lambda chain: changed(chain, recovery_delay=MIN_DELAY), DeploymentError, "delays"),
    ],
)
def test_each_difference_is_its_own_error(
    chain: Chain, change: Callable[[Chain], Deployment], error: type[DeploymentError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        chain.rpc.run(verify_deployment, change(chain))
    assert type(caught.value) is error


def _anything(_raw: object) -> None:
    return None


def test_changed_code_is_found_even_when_the_file_was_changed_with_it(own_chain: Chain) -> None:
    chain = own_chain
    address = chain.contracts.access_log
    code = bytearray(chain.rpc.send(eth_methods.code(address)))
    code[-1] ^= 1
    set_code: Call[None] = Call("anvil_setCode", (to_hex(address), to_hex(bytes(code))), _anything)
    chain.rpc.send(set_code)
    forged = Deployed(address, keccak256(bytes(code)))
    deployed = {**chain.deployment.deployed, "AccessLog": forged}
    with pytest.raises(WrongNodeError, match="of this version"):
        chain.rpc.run(verify_deployment, changed(chain, deployed=deployed))


def test_immutables_are_the_only_difference_to_the_artifact(chain: Chain) -> None:
    for name in CONTRACTS:
        artifact = load_artifact(name)
        code = chain.rpc.send(eth_methods.code(chain.deployment.address_of(name)))
        shipped = from_hex(artifact.deployed_bytecode)
        assert artifact.masked(code) == artifact.masked(shipped)
        assert (code == shipped) == (not artifact.immutable_references)


# Trial or not

SERIOUS = (
    Founder(b"\x01" * 20, Roles.REGULATOR, "Inspection"),
    Founder(b"\x02" * 20, Roles.REGULATOR, "Audit office"),
    Founder(b"\x03" * 20, Roles.IDENTITY_AUTHORITY, "Identity authority"),
)


def test_deployment_that_is_no_trial_has_two_regulators_and_delays_of_three_days(
    chain: Chain,
) -> None:
    deployment = deploy(chain.rpc, b"\x07" * 32, founders=SERIOUS)
    assert (deployment.trial, deployment.admission_delay) == (False, MIN_DELAY)
    assert chain.rpc.run(verify_deployment, deployment) is deployment
    at = deployment.contracts
    for founder in SERIOUS:
        standing = chain.rpc.send(contract_reads.standing_of(at, founder.party))
        assert (standing.roles, standing.active) == (founder.roles, True)
    assert chain.rpc.send(more_views.is_verifier(at, deployment.webauthn_verifier)) is True


@pytest.mark.parametrize(
    "changes",
    [
        {"founders": SERIOUS[1:]},
        {"founders": [SERIOUS[0], SERIOUS[0]]},
        {"admission_delay": MIN_DELAY - 1},
        {"recovery_delay": MIN_DELAY - 1},
    ],
)
def test_only_a_trial_is_deployed_with_less(chain: Chain, changes: dict[str, Any]) -> None:
    with pytest.raises(DeploymentError, match="only where the deployment is a trial"):
        deploy(chain.rpc, b"\x07" * 32, **{"founders": SERIOUS} | changes)


# The file


def test_file_reads_back(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    write_deployment(chain.deployment, path)
    assert read_deployment(path) == chain.deployment
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert encode_deployment(chain.deployment).endswith(b"}\n")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: {**text, "releaseWindow": 0},
        lambda text: {**text, "headAge": -1},
        lambda text: {name: text[name] for name in text if name != "trial"},
        lambda text: {name: text[name] for name in text if name != "releaseWindow"},
        lambda text: {},
        lambda text: {**text, "format": 2},
        lambda text: {**text, "chainId": "1"},
        lambda text: {**text, "genesisHash": "0x12"},
        lambda text: {**text, "surprise": 1},
        lambda text: {**text, "contracts": {}},
        lambda text: {
            **text,
            "contracts": {name: one | {"abi": []} for name, one in text["contracts"].items()},
        },
        lambda text: {
            **text,
            "contracts": {**text["contracts"], "Registry": {"address": "0x1", "codeHash": "0x"}},
        },
    ],
)
def test_damaged_file_is_refused_by_name(
    chain: Chain, tmp_path: Path, damage: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    path = tmp_path / "deployment.json"
    path.write_text(json.dumps(damage(json.loads(encode_deployment(chain.deployment)))))
    with pytest.raises(DeploymentError, match=r"deployment\.json"):
        read_deployment(path)


@pytest.mark.parametrize(
    ("member", "twice"),
    [
        ('"chainId"', '"chainId": 1, "chainId"'),
        ('"address"', '"address": "0x", "address"'),
        ('"Registry"', '"Registry": {}, "Registry"'),
    ],
)
def test_a_file_that_says_something_twice_is_refused(chain: Chain, member: str, twice: str) -> None:
    text = encode_deployment(chain.deployment).decode()
    assert decode_deployment(text.encode()) == chain.deployment
    with pytest.raises(DeploymentError, match=f"{member[1:-1]}' is given more than once"):
        decode_deployment(text.replace(member, twice, 1).encode())


def test_missing_file_and_missing_directory_are_named(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match="No such file"):
        read_deployment(tmp_path / "nothing.json")
    with pytest.raises(DeploymentError, match="cannot be written"):
        write_deployment(chain.deployment, tmp_path / "nowhere" / "deployment.json")


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(DeploymentError):
        decode_deployment(b"\xff")
    with pytest.raises(DeploymentError, match="nested deeper"):
        decode_deployment(b'{"surprise": ' + b"[" * 100_000)


def test_the_keyholders_are_those_of_the_file(chain: Chain) -> None:
    deployment = chain.deployment
    assert (
        decode_deployment(encode_deployment(deployment)).rosters == deployment.rosters == (ROSTER,)
    )
    assert deployment.with_roster(ROSTER) == deployment
    next_one = Roster(2, 1, ROSTER.members)
    assert deployment.with_roster(next_one).rosters == (ROSTER, next_one)
    with pytest.raises(DeploymentError, match="another roster"):
        deployment.with_roster(Roster(1, 1, ROSTER.members))


@pytest.mark.parametrize(
    "change",
    [
        lambda rosters: rosters + rosters,
        lambda rosters: [{**rosters[0], "threshold": 99}],
        lambda rosters: [{**rosters[0], "members": rosters[0]["members"][:1] * 3}],
        lambda rosters: [{**rosters[0], "epoch": -1}],
        lambda rosters: [{**rosters[0], "epoch": 2}, *rosters],
        lambda rosters: None,
    ],
)
def test_a_file_with_impossible_rosters_is_refused(
    chain: Chain, change: Callable[[list[dict[str, Any]]], object]
) -> None:
    file = json.loads(encode_deployment(chain.deployment))
    file["rosters"] = change(file["rosters"])
    with pytest.raises(DeploymentError):
        decode_deployment(json.dumps(file).encode())
