"""Evidence: one access in one file, which anybody verifies offline. docs/spec/evidence.md.

    made = make_evidence(rpc, deployment, Documents(submission, transaction, sequence, ...))
    path.write_bytes(encode_evidence(made.evidence))

    evidence = decode_evidence(path.read_bytes())
    verified = verify_evidence(evidence, deployment, Anchors(hashes=frozenset(known)))

`verify_evidence` needs no node and no key: the deployment file, and what vouches for the blocks.
"""

from ledger.evidence.builder import Documents, MadeEvidence, make_evidence
from ledger.evidence.document import (
    FORMAT,
    MOST_BYTES,
    Check,
    Evidence,
    EvidenceCheckError,
    EvidenceRecord,
    EvidenceRelease,
    NoEvidenceError,
    RevealedField,
    decode_evidence,
    encode_evidence,
)
from ledger.evidence.headers import Consensus
from ledger.evidence.verifier import (
    Anchors,
    VerifiedEvidence,
    node_hashes,
    trail_hashes,
    verify_evidence,
)

__all__ = [
    "FORMAT",
    "MOST_BYTES",
    "Anchors",
    "Check",
    "Consensus",
    "Documents",
    "Evidence",
    "EvidenceCheckError",
    "EvidenceRecord",
    "EvidenceRelease",
    "MadeEvidence",
    "NoEvidenceError",
    "RevealedField",
    "VerifiedEvidence",
    "decode_evidence",
    "encode_evidence",
    "make_evidence",
    "node_hashes",
    "trail_hashes",
    "verify_evidence",
]
