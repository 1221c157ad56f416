"""What `init` proposes for an answer: the best proposal around what is known."""

from hypothesis import HealthCheck, given, settings

from phyllome_seat.model.answer import take
from phyllome_seat.model.answered import build_wish, find_conflicts
from phyllome_seat.model.conversation import Answers, next_question
from phyllome_seat.model.suggest import suggest
from tests.model.hosts import LEFT_USB, RIGHT_USB, two_seat_pc
from tests.model.machines import machines


def follow(host):
    """Take every proposed answer, "none" where nothing is; return what is then known."""
    answers = Answers()
    while question := next_question(host, answers, suggest(host, answers)):
        answers = take(host, answers, question.key, question.default or "none")
    return answers


def test_taking_every_proposal_is_a_seat_file_that_fits():
    host = two_seat_pc()

    answers = follow(host)

    assert answers.names == ("left", "right")
    assert answers.get("left.keyboard") == f"{LEFT_USB}/usb2/1"
    assert answers.get("right.keyboard") == f"{RIGHT_USB}/usb2/1"
    assert find_conflicts(host, build_wish(host, answers)) == ()


def test_what_was_pressed_moves_the_rest():
    host = two_seat_pc()
    answers = take(host, Answers(), "seats", "left,right")
    answers = take(host, answers, "left.keyboard", "event8")
    answers = take(host, answers, "left.monitor", "3")

    proposed = suggest(host, answers)

    assert proposed["left.mouse"] == f"{RIGHT_USB}/usb2/2"
    assert (proposed["right.keyboard"], proposed["right.monitor"]) == (f"{LEFT_USB}/usb2/1", "2")


@settings(suppress_health_check=list(HealthCheck), max_examples=30)
@given(machines(min_cards=1))
def test_on_any_machine_every_proposal_is_an_answer(host):
    answers = follow(host)

    assert build_wish(host, answers).seats
