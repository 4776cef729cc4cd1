"""A queue in which everybody has a turn."""

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from ledger.fair_queue import FairQueue


def queue(**owners: int) -> FairQueue[tuple[str, int]]:
    turns: FairQueue[tuple[str, int]] = FairQueue()
    for owner, count in owners.items():
        for number in range(count):
            turns.put(owner, (owner, number))
    return turns


def test_one_who_floods_leaves_room_for_the_others() -> None:
    turns = queue(bank=10_000, insurer=3, office=40)
    assert Counter(owner for owner, _ in turns.take(60)) == {"bank": 29, "insurer": 3, "office": 28}
    assert Counter(owner for owner, _ in turns.take(60)) == {"bank": 48, "office": 12}


def test_few_places_go_round() -> None:
    turns = queue(bank=10, insurer=10, office=10)
    served = [turns.take(1)[0][0] for _ in range(9)]
    assert Counter(served[:3]) == Counter(served[3:6]) == Counter(served[6:])
    assert len(set(served[:3])) == 3


@given(
    st.lists(st.one_of(st.tuples(st.sampled_from("abc")), st.integers(1, 7)), max_size=60),
)
def test_nothing_is_lost_and_each_owners_order_stays(steps: list[tuple[str] | int]) -> None:
    turns: FairQueue[tuple[str, int]] = FairQueue()
    expected: dict[str, deque[int]] = {owner: deque() for owner in "abc"}
    for number, step in enumerate(steps):
        if isinstance(step, int):
            waiting = len(turns)
            taken = turns.take(step)
            assert len(taken) == min(step, waiting)
            for owner, found in taken:
                assert found == expected[owner].popleft()
        else:
            turns.put(step[0], (step[0], number))
            expected[step[0]].append(number)
        assert len(turns) == sum(map(len, expected.values()))
        assert all(turns.waiting_of(owner) == len(mine) for owner, mine in expected.items())
