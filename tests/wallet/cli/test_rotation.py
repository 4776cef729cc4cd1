"""`wallet rotate` when it is killed half way: no id is left without its guardians, and none is stuck with a key of before."""

import csv
import json
import time
from collections.abc import Iterator

import pytest

from ledger.chain import contract_reads
from ledger.chain.deployment import read_deployment
from ledger.chain.rpc import Rpc
from ledger.hexstr import from_hex, keccak256
from tests.support import more_views
from tests.support.town import Party, Town, enrolled, person_file, running_town
from wallet.citizen import acts
from wallet.citizen.identities import Identities, PersonKeys

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

UNTIL = 2_000_000_000


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture(scope="module")
def person(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Party:
    """Somebody with two ids, each with a guardian of its own."""
    with (town.city / "identity" / "residents.csv").open(encoding="utf-8", newline="") as source:
        resident = next(csv.DictReader(source))["resident_id"]
    me = person_file(town, resident, tmp_path_factory.mktemp("me") / "me.json")
    found = enrolled(town, me, "guarded", "--count", "2")
    for subject in subjects(found):
        until = ("--until", str(UNTIL), "--subject", subject)
        found("wallet", "guardian", guard_of(subject), *until, "--yes")
    return found


def subjects(person: Party) -> list[str]:
    return [one["subject"] for one in person("wallet", "new") if not one["replaced_by"]]


def guard_of(subject: str) -> str:
    return "0x" + keccak256(subject.encode())[:20].hex()


def counting(town: Town, ids: list[str]) -> list[tuple[str, bool]]:
    """The keys that count on chain, each with whether the id's guardian does."""
    node = json.loads((town.data / "addresses.json").read_text("utf-8"))["node"]
    at = read_deployment(town.data / "deployment.json").contracts
    with Rpc(node) as rpc:
        return [
            (
                rpc.send(contract_reads.subject_of(at, from_hex(subject))).signer.hex(),
                rpc.send(
                    more_views.rights_of(at, from_hex(subject), from_hex(guard_of(subject)))
                ).consent_until
                == UNTIL,
            )
            for subject in ids
        ]


@pytest.mark.parametrize(
    ("what", "name", "left"),
    [
        (PersonKeys, "replace", [False, True]),  # the first rotation is on chain, and not noted
        (acts, "appointment", [False, True]),  # it is noted, its guardian is not appointed
        (Identities, "note_guards_appointed", [True, True]),  # he is, and that is not noted
    ],
    ids=["rotated", "noted", "appointed"],
)
def test_a_rotation_that_was_killed_is_finished_with_its_guardians_by_the_same_command(
    town: Town,
    person: Party,
    monkeypatch: pytest.MonkeyPatch,
    what: object,
    name: str,
    left: list[bool],
) -> None:
    ids = subjects(person)
    before = counting(town, ids)
    assert [guarded for _, guarded in before] == [True, True]

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(what, name, killed)
        with pytest.raises(KilledError):
            person.run("wallet", "rotate", "--yes", "--over", "0")
    half = counting(town, ids)
    assert sorted(guarded for _, guarded in half) == left
    assert sum(one[0] != other[0] for one, other in zip(before, half, strict=True)) == 1

    until = (
        time.monotonic() + 60
    )  # the identity authority may see the first rotation a moment later
    while (done := person.run("wallet", "rotate", "--yes", "--over", "0")).code:
        assert time.monotonic() < until, done.err
        time.sleep(0.5)
    after = counting(town, ids)
    assert all(guarded for _, guarded in after)
    for (old, _), (between, _), (new, _) in zip(before, half, after, strict=True):
        assert new == (between if between != old else new) != old, "each was rotated once"
    # Nothing is left: the wallet's keys are those that count.
    assert subjects(person) == ids
    assert len(person("wallet", "rotate", "--yes", "--over", "0")["acts"]) == 4
