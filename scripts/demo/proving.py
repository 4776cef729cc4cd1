"""Act: one access as evidence in one file, which anybody verifies offline.

The bank makes it of its receipt and shows one of three values, as a court might need. Who verifies
it needs the deployment file and a trail that a regulator has replayed: no gateway, no node, no key.
"""

from pathlib import Path
from typing import Final

from ledger.evidence.builder import make_evidence
from ledger.evidence.document import EvidenceCheckError, decode_evidence, encode_evidence
from ledger.evidence.verifier import Anchors, VerifiedEvidence, trail_hashes, verify_evidence
from scripts.demo.world import World
from wallet.consumer.access import Used
from wallet.regulator.evidence import documents_of, named

SHOWN: Final = "Address"
"""The one field whose value the file shows."""


def play(world: World, used: Used) -> None:
    """Make evidence of one use, verify it with files alone, and forge it."""
    stage = world.stage
    with stage.act("One access as evidence, verified offline"):
        path = world.data / "evidence.json"
        documents = documents_of(used.receipt, show=named((SHOWN,)))
        made = make_evidence(world.node, world.deployment, documents)
        path.write_bytes(encode_evidence(made.evidence))
        stage.step(f"evidence.json: access {documents.sequence}, {path.stat().st_size:,} bytes")
        verified = verify(world, path)
        stage.check(
            f"it verifies offline, by {len(verified.checked)} checks of its own",
            (verified.access_id, verified.checked),
            (used.opened.access, made.verified.checked),
        )
        authorization = used.receipt.basis.authorization
        statement = None if authorization is None else authorization.statement
        stage.check("it holds the statement that was signed", verified.statement, statement)
        shown = {
            record.entry.number: tuple(f.value for f in record.fields)
            for record in verified.records
        }
        addresses = {record.entry.number: (record.value(SHOWN),) for record in used.opened.records}
        stage.check("it shows each record's address, and no other value", shown, addresses)
        ((value,), *_) = addresses.values()
        stage.check("another address forged into it: found", forge(world, path, value), "VALUES")


def verify(world: World, path: Path) -> VerifiedEvidence:
    """Verify with files alone.

    Raises:
        EvidenceCheckError: it does not hold; the check says what.
    """
    anchors = Anchors(hashes=trail_hashes(world.data / "trail.jsonl", world.deployment))
    return verify_evidence(decode_evidence(path.read_bytes()), world.deployment, anchors)


def forge(world: World, path: Path, value: str) -> str:
    """Put another value into a copy; return the name of the check that refuses it."""
    forged = path.with_name("evidence-forged.json")
    forged.write_bytes(path.read_bytes().replace(value.encode(), f"{value} 2".encode()))
    try:
        verify(world, forged)
    except EvidenceCheckError as error:
        return error.check.name
    return "nothing"
