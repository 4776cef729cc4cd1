"""Vectors of the messages of an access: the second access of the small chain, with two of three keyholders."""

import json
from typing import Any, Final

import msgspec

from ledger.api import (
    Consent,
    HeldKeys,
    Location,
    RecordedAccess,
    Refusal,
    SealedParts,
    Submissions,
    encode_excerpts,
    encode_proof,
)
from ledger.api.access import encode_release, encode_result, encode_submissions
from ledger.api.keyholder import (
    encode_answers,
    encode_bare_records,
    encode_task,
    encode_tasks,
    with_authorization,
)
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.released_parts import sign_statements, state_parts
from ledger.crypto.secret_sharing import Release as KeyParts
from ledger.crypto.secret_sharing import Sharing, derive_parts, derive_subkeys, pack
from ledger.encoding import prefixed
from ledger.hexstr import to_hex
from ledger.service.app import PREFIX
from ledger.typed_data import AccessRequest, digest
from tests.vectors.chain import receipt_of
from tests.vectors.cryptography import holders_of, seal_by_hand
from tests.vectors.files import named, text_of
from tests.vectors.small_chain import ANSWER_KEY, ASKED, HOLDER_KEYS, ROSTER, SmallChain

HOLDERS: Final = (1, 3)
SHARING: Final = Sharing(2, 3)


def make_files(chain: SmallChain) -> dict[str, str]:
    return {"messages.json": text_of(message_vectors(chain))}


def message_vectors(chain: SmallChain) -> dict[str, Any]:
    submission, recorded = chain.submissions[1], receipt_of(chain).recorded
    signed = digest(submission.request, chain.deployment.domain_of(AccessRequest))
    keys = [_held(chain, holder, signed) for holder in HOLDERS]
    refused = Refusal(
        f"{PREFIX}record-erased", "The record was erased", 410, "record 7 of the owner"
    )
    wanted = Refusal(
        f"{PREFIX}statement-wanted",
        "The signed record is wanted, once",
        409,
        "its statement was not seen here yet",
    )
    consent = Consent(chain.authorization, chain.documents.link)
    bringing = msgspec.structs.replace(submission, consent=consent)
    task = _task(chain, recorded)
    result = encode_result((submission.request, signed, recorded), _release(chain, keys))
    messages = {
        "consumer_to_gateway": encode_submissions(Submissions((submission,), single=True)),
        "consumer_to_gateway_with_consent": encode_submissions(
            Submissions((bringing,), single=True)
        ),
        "gateway_to_keyholder": encode_tasks([task]),
        "gateway_to_keyholder_with_statement": encode_tasks(
            [with_authorization(task, chain.authorization)]
        ),
        "keyholder_to_gateway": encode_answers([SealedParts(keys[0].sealed, keys[0].signed)]),
        "keyholder_to_gateway_refused": encode_answers([refused]),
        "keyholder_to_gateway_wanted": encode_answers([wanted]),
        "gateway_to_consumer": result,
    }
    return {
        "digest": to_hex(signed),
        "opening_key": to_hex(ANSWER_KEY),
        "names": list(chain.schema.names),
        "fields": str(ASKED),
        "threshold": SHARING.threshold,
        "holders": list(HOLDERS),
        **{name: json.loads(message) for name, message in messages.items()},
        "opened": [{field.name: field.value for field in fields} for fields in chain.opened],
    }


def _release(chain: SmallChain, keys: list[HeldKeys]) -> bytes:
    receipt = receipt_of(chain)
    indices = chain.schema.indices(ASKED)
    return encode_release(
        chain.schema.dataset,
        receipt.release.publication,
        receipt.release.head,
        records=encode_excerpts(record.excerpt(indices) for record in chain.records),
        proof=encode_proof(receipt.release.proof),
        keys=keys,
    )


def _task(chain: SmallChain, recorded: RecordedAccess) -> bytes:
    release = receipt_of(chain).release
    return encode_task(
        chain.submissions[1],
        Location(recorded.block_number, recorded.transaction, recorded.log_index),
        dataset=chain.schema.dataset,
        publication=release.publication,
        records=encode_bare_records(chain.records),
        proof=encode_proof(release.proof),
        link=chain.documents.link,
    )


def _held(chain: SmallChain, holder: int, signed: bytes) -> HeldKeys:
    """Return a keyholder's parts of the granted fields, sealed to the request's key."""
    subkeys = derive_subkeys(holders_of(SHARING)[holder - 1], chain.schema.dataset)
    indices = chain.schema.indices(ASKED)
    parts = [
        derive_parts(subkeys, chain.schema, record.number, record.salt, indices)
        for record in chain.records
    ]
    public = DecryptionKey(ANSWER_KEY).encryption_key.to_bytes()[1:]
    info = b"quancheng/1/release" + prefixed(signed)
    ephemeral = named(f"ephemeral key of keyholder {holder}")
    sealed = seal_by_hand(ephemeral, public, info, pack(KeyParts(tuple(parts))))
    statement = state_parts(signed, KeyParts(tuple(parts)), [ROSTER])
    domain = chain.deployment.domain_of(AccessRequest)
    (shown,) = sign_statements([statement], HOLDER_KEYS[holder - 1], domain)
    return HeldKeys(ROSTER.members[holder - 1], b"\x01\x01" + sealed, shown)
