"""What vouches for the blocks of evidence: sources that the verifier trusts, apart from the file.

On a QBFT chain the validators' seals do, and the deployment file names the first block, which names
the validators. Any other chain needs somebody to ask: a node, or a trail that was replayed.
"""

from pathlib import Path
from typing import Final

import msgspec

from ledger import queries
from ledger.deployment import Deployment
from ledger.evidence.blocks import BlockError, read_header
from ledger.evidence.document import Evidence
from ledger.evidence.errors import Check, EvidenceCheckError
from ledger.hexes import HexError, from_hex
from ledger.replay import ExportError, TrailReader, open_trail, verify_header
from ledger.rpc import Rpc

_HASH: Final = 32


class Anchors(msgspec.Struct, frozen=True):
    """What the verifier trusts, from a source of its own; never from the evidence's sender."""

    hashes: frozenset[bytes] = frozenset()
    """Hashes of blocks: from a node, from a trail of one's own, as published somewhere."""
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


def trail_hashes(path: Path, deployment: Deployment) -> frozenset[bytes]:
    """Return the hashes of all blocks that an exported trail has events of.

    They are the word of whoever made the file: neither the running hash nor a replay binds them. So a
    trail vouches for blocks only if it comes from a source that the verifier trusts, best from an
    export of its own. What is checked here is that each block has one hash; whether the trail is whole
    is for `replay_trail`.

    Raises:
        ExportError: it is no trail, another deployment's, or contradicts itself.
    """
    hashes: dict[int, str] = {}
    with open_trail(path) as file:
        reader = TrailReader(file)
        verify_header(reader.header, deployment)
        for batch in reader.batches():
            for number, hash_ in {(log.block_number, log.block_hash) for log in batch}:
                if hashes.setdefault(int(number, 16), hash_) != hash_:
                    raise ExportError(f"the trail has two blocks {int(number, 16)}")
    if reader.end is None:
        raise ExportError("the trail is cut off: its last line is missing")
    try:
        return frozenset(from_hex(hash_, _HASH) for hash_ in hashes.values())
    except HexError as error:
        raise ExportError(f"a block's hash is none: {error}") from error
