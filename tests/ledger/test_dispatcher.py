"""A transaction that the node counts before it has its receipt is no transaction of somebody else.

`make faults` found it: a node that had been hung was asked just while it made a block, and the recorder stopped for good
because "somebody else sends transactions from the recorder's account".
"""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from ledger.chain.eth_methods import Block
from ledger.chain.rpc import AsyncRpc, Call
from ledger.crypto.signatures import address_of
from ledger.recorder.dispatcher import Dispatcher
from ledger.recorder.journal import Identity, Sent
from ledger.recorder.outbox import Outbox
from ledger.recorder.settings import RecorderError, RecorderSettings
from ledger.recorder.settle import PendingTransaction
from tests.support.trails import deployment

KEY = bytes(31) + b"\x01"


class CountingNode:
    """A node that has mined the account's first transaction, and has no receipt of it."""

    async def send(self, call: Call[Any]) -> int:
        assert call.method == "eth_getTransactionCount"
        return 1

    async def send_many(self, calls: Sequence[Call[Any]]) -> list[None]:
        return [None] * len(calls)


def block(number: int) -> Block:
    return Block(number, bytes(32), bytes(32), number, 30_000_000, 0)


async def test_what_is_counted_before_it_has_a_receipt_is_looked_at_again_in_the_next_block() -> (
    None
):
    rpc, settings, account = cast("AsyncRpc", CountingNode()), RecorderSettings(), address_of(KEY)
    outbox = Outbox(rpc, KEY, Identity(1, bytes(32), bytes(20), account), settings)
    dispatcher = Dispatcher(rpc, deployment(), settings, outbox, lookup=None, unclaimed=None)
    flight = PendingTransaction(account, 0, bytes(20), b"", [Sent(account, 0, bytes(32), b"", b"")])
    outbox.flights.add(flight)
    for number in (7, 7):  # a block is looked at more than once
        await dispatcher._check_nonce(flight, block(number))
    assert len(outbox.flights) == 1
    with pytest.raises(RecorderError):
        await dispatcher._check_nonce(flight, block(8))
    assert len(outbox.flights) == 0
    await outbox.close()
