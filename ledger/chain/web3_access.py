"""web3 for what is not hot: deploying, what a transaction needs, a look at the chain.

To be imported late: web3 takes two seconds to load. docs/decisions/web3-for-cold-chain-work.md says where the line runs.
"""

import json
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from web3 import AsyncWeb3, Web3
from web3.exceptions import Web3Exception
from web3.providers import AsyncBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from ledger.artifacts import ContractName
from ledger.chain.rpc import AsyncRpc, Call
from ledger.errors import LedgerError
from ledger.hexstr import to_hex


class _Provider(AsyncBaseProvider):
    """Asks through our own client: its bounds hold, and its errors come out as they are."""

    def __init__(self, rpc: AsyncRpc) -> None:
        super().__init__()
        self._rpc = rpc

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        call: Call[Any] = Call(method, tuple(params), msgspec.json.decode)
        return {"jsonrpc": "2.0", "id": 0, "result": await self._rpc.send(call)}


def connect(rpc: AsyncRpc) -> AsyncWeb3[Any]:
    """Return web3 on a node.

    Without its middleware, which resolves names, asks for the chain's id again and refuses the blocks of
    proof-of-authority chains. What it is given must be JSON: bytes as hex.
    """
    return AsyncWeb3(_Provider(rpc), middleware=[])


def creation_code(name: ContractName, *arguments: object) -> bytes:
    """Return what is sent to create a contract.

    Raises:
        LedgerError: an argument does not fit its type.
    """
    artifact = _artifact(name)
    factory = Web3().eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    try:
        return bytes.fromhex(factory.constructor(*arguments).data_in_transaction[2:])
    except (Web3Exception, TypeError, ValueError) as error:
        raise LedgerError(f"{name} cannot be created with these arguments: {error}") from error


async def read(
    rpc: AsyncRpc, name: ContractName, address: bytes, function: str, *arguments: object
) -> Any:
    """Ask one of the contracts' views, by the ABI that ships; addresses come as checksummed text.

    Raises:
        RpcError: the node cannot be asked.
        LedgerError: there is no such view, or what comes back is no answer of it.
    """
    contract = connect(rpc).eth.contract(
        Web3.to_checksum_address(to_hex(address)), abi=_artifact(name)["abi"]
    )
    try:
        return await contract.get_function_by_name(function)(*arguments).call()
    except (Web3Exception, TypeError, ValueError) as error:
        if isinstance(error, LedgerError):
            raise
        raise LedgerError(f"{name}.{function} cannot be asked: {error}") from error


@cache
def _artifact(name: ContractName) -> Any:
    return json.loads(resources.files("ledger").joinpath("artifacts", f"{name}.json").read_bytes())
