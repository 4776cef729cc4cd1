"""A person's wallet signs nothing that can be held back for long, and does not show which ids are one person's."""

import secrets
import time
from itertools import pairwise

import msgspec
import pytest

from ledger.crypto.signatures import address_of
from ledger.typed_data import Authorization
from scripts.scenario import Chain
from wallet.citizen import acts
from wallet.citizen.acts import spread
from wallet.client.errors import ClientError
from wallet.client.party import PartyKey
from wallet.client.relays import Act
from wallet.client.signers import AccountSigner, approve

KEY = b"\x31" * 32
SUBJECT = b"\x32" * 32


def records() -> list[Act | Authorization]:
    now = int(time.time())
    authorization = Authorization(
        *(SUBJECT, bytes(20), bytes(32), bytes(32), bytes(32), 1, bytes(32), "I agree."),
        *(0, now + 86_400, 1, 0, bytes(32), now + 3600),
    )
    return [
        authorization,
        acts.revocation(SUBJECT, bytes(32)),
        acts.confirmation(SUBJECT, bytes(32)),
        acts.freeze(SUBJECT, frozen=True),
        acts.rotation(SUBJECT, address_of(KEY)),
        acts.veto(SUBJECT, address_of(KEY)),
        acts.appointment(SUBJECT, address_of(KEY), now + 86_400),
    ]


@pytest.mark.parametrize("record", records(), ids=lambda one: type(one).__name__)
def test_nothing_is_signed_that_could_be_brought_on_chain_after_an_hour(
    chain: Chain, record: Act | Authorization
) -> None:
    signer = AccountSigner(PartyKey(KEY))
    assert approve(signer, record, chain.deployment).signature
    for deadline in (int(time.time()) + 3660, 2**64 - 1):
        late = msgspec.structs.replace(record, deadline=deadline)
        with pytest.raises(ClientError):
            approve(signer, late, chain.deployment)


def test_ids_of_one_person_do_not_change_side_by_side() -> None:
    ids = [secrets.token_bytes(32) for _ in range(20)]
    first, second = (list(spread(ids, 600)) for _ in range(2))
    assert sorted(one for _, one in first) == sorted(ids)
    assert [one for _, one in first] != ids
    assert [one for _, one in first] != [one for _, one in second]
    pauses = [pause for pause, _ in first]
    assert pauses[0] == 0
    assert 200 < sum(pauses) <= 600
    assert all(before != after for before, after in pairwise(pauses[1:]))


def test_a_stop_that_cannot_wait_goes_out_at_once() -> None:
    assert [pause for pause, _ in spread(list(range(5)), 0)] == [0] * 5
