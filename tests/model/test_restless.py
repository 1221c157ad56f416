"""Devices that come and go."""

from phyllome_seat.model.restless import Coming, come, go


def test_a_device_plugged_in_by_hand_is_taken_at_once():
    coming = Coming()
    for at_s in (0.0, 20.0, 26.0):
        coming = go(come(coming, at_s), at_s + 4)
        assert coming.until_s <= at_s


def test_a_mode_switch_is_waited_for():
    coming = Coming()
    for at_s in (0.0, 1.5, 3.0):
        coming = come(coming, at_s)
    assert coming.until_s == 5.0
    assert coming.given_up == 0


def test_one_that_resets_itself_is_given_up_for_longer_each_time():
    coming = Coming()
    for at_s in range(6):
        coming = come(go(coming, at_s - 0.5), at_s)
    assert (coming.given_up, coming.until_s) == (1, 5 + 60.0)
    coming = come(go(coming, 30.0), 31.0)  # it was not still
    assert (coming.given_up, coming.until_s) == (1, 31 + 60.0)
    for at_s in range(100, 106):  # it was, and was taken
        coming = come(go(coming, at_s - 0.5), at_s)
    assert (coming.given_up, coming.until_s) == (2, 105 + 120.0)


def test_a_hand_that_pulls_it_out_ends_that():
    given_up = Coming(given_up=3, given_up_s=1000.0, gone_s=10.0)
    assert come(given_up, 14.0).until_s == 14.0 + 240.0
    assert come(given_up, 15.0) == Coming(times=(15.0,))
