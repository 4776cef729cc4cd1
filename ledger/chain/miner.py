"""The clock of the embedded chain: says when to mine, and now and then has the state written.

anvil could mine at an interval by itself. But then it writes its state while it mines, and what it
writes does not fit together; it adds a block ten times a second when nothing happens, each kept for
ever; and after a crash, nobody could mine the lost blocks again at their own times.

It mines when something waits, and otherwise once in a while, so that the chain's clock goes on.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ledger.chain.rpc import Call, Rpc, RpcSettings
from ledger.service.logs import describe, get_logger

_GRACE: Final = 10.0
"""Seconds after a start without an empty block: a recorder that has something to bring back can do so
at the time at which it was (`evm_setTime`), but not any more behind a block of today."""

_SHARE: Final = 60
_STUCK: Final = 1.0

_log = get_logger()


class _Pool(msgspec.Struct):
    pending: str
    queued: str


class _Waiting(msgspec.Struct):
    hash: str


class _Content(msgspec.Struct):
    queued: dict[str, dict[str, _Waiting]]


def _read_pool(raw: msgspec.Raw) -> _Pool:
    return msgspec.json.decode(raw, type=_Pool)


def _ignore(_raw: msgspec.Raw) -> None:
    return None


def _read_text(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=str)


def _read_quantity(raw: msgspec.Raw) -> int:
    return int(_read_text(raw), 16)


_POOL: Final = Call("txpool_status", (), _read_pool)
_MINE: Final = Call("evm_mine", (), _ignore)
_NEWEST: Final = Call("eth_getBlockTransactionCountByNumber", ("latest",), _read_quantity)


class Miner(threading.Thread):
    """Mines on one node until it is stopped, also while the node does not answer."""

    def __init__(
        self,
        url: str,
        *,
        block_time: float,
        idle_block_time: float,
        keep_interval: float,
        keep_pause: float,
        keep: Callable[[], None],
        crashed: bool,
    ) -> None:
        """Take the parts; `start` begins.

        Args:
            url: the node.
            block_time: seconds within which a transaction is mined.
            idle_block_time: seconds between blocks when there is none.
            keep_interval: seconds between two calls of `keep`; zero for never.
            keep_pause: seconds that one may take, while nothing is mined; when one took longer,
                there are no more.
            keep: writes the state down.
            crashed: whether the node may have lost blocks that somebody will bring back.
        """
        super().__init__(name="miner", daemon=True)
        self._url = url
        self._block_time = block_time
        self._idle_block_time = idle_block_time
        self._keep_interval = keep_interval
        self._keep_pause = keep_pause
        self._keep = keep
        self._stopping = threading.Event()
        self._between = threading.Lock()
        now = time.monotonic()
        self._mined_at = now + _GRACE if crashed else now
        self._kept_at = now
        self._dirty = False
        self._queued_since: float | None = None

    def stop(self, timeout: float) -> None:
        """Stop; nothing is mined any more when this returns, if the node answers.

        Args:
            timeout: seconds to wait for a node that is hung.
        """
        self._stopping.set()
        if self.is_alive():
            self.join(timeout)

    def paused(self) -> threading.Lock:
        """Return what keeps anything from being mined while it is held."""
        return self._between

    def run(self) -> None:
        settings = RpcSettings(timeout=max(5.0, 10 * self._block_time))
        due, well = time.monotonic(), True
        with Rpc(self._url, settings) as rpc:
            while not self._stopping.wait(max(due - time.monotonic(), 0)):
                due = max(due + self._block_time, time.monotonic())
                try:
                    with self._between:
                        self._tick(rpc)
                except Exception as error:  # noqa: BLE001 - whatever it is, mining must go on
                    # The node is hung, or gone, or the disk is full: whoever uses it notices.
                    log = _log.warning if well else _log.debug
                    log("not mined", error=describe(error))
                    well, due = False, time.monotonic() + self._block_time
                else:
                    well = True

    def _tick(self, rpc: Rpc) -> None:
        pool, now = rpc.send(_POOL), time.monotonic()
        something = int(pool.pending, 16) > 0
        if something or now > self._mined_at + self._idle_block_time:
            rpc.send(_MINE)
            self._mined_at = now
            # What comes after the pool was asked is in the block all the same.
            self._dirty = self._dirty or something or rpc.send(_NEWEST) > 0
        if int(pool.queued, 16):
            self._free_stuck(rpc, now)
        else:
            self._queued_since = None
        if self._keep_interval and self._dirty and now > self._kept_at + self._keep_interval:
            self._keep_state()

    def _keep_state(self) -> None:
        begun = time.monotonic()
        self._kept_at = begun
        self._keep()
        self._dirty = False
        took = time.monotonic() - begun
        self._keep_interval = max(self._keep_interval, _SHARE * took)
        if took > self._keep_pause:
            self._keep_interval = 0
            _log.warning("state not written while it runs", milliseconds=round(took * 1000))

    def _free_stuck(self, rpc: Rpc, now: float) -> None:
        """Hand transactions in anew that wait although their turn has come.

        One that is handed in while the one before it is being mined may wait for that one for ever
        (anvil 1.7.1).
        """
        if self._queued_since is None:
            self._queued_since = now
        if now < self._queued_since + _STUCK:
            return
        self._queued_since = now
        content: Call[_Content] = Call("txpool_content", (), _read_content)
        for sender, waiting in rpc.send(content).queued.items():
            count: Call[int] = Call("eth_getTransactionCount", (sender, "latest"), _read_quantity)
            if str(rpc.send(count)) in waiting:
                hand_in_anew(
                    rpc, sender, [waiting[nonce].hash for nonce in sorted(waiting, key=int)]
                )


def hand_in_anew(rpc: Rpc, sender: str, transactions: Sequence[str]) -> None:
    """Take a sender's transactions that wait out of the pool and hand them in again.

    `anvil_dropTransaction` passes over those that wait for another one, so all of the sender's are taken out.
    If we fall in between, whoever sent them sends them again, as after any fall of the node.

    Args:
        rpc: the node.
        sender: address, 0x.
        transactions: hashes, 0x, by nonce.
    """
    raw = rpc.send_many(
        [
            Call("eth_getRawTransactionByHash", (transaction,), _read_text)
            for transaction in transactions
        ]
    )
    rpc.send(Call("anvil_removePoolTransactions", (sender,), _ignore))
    for transaction in raw:
        rpc.send(Call("eth_sendRawTransaction", (transaction,), _ignore))


def _read_content(raw: msgspec.Raw) -> _Content:
    return msgspec.json.decode(raw, type=_Content)
