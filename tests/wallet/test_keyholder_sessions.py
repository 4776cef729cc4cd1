"""A keyholder's sessions: one with each consumer for a minute, and none that may seal nothing."""

from dataclasses import dataclass

import pytest

from ledger.crypto.hpke import DecryptionKey, EncryptionKey, Purpose, Suite
from ledger.errors import MalformedError
from wallet.keyholder.releases import _MOST, LIFETIME, Sessions

BANK, INSURER = DecryptionKey.generate(), DecryptionKey.generate(Suite.MLKEM768_X25519)


@dataclass
class Clock:
    now: float = 5_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock)


def test_a_recipient_has_one_session_until_its_lifetime_is_over(
    sessions: Sessions, clock: Clock
) -> None:
    first = sessions.to(BANK.encryption_key)
    for later in (0.0, 30.0, 29.9):  # being used does not prolong it
        clock.now += later
        assert sessions.to(BANK.encryption_key) is first
    clock.now = 5_000.0 + LIFETIME
    second = sessions.to(BANK.encryption_key)
    assert second is not first
    clock.now += LIFETIME - 0.1
    assert sessions.to(BANK.encryption_key) is second
    for session in (first, second):
        assert BANK.open(session.seal(b"parts", Purpose.INBOX), Purpose.INBOX) == b"parts"


def test_a_recipient_is_its_key_however_often_it_is_read(sessions: Sessions) -> None:
    read_again = EncryptionKey(BANK.encryption_key.to_bytes())
    assert sessions.to(read_again) is sessions.to(BANK.encryption_key)


def test_each_recipient_has_a_session_of_its_own(sessions: Sessions) -> None:
    bank, insurer = (sessions.to(one.encryption_key) for one in (BANK, INSURER))
    assert bank is not insurer
    assert BANK.open(bank.seal(b"bank", Purpose.INBOX), Purpose.INBOX) == b"bank"
    assert INSURER.open(insurer.seal(b"insurer", Purpose.INBOX), Purpose.INBOX) == b"insurer"
    assert sessions.to(BANK.encryption_key) is bank


def test_a_session_that_is_used_up_is_replaced(sessions: Sessions, clock: Clock) -> None:
    first = sessions.to(BANK.encryption_key)
    first.left = 1
    assert sessions.to(BANK.encryption_key) is first
    first.seal(b"last", Purpose.INBOX)
    clock.now += 30
    second = sessions.to(BANK.encryption_key)
    assert second is not first
    assert second.left
    clock.now += LIFETIME - 1  # it has a lifetime of its own, and not the rest of the first one's
    assert sessions.to(BANK.encryption_key) is second


def test_the_oldest_sessions_are_forgotten_beyond_a_thousand(
    sessions: Sessions, clock: Clock
) -> None:
    keys = [DecryptionKey.generate().encryption_key for _ in range(_MOST + 1)]
    known = [sessions.to(key) for key in keys[:_MOST]]
    assert [sessions.to(key) for key in keys[:_MOST]] == known

    clock.now += LIFETIME
    renewed = sessions.to(keys[0])  # which makes the second one the oldest
    newest = sessions.to(keys[_MOST])
    assert len(sessions._known) == _MOST == 1_000
    clock.now -= 1  # the others' lifetime is not over, so only what is forgotten is new
    assert sessions.to(keys[0]) is renewed
    assert sessions.to(keys[_MOST]) is newest
    assert [sessions.to(key) for key in keys[2:_MOST]] == known[2:]
    assert sessions.to(keys[1]) is not known[1]


def test_a_key_that_nothing_can_be_sealed_to_is_refused_each_time(sessions: Sessions) -> None:
    bank = sessions.to(BANK.encryption_key)
    low_order = EncryptionKey(b"\x01" + bytes(32))
    for _ in range(3):
        with pytest.raises(MalformedError, match="nothing can be sealed"):
            sessions.to(low_order)
    assert sessions.to(BANK.encryption_key) is bank
    assert len(sessions._known) == 1
