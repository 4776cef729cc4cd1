"""Guardians survive a change of key, and never show which ids are one person's."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ledger.hexstr import to_hex
from wallet.citizen import acts
from wallet.citizen.identities import Guard, Identities, Identity, PersonKeys, SignerKind
from wallet.cli import citizen
from wallet.cli.citizen import _require_unjoined
from wallet.client.relays import Act
from wallet.client.transactions import Mined
from wallet.errors import InputError

GUARD, OTHER = b"\x47" * 20, b"\x48" * 20
FIRST = Identity("me-1", SignerKind.ACCOUNT, subject="0x" + "51" * 32)
SECOND = Identity("me-2", SignerKind.ACCOUNT, subject="0x" + "52" * 32)


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    found = Identities(tmp_path / "identities.json")
    found.put([FIRST, SECOND])
    return found


def test_who_guards_an_id_is_remembered_and_goes_over_to_its_new_key(
    identities: Identities, tmp_path: Path
) -> None:
    identities.note_guard("me-1", GUARD, 2_000_000_000)
    identities.note_guard("me-1", OTHER, 1_900_000_000)
    identities.note_guard("me-1", OTHER, 0)
    again = Identities(tmp_path / "identities.json")
    keys = PersonKeys(*cast("Any", (None, None, again, None)))
    keys.replace(again.of_entry("me-1"), Identity("me-3", SignerKind.ACCOUNT))
    replaced = again.of_subject(FIRST.subject_id)
    assert replaced.entry == "me-3"
    assert replaced.guards == (Guard(to_hex(GUARD), 2_000_000_000),)


def test_the_same_guardians_key_is_not_given_to_two_ids(identities: Identities) -> None:
    keys = cast("PersonKeys", SimpleNamespace(identities=identities))
    guard = to_hex(GUARD)
    with pytest.raises(InputError):
        _require_unjoined(keys, (FIRST, SECOND), guard)
    _require_unjoined(keys, (FIRST,), guard)
    identities.note_guard("me-1", GUARD, 2_000_000_000)
    _require_unjoined(keys, (FIRST,), guard)
    with pytest.raises(InputError):
        _require_unjoined(keys, (SECOND,), guard)
    _require_unjoined(keys, (SECOND,), to_hex(OTHER))


def test_acts_that_are_spread_in_time_have_no_deadline_in_common(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is on chain, and would show that the ids are one person's."""
    now, sent = [2_000_000_000.0], []
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(citizen, "spread", lambda ids, _over: zip((0, 60), ids, strict=True))
    session: Any = SimpleNamespace(output=SimpleNamespace(result=lambda *_: None))

    def act(what: Act) -> Mined:
        sent.append(what)
        return Mined(bytes(32), 1, bytes(32), None)

    me: Any = SimpleNamespace(act=act)
    citizen._carry_out(
        session, me, (FIRST, SECOND), lambda id_: acts.freeze(id_, frozen=True), "frozen", 3000
    )
    assert len({what.deadline for what in sent}) == len(sent) == 2
