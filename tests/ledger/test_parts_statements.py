"""Who gave wrong parts can be shown without showing a part, and nobody who gave right ones can be framed."""

import itertools
import os
from collections.abc import Callable, Sequence

import msgspec
import pytest

from ledger.crypto.released_parts import (
    SignedStatement,
    StatedRequest,
    WrongParts,
    decode_wrong_parts,
    encode_wrong_parts,
    sign_statements,
    state_parts,
    verify_signer,
    verify_statement,
    verify_wrong_parts,
)
from ledger.crypto.secret_sharing import (
    HolderParts,
    HolderSubkeys,
    Release,
    Roster,
    Sharing,
    assemble_seeds,
    derive_parts,
    derive_subkeys,
    draw_seeds,
)
from ledger.crypto.signatures import address_of
from ledger.encoding import Schema
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import keccak256
from ledger.typed_data import AccessRequest, Domain, digest
from tests.support.lying_keyholder import (
    noise,
    of_another_number,
    of_another_record,
    without_a_subset,
)

DOMAIN = Domain(4242, bytes([7]) * 20)
REQUEST = AccessRequest(
    consumer=bytes([9]) * 20,
    basis=keccak256(b"basis"),
    item=bytes(32),
    fields=0b11,
    nonce=2**200 + 1,
    deadline=2_000_000_000,
)
OTHER_REQUEST = msgspec.structs.replace(REQUEST, nonce=2**200 + 2)
EPOCH = 2
SCHEMA = Schema(keccak256(b"dataset"), ("one", "two"))
SHARINGS = [Sharing(2, 3), Sharing(3, 5), Sharing(2, 4), Sharing(3, 4), Sharing(4, 5)]
"""In the last two more may collude (k-1) than may be away (n-k)."""
Change = Callable[[HolderParts], HolderParts]


class Party:
    """The keyholders of a sharing, and what each signs of its parts."""

    def __init__(self, sharing: Sharing) -> None:
        numbers = range(1, sharing.holders + 1)
        self.accounts = [keccak256(b"keyholder %d" % n) for n in numbers]
        self.roster = Roster(EPOCH, sharing.threshold, tuple(map(address_of, self.accounts)))
        drawn = [seed for n in numbers for seed in draw_seeds(sharing, n, EPOCH)]
        self.subkeys: list[HolderSubkeys] = [
            derive_subkeys(
                assemble_seeds(sharing, n, EPOCH, [one for one in drawn if n in one.subset]),
                SCHEMA.dataset,
            )
            for n in numbers
        ]

    def tells(
        self,
        number: int,
        change: Change | None = None,
        *,
        records: Sequence[int] = (0, 1),
        request: AccessRequest = REQUEST,
        domain: Domain = DOMAIN,
        roster: Roster | None = None,
    ) -> SignedStatement:
        """A keyholder's statement, amid those of other requests that it answers at once."""
        own = [
            derive_parts(self.subkeys[number - 1], SCHEMA, n, bytes(32), (0, 1)) for n in records
        ]
        parts = Release(tuple(one if change is None else change(one) for one in own))
        rosters = [roster or self.roster]
        others = [state_parts(os.urandom(32), parts, rosters) for _ in range(4)]
        mine = state_parts(digest(request, domain), parts, rosters)
        account = self.accounts[number - 1]
        signed = sign_statements([*others[:3], mine, others[3]], account, domain)[3]
        return SignedStatement(address_of(account), mine, signed)

    def proof(self, accused: int, *told: SignedStatement) -> WrongParts:
        return WrongParts(self.roster.members[accused - 1], StatedRequest.of(REQUEST), told)

    def shows(self, accused: int, *told: SignedStatement) -> None:
        proof = self.proof(accused, *told)
        assert verify_wrong_parts(proof, [self.roster], DOMAIN) == REQUEST


def enough_of(sharing: Sharing) -> int:
    """How many others must disagree: neither those that may be away nor those that may collude are so many."""
    return max(sharing.holders - sharing.threshold, sharing.threshold - 1) + 1


def by_colluding(*liars: int) -> Change:
    """Parts that some changed in the same way: for each seed that a liar knows they agree, and are wrong."""

    def change(parts: HolderParts) -> HolderParts:
        shares = [
            msgspec.structs.replace(share, secret=bytes(len(share.secret)))
            if set(share.subset) & set(liars)
            else share
            for share in parts.shares
        ]
        return msgspec.structs.replace(parts, shares=tuple(shares))

    return change


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_wrong_parts_are_shown_with_as_many_others_as_cannot_all_lie(sharing: Sharing) -> None:
    party = Party(sharing)
    enough = enough_of(sharing)
    others = range(2, sharing.holders + 1)
    assert enough <= len(others)
    for some in itertools.combinations(others, enough):
        party.shows(1, party.tells(1, noise), *map(party.tells, some))
    with pytest.raises(LedgerError, match="more than may be wrong"):
        party.shows(1, party.tells(1, noise), *map(party.tells, list(others)[: enough - 1]))


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
@pytest.mark.parametrize("change", [without_a_subset, of_another_number])
def test_parts_that_are_not_ones_own_are_shown_by_the_statement_alone(
    sharing: Sharing, change: Change
) -> None:
    party = Party(sharing)
    party.shows(1, party.tells(1, change))
    with pytest.raises(LedgerError):
        party.shows(1, party.tells(1))


