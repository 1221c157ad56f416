"""The demo where the emulator fails it: said and told again; where the story fails, told once."""

from contextlib import contextmanager

import pytest

from phyllome_seat.lab.errors import AgentError, BuildError, DiedError, GuestNotReadyError
from tests.lab.story import demo

FAULTS = (
    DiedError("the PC ended by itself"),
    AgentError("no answer; its processors at 12"),
    GuestNotReadyError("guest left is not ready after 120 s"),
)
OTHERS = (
    demo.DoesNotHoldError("the host heard nothing of it, on no input device"),
    BuildError("mmdebstrap", "no"),
    KeyError("x"),
)


@pytest.fixture
def told(monkeypatch):
    """Has the story end as the test says, once each; returns in which PCs it was told."""
    ends, told = [], []

    @contextmanager
    def open_pc(description, *, release, say):
        told.append(release)
        yield None

    def run(story, pictures_to):
        if ends and (end := ends.pop(0)):
            raise end

    monkeypatch.setattr(demo.Pc, "open", open_pc)
    monkeypatch.setattr(demo.Story, "prepare", lambda story: None)
    monkeypatch.setattr(demo, "run", run)
    return ends, told


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_story_that_the_emulator_ends_says_so_and_is_told_again_in_a_new_pc(told, capsys, fault):
    ends, in_pcs = told
    ends += [fault, None]

    demo.tell_in_a_pc("trixie", None)

    assert in_pcs == ["trixie"] * 2
    assert "! The emulator failed: " in capsys.readouterr().out


def test_an_emulator_that_fails_each_time_ends_it_with_its_error(told, monkeypatch):
    ends, in_pcs = told
    ends += [DiedError(f"ended {n}") for n in range(demo.TRIES)]
    monkeypatch.setattr("sys.argv", ["demo.py"])

    with pytest.raises(SystemExit, match=f"error: ended {demo.TRIES - 1}"):
        demo.main()
    assert len(in_pcs) == demo.TRIES


@pytest.mark.parametrize("end", OTHERS, ids=lambda end: type(end).__name__)
def test_a_story_that_does_not_hold_is_told_once(told, end):
    ends, in_pcs = told
    ends += [end, None]

    with pytest.raises(type(end)):
        demo.tell_in_a_pc("trixie", None)
    assert len(in_pcs) == 1
