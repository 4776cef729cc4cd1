"""What consumer, gateway and keyholders hand each other for an access, as JSON.

    consumer  -> gateway    Submissions: signed requests with their keys, one or up to `MOST_ACCESSES`
    gateway   -> keyholder  ReleaseTask: the request, where it is on chain, what it is about
    keyholder -> gateway    SealedParts or Refusal, one for each task, in order
    gateway   -> consumer   AccessResult: the access, and the Release or what is in its way

Bytes are 0x strings except ciphertexts and sealed messages, which are base64; EIP-712 records are as
in `ledger.typed_data`, encrypted records as in `ledger.records`. Only the form is checked here:
signatures, proofs and the chain are for whoever receives it.

Source: DESIGN 3.4 and 4; docs/spec/http.md.
"""

from ledger.exchange.accesses import (
    decode_result,
    decode_results,
    decode_submissions,
    encode_excerpts,
    encode_release,
    encode_result,
    encode_results,
    encode_submissions,
)
from ledger.exchange.proofs import decode_proof, encode_proof
from ledger.exchange.tasks import (
    decode_answers,
    decode_tasks,
    encode_answers,
    encode_bare_records,
    encode_task,
    encode_tasks,
    with_authorization,
)
from ledger.exchange.types import (
    MOST_ACCESSES,
    AccessResult,
    Consent,
    HeldKeys,
    KeyedSubmission,
    Location,
    PublicationProof,
    RecordedAccess,
    Refusal,
    Release,
    ReleaseTask,
    SealedParts,
    SignedLink,
    Submission,
    Submissions,
    TooManyAccessesError,
)

__all__ = [
    "MOST_ACCESSES",
    "AccessResult",
    "Consent",
    "HeldKeys",
    "KeyedSubmission",
    "Location",
    "PublicationProof",
    "RecordedAccess",
    "Refusal",
    "Release",
    "ReleaseTask",
    "SealedParts",
    "SignedLink",
    "Submission",
    "Submissions",
    "TooManyAccessesError",
    "decode_answers",
    "decode_proof",
    "decode_result",
    "decode_results",
    "decode_submissions",
    "decode_tasks",
    "encode_answers",
    "encode_bare_records",
    "encode_excerpts",
    "encode_proof",
    "encode_release",
    "encode_result",
    "encode_results",
    "encode_submissions",
    "encode_task",
    "encode_tasks",
    "with_authorization",
]
