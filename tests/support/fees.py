"""What mined transactions offered."""

import msgspec

from ledger.chain.rpc import Call
from ledger.hexstr import from_hex, to_hex
from scripts.scenario import Chain


class _Transaction(msgspec.Struct, rename="camel"):
    sender: str = msgspec.field(name="from")
    gas_price: str = msgspec.field(name="gasPrice")
    most: str | None = msgspec.field(name="maxFeePerGas", default=None)
    priority: str | None = msgspec.field(name="maxPriorityFeePerGas", default=None)


class _Block(msgspec.Struct):
    transactions: list[_Transaction]


def fund(chain: Chain, *accounts: bytes) -> None:
    for account in accounts:
        chain.rpc.send(Call("anvil_setBalance", (to_hex(account), hex(10**20)), lambda _: None))


def newest_offer(chain: Chain, sender: bytes) -> tuple[int, int]:
    """Return most and priority, wei per gas, of a sender's newest transaction on chain."""
    for number in range(chain.block_number(), 0, -1):
        call = Call(
            "eth_getBlockByNumber",
            (hex(number), True),
            lambda raw: msgspec.json.decode(raw, type=_Block),
        )
        for transaction in reversed(chain.rpc.send(call).transactions):
            if from_hex(transaction.sender) == sender:
                return (
                    int(transaction.most or transaction.gas_price, 16),
                    int(transaction.priority or transaction.gas_price, 16),
                )
    raise LookupError("nothing of this sender is on chain")
