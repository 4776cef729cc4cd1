"""Checks of the chain before a recorder works, and whenever it begins again."""

from ledger import queries, views
from ledger.chain import BlockRef, Finality, final_block, verify_descends
from ledger.deployment import Deployment
from ledger.recorder.errors import RecorderError, SequenceBehindError
from ledger.recorder.outbox import Outbox
from ledger.recorder.records import Mark
from ledger.rpc import AsyncRpc, RpcError


async def verify_mark(
    rpc: AsyncRpc, deployment: Deployment, finality: Finality, mark: Mark | None
) -> None:
    """Return if the chain has all that was final when the mark was made.

    Raises:
        BlocksLostError: the marked block is not on it.
        SequenceBehindError: it has fewer accesses.
        RpcError: the node cannot be asked, or has no final block yet.
    """
    newest = await final_block(rpc, finality)
    if newest is None:
        raise RpcError("the node has no final block yet", "unreachable")
    if mark is None:
        return
    await verify_descends(rpc, BlockRef(mark.block_number, mark.block_hash), newest)
    log = await rpc.send(views.log_state(deployment.contracts))
    if log.sequence < mark.sequence:
        raise SequenceBehindError(
            f"{mark.sequence} accesses were recorded, the chain has {log.sequence}"
        )


async def free_nonce(rpc: AsyncRpc, account: bytes) -> int:
    """Return the first nonce that an account without a journal may use.

    Raises:
        RpcError: the node cannot be asked.
    """
    counts = [queries.transaction_count(account, tag) for tag in ("latest", "pending")]
    return max(await rpc.send_many(counts))


async def verify_nonce(rpc: AsyncRpc, outbox: Outbox) -> None:
    """Return if the account's transactions on chain are those of the journal.

    Raises:
        RecorderError: there are others.
        SequenceBehindError: the chain lost some.
        RpcError: the node cannot be asked.
    """
    mined = await rpc.send(queries.transaction_count(outbox.account))
    if mined > outbox.next_nonce:
        raise RecorderError(
            f"the account sent {mined} transactions, {outbox.next_nonce} of them are ours"
        )
    on_their_way = outbox.of_account()
    oldest = on_their_way[0].nonce if on_their_way else outbox.next_nonce
    if mined < oldest:
        raise SequenceBehindError(f"{oldest} transactions were final, the chain has {mined}")
