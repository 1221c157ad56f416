"""What a command says no to before it looks at the machine."""

from __future__ import annotations

import pytest

from phyllome_seat.model.errors import UnknownSeatError
from phyllome_seat.system.seating import start_seats, stop_seats
from tests.model.hosts import two_seat_wish


@pytest.mark.parametrize("work", [start_seats, stop_seats])
def test_a_seat_that_the_file_has_not_is_wrong_input_with_the_nearest_that_it_has(work):
    with pytest.raises(UnknownSeatError) as refused:
        work(two_seat_wish(), ["right", "lfet"], say=print, uri="test:///default")

    assert str(refused.value) == "seat lfet is not in seats.yaml: it has left, right"
    assert refused.value.hint == "did you mean left?"
    assert refused.value.exit_status == 2
