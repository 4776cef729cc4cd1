"""Evidence: one access in one file, which anybody verifies offline. docs/spec/evidence.md.

    made = make_evidence(rpc, deployment, Documents(submission, transaction, sequence, ...))
    path.write_bytes(encode_evidence(made.evidence))

    evidence = decode_evidence(path.read_bytes())
    verified = verify_evidence(evidence, deployment, Anchors(hashes=frozenset(known)))

`verify_evidence` needs no node and no key: the deployment file, and what vouches for the blocks.
"""

from ledger.evidence.anchors import Anchors, node_hashes, trail_hashes
from ledger.evidence.blocks import BlockError, Consensus
from ledger.evidence.document import (
    FORMAT,
    MOST_BYTES,
    Evidence,
    EvidenceBlock,
    EvidenceRecord,
    EvidenceRelease,
    ProvenReceipt,
    RevealedField,
    decode_evidence,
    encode_evidence,
)
from ledger.evidence.errors import Check, EvidenceCheckError, EvidenceError, NoEvidenceError
from ledger.evidence.facts import Facts
from ledger.evidence.making import Documents, MadeEvidence, make_evidence
from ledger.evidence.releases import VerifiedRecord
from ledger.evidence.verifying import Open, VerifiedEvidence, verify_evidence

__all__ = [
    "FORMAT",
    "MOST_BYTES",
    "Anchors",
    "BlockError",
    "Check",
    "Consensus",
    "Documents",
    "Evidence",
    "EvidenceBlock",
    "EvidenceCheckError",
    "EvidenceError",
    "EvidenceRecord",
    "EvidenceRelease",
    "Facts",
    "MadeEvidence",
    "NoEvidenceError",
    "Open",
    "ProvenReceipt",
    "RevealedField",
    "VerifiedEvidence",
    "VerifiedRecord",
    "decode_evidence",
    "encode_evidence",
    "make_evidence",
    "node_hashes",
    "trail_hashes",
    "verify_evidence",
]
