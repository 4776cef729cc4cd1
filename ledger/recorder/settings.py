"""How a recorder works."""

from dataclasses import dataclass
from typing import Final

from ledger.chain import Finality
from ledger.fees import AS_SUGGESTED, FeeRule

AT_ONCE: Final = Finality.depth(0)


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """Settings, each with the failure that it prevents.

    Attributes:
        finality: when a block counts; relying on one that is taken back would release unrecorded.
        fee: what our transactions offer. A node that suggests too little or too much decides nothing then.
        most_entries: accesses in one transaction. Gas lowers it further.
        most_in_flight: transactions of our account that wait for their block. What is sent beyond
            what a block takes only gathers in the node's pool, where a fall of the node forgets it.
        most_queued: accesses waiting to be sent; more are refused, so that memory stays bounded.
        most_queued_of_one: the same for one consumer, so that one does not take all the room.
        patience: seconds that a caller waits; a hung node must not hold callers for ever.
        pace: seconds between two batches, so that a busy recorder does not send many small ones.
        resend_after: seconds until an unmined transaction is sent again; nodes forget them.
        replace_after: seconds until one that is still unmined gets a higher fee, where gas costs.
        remembered: outcomes kept in memory, to answer a repeated request at once.
        segment_size: bytes of a journal segment.
        keep_history: keep journal segments whose transactions are all final. Needed on the embedded
            chain only, which can forget final blocks.
        reconcile_automatically: when the chain lost blocks, send again what is missing without
            being asked. On the embedded chain only: elsewhere a person must look first.
        sets_clock: send it again at the times at which it was, so that no deadline has passed meanwhile.
            On the embedded chain only, whose clock can be set.
        journaled: off loses records in a crash; only tests that show this turn it off.
    """

    finality: Finality = AT_ONCE
    fee: FeeRule = AS_SUGGESTED
    most_entries: int = 1_000
    most_in_flight: int = 16
    most_queued: int = 20_000
    most_queued_of_one: int = 10_000
    patience: float = 10.0
    pace: float = 0.02
    resend_after: float = 3.0
    replace_after: float = 30.0
    remembered: int = 50_000
    segment_size: int = 64 << 20
    keep_history: bool = False
    reconcile_automatically: bool = False
    sets_clock: bool = False
    journaled: bool = True
