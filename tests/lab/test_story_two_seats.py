"""The product's proof: two people at one PC, as `make demo` tells it."""

import pytest

from tests.lab.story import Story, demo

pytestmark = pytest.mark.lab


def test_what_is_typed_at_a_seat_reaches_its_guest_and_no_other(pc, tmp_path, capsys):
    story = Story(pc)
    story.prepare()

    demo.run(story, tmp_path)

    assert "✗" not in capsys.readouterr().out
    assert (tmp_path / "left.png").read_bytes() != (tmp_path / "right.png").read_bytes()
