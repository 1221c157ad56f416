"""The search, against all ways tried out."""

from itertools import permutations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from phyllome_seat.model.search import Chooser, search
from phyllome_seat.model.value import dataclass


@dataclass(frozen=True, slots=True)
class Thing:
    cost: int
    takes: int


things = st.lists(
    st.builds(Thing, st.integers(0, 9), st.integers(0, 255)), min_size=1, max_size=4, unique=True
).map(lambda found: tuple(sorted(found, key=lambda thing: thing.cost)))


@st.composite
def choosers(draw):
    kinds = [(draw(things), draw(things)) for _ in range(draw(st.integers(1, 2)))]
    numbers = draw(st.lists(st.sampled_from(range(len(kinds))), min_size=1, max_size=3))
    return tuple(Chooser(*kinds[number], number) for number in numbers)


def joint(first, second):
    return None if (first.takes ^ second.takes) % 7 == 3 else (first.takes * second.takes) % 4


def try_all(seats, keep, accepts):
    costs = []
    for ways in product(*(product(seat.firsts, seat.seconds) for seat in seats)):
        taken, cost = 0, 0
        for first, second in ways:
            extra = joint(first, second)
            if extra is None or (first.takes | second.takes) & taken:
                break
            taken |= first.takes | second.takes
            cost += first.cost + second.cost + extra
        else:
            if all(kept & taken != kept for kept in keep) and accepts(ways):
                costs.append(cost)
    return min(costs, default=None)


@settings(max_examples=400)
@given(choosers(), st.lists(st.integers(1, 255), max_size=2).map(tuple))
def test_the_cheapest_way_is_found(seats, keep):
    found = search(seats, joint, keep)

    assert (found and found.cost) == try_all(seats, keep, lambda _: True)
    if found:
        assert found.is_proven


@settings(max_examples=200)
@given(choosers(), st.integers(0, 3))
def test_what_is_not_accepted_is_passed_over(seats, odd):
    def accepts(pairs):
        return sum(first.takes for first, _ in pairs) % 3 != odd

    found = search(seats, joint, (), accepts)

    cheapest = try_all(seats, (), accepts)
    if found is None or found.is_proven:
        assert (found and found.cost) == cheapest
    else:
        assert found.cost >= cheapest
    if found:
        assert accepts(found.pairs)


def test_of_equal_seats_one_order_is_looked_at():
    cards = tuple(Thing(0, 1 << n) for n in range(8))
    places = tuple(Thing(0, 1 << 8 + n) for n in range(8))
    seats = tuple(Chooser(cards, places, "same") for _ in range(8))

    found = search(seats, lambda *_: 0)

    assert found.cost == 0
    assert len({first.takes for first, _ in found.pairs}) == 8


def test_a_search_without_an_answer_ends():
    cards = tuple(Thing(0, 1 << n | 1 << 40 + n % 7) for n in range(16))
    places = tuple(Thing(n % 5, 1 << 20 + n) for n in range(16))
    seats = tuple(Chooser(cards, places, "same") for _ in range(8))

    assert search(seats, lambda *_: 0) is None


def test_permutations_of_the_seats_cost_the_same():
    kinds = [(tuple(Thing(n, 1 << n) for n in range(3)), (Thing(1, 0),), k) for k in range(3)]

    costs = {search(tuple(Chooser(*k) for k in order), joint).cost for order in permutations(kinds)}

    assert len(costs) == 1
