"""What vouches for the blocks of evidence: sources that the verifier trusts, apart from the file.

On a QBFT chain the validators' seals do, and the deployment file names the first block, which names
the validators. Any other chain needs somebody to ask: a node, or a trail that was replayed.
"""

from pathlib import Path

import msgspec

from ledger import queries
from ledger.evidence.blocks import BlockError, read_header
from ledger.evidence.document import Evidence
from ledger.evidence.errors import Check, EvidenceCheckError
from ledger.hexes import from_hex
from ledger.replay import open_trail
from ledger.replay.export import TrailReader
from ledger.rpc import Rpc


class Anchors(msgspec.Struct, frozen=True):
    """What the verifier trusts, from a source of its own; never from the evidence's sender."""

    hashes: frozenset[bytes] = frozenset()
    """Hashes of blocks: from a node, from a trail that was replayed, as published somewhere."""
    validators: frozenset[bytes] = frozenset()
    """QBFT: addresses whose seals count. Empty: those of the deployment's first block."""


def node_hashes(rpc: Rpc, evidence: Evidence) -> frozenset[bytes]:
    """Return what a node says are the hashes of evidence's blocks.

    Raises:
        EvidenceCheckError: a header of the evidence is none.
        RpcError: the node cannot be asked.
    """
    try:
        headers = [read_header(block.header, evidence.consensus) for block in evidence.blocks]
    except BlockError as error:
        raise EvidenceCheckError(Check.ANCHOR, str(error)) from error
    found = rpc.send_many([queries.block(header.number) for header in headers])
    return frozenset(block.hash for block in found if block is not None)


def trail_hashes(path: Path) -> frozenset[bytes]:
    """Return the hashes of all blocks that an exported trail has events of.

    The trail is not replayed here: that says whether it is whole.

    Raises:
        ExportError: it is no trail.
    """
    with open_trail(path) as file:
        reader = TrailReader(file)
        texts = {log.block_hash for batch in reader.batches() for log in batch}
    return frozenset((*map(from_hex, texts), reader.header.last_block_hash))
