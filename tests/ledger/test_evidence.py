"""Evidence of an access verifies offline; each member that is changed fails a check, by its name."""

import pytest

from ledger.enumerations import Outcome
from ledger.evidence import (
    Anchors,
    Check,
    EvidenceCheckError,
    decode_evidence,
    encode_evidence,
    verify_evidence,
)
from tests.support.chain import Chain
from tests.support.evidence import CASE, Case, Counter, case, trusting


@pytest.fixture(scope="module")
def counter(chain: Chain) -> Counter:
    return Counter(chain)


@pytest.fixture(scope="module")
def allowed(counter: Counter) -> Case:
    return case(counter)


def test_evidence_of_an_allowed_access_verifies_from_its_file(allowed: Case) -> None:
    made = allowed.make()
    evidence = decode_evidence(encode_evidence(made.evidence))
    assert evidence == made.evidence
    found = verify_evidence(evidence, allowed.deployment, trusting(allowed, evidence))
    assert set(found.checked) == set(Check)
    assert found.unchecked == ()
    assert found.access.outcome is Outcome.ALLOWED
    assert found.access_id == allowed.recorded.access
    assert found.case_number == CASE
    assert [field.value for record in found.records for field in record.fields][0] == "value 0.0"