@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_nobody_who_gave_right_parts_can_be_shown_wrong_by_all_who_may_lie(
    sharing: Sharing,
) -> None:
    party = Party(sharing)
    numbers = range(1, sharing.holders + 1)
    for liars in itertools.combinations(numbers, enough_of(sharing) - 1):
        for change in (noise, without_a_subset, of_another_record, by_colluding(*liars)):
            told = [party.tells(n, change if n in liars else None) for n in numbers]
            for honest in set(numbers) - set(liars):
                with pytest.raises(LedgerError):
                    party.shows(honest, *told)


def test_a_gateway_cannot_frame_one_by_asking_it_for_something_else() -> None:
    party = Party(Sharing(2, 3))
    others = [party.tells(2), party.tells(3)]
    with pytest.raises(LedgerError, match="more than may be wrong"):
        party.shows(1, party.tells(1, records=(0,)), *others)
    with pytest.raises(LedgerError, match="another request"):
        party.shows(1, party.tells(1, request=OTHER_REQUEST), *others)


def test_a_gateway_cannot_cover_one_by_asking_it_for_records_in_another_order() -> None:
    party = Party(Sharing(2, 3))
    assert party.tells(1, records=(1, 0)).statement == party.tells(1).statement

    def wrong_for_one(parts: HolderParts) -> HolderParts:
        return noise(parts) if parts.number == 1 else parts

    party.shows(1, party.tells(1, wrong_for_one, records=(1, 0)), party.tells(2), party.tells(3))


@pytest.mark.parametrize("change", [None, noise, of_another_number, without_a_subset])
def test_what_one_signed_elsewhere_shows_nothing_here(change: Change | None) -> None:
    party = Party(Sharing(2, 3))
    right = [party.tells(2), party.tells(3)]
    others = Roster(EPOCH, 2, (party.roster.members[0], bytes([1]) * 20, bytes([2]) * 20))
    turned = Roster(EPOCH, 2, party.roster.members[::-1])
    for elsewhere in (Domain(1, DOMAIN.verifying_contract), Domain(4242, bytes([8]) * 20)):
        with pytest.raises(LedgerError, match="another request"):
            party.shows(1, party.tells(1, change, domain=elsewhere), *right)
        forged = party.tells(1, change, domain=elsewhere)
        forged = msgspec.structs.replace(forged, statement=party.tells(1, change).statement)
        with pytest.raises(LedgerError):
            party.shows(1, forged, *right)
    for roster in (others, turned):
        with pytest.raises(LedgerError, match="more than may be wrong"):
            party.shows(1, party.tells(1, change, roster=roster), *right)


def test_a_statement_counts_only_with_its_keyholders_signature() -> None:
    party = Party(Sharing(2, 3))
    wrong, others = party.tells(1, noise), [party.tells(2), party.tells(3)]
    verify_statement(wrong, DOMAIN)
    verify_signer(wrong.signed, wrong.holder, DOMAIN)
    forgeries = [
        msgspec.structs.replace(wrong, holder=party.roster.members[1]),
        msgspec.structs.replace(wrong, statement=party.tells(1).statement),
        *(
            msgspec.structs.replace(wrong, signed=signed)
            for signed in (b"", wrong.signed[:-1], wrong.signed[:-32], wrong.signed + bytes(32))
        ),
        *(
            msgspec.structs.replace(
                wrong,
                signed=wrong.signed[:at] + bytes([wrong.signed[at] ^ 1]) + wrong.signed[at + 1 :],
            )
            for at in (0, 40, 70, 100, 104, len(wrong.signed) - 1)
        ),
    ]
    for forged in forgeries:
        with pytest.raises(LedgerError):
            verify_statement(forged, DOMAIN)
        with pytest.raises(LedgerError):
            party.shows(1, forged, *others)
    with pytest.raises(LedgerError, match="no statement"):
        party.shows(1, *others)


def test_it_says_nothing_of_the_parts_but_their_hash() -> None:
    party = Party(Sharing(2, 3))
    parts = derive_parts(party.subkeys[0], SCHEMA, 0, bytes(32), (0, 1))
    proof = party.proof(1, party.tells(1), party.tells(2))
    written = encode_wrong_parts(proof)
    assert decode_wrong_parts(written) == proof
    for share in parts.shares:
        assert share.secret[:32] not in written


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02\x90", b"\x01\x90", b"\x01" + bytes(600_000)])
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_wrong_parts(data)


def test_two_statements_of_one_are_refused() -> None:
    party = Party(Sharing(2, 3))
    twice = party.proof(1, party.tells(1), party.tells(1, noise))
    with pytest.raises(MalformedError, match="two statements"):
        decode_wrong_parts(encode_wrong_parts(twice))
