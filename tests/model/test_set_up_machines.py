"""Identify, init and the re-mapped file on PCs that nobody built: never what the host needs."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phyllome_seat.model.answer import AnswerError, take
from phyllome_seat.model.answered import build_wish, find_conflicts
from phyllome_seat.model.assign import assign
from phyllome_seat.model.climb import climb
from phyllome_seat.model.climb_text import climb_json, render_climb
from phyllome_seat.model.conversation import NONE, Answers, next_question
from phyllome_seat.model.monitors import numbered
from phyllome_seat.model.protect import protect
from phyllome_seat.model.remap import remap
from phyllome_seat.model.seat import Seat, Wish
from phyllome_seat.model.seat_file import parse_wish, render_wish
from tests.model.machines import machines

ODD = settings(suppress_health_check=list(HealthCheck), max_examples=60)
NEVER = {"disk", "network", "guest", "bridge"}


def never(host):
    """What no `console: none` gives up."""
    needed = protect(host).pci.items()
    return {address for address, reasons in needed if any(r.kind in NEVER for r in reasons)}


@ODD
@given(machines())
def test_what_a_press_offers_can_be_had_and_is_nothing_the_host_needs(host):
    kept = never(host)
    for pressed in host.inputs:
        if pressed.remembered:
            continue
        found = climb(host, pressed.node, "left")
        assert found.words
        assert (found.verdict == "nothing") == (not found.offers)
        assert render_climb(found)
        assert climb_json(found)["verdict"] == found.verdict
        for offer in found.offers:
            console = "none" if offer.costs else "keep"
            wish = Wish((Seat("left", usb=(offer.match,)),), console=console)
            assert not set(assign(wish, host).addresses) & kept


@ODD
@given(machines(), st.data())
def test_any_answers_make_a_file_that_fits_or_are_refused_with_the_reason(host, data):
    nodes = [i.node for i in host.inputs] or [NONE]
    numbers = [str(number) for number, _ in numbered(host)]
    answers = Answers()
    for _ in range(200):
        question = next_question(host, answers)
        if question is None:
            break
        said = question.default
        if question.press:
            said = data.draw(st.sampled_from([*nodes, NONE]))
        elif question.key.endswith("monitor"):
            said = data.draw(st.sampled_from([*numbers, NONE]))
        try:
            answers = take(host, answers, question.key, said)
        except AnswerError as refused:
            assert str(refused)
            if not question.press and not question.look:
                answers = take(host, answers, question.key, NONE)
    else:
        return  # drew nothing but refusals

    wish = build_wish(host, answers, data.draw(st.sampled_from(["keep", "none"])))

    text = render_wish(wish)
    assert render_wish(parse_wish(text)) == text
    if not find_conflicts(host, wish):
        assert not set(assign(wish, host).addresses) & never(host)
        found = remap(wish, host)
        assert (found.wish, found.edits, found.reasons) == (wish, (), ())
