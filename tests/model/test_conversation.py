"""What `init` asks, what it takes for an answer, and the seat file that comes of it."""

from dataclasses import replace

import pytest

from phyllome_seat.model.answer import AnswerError, take
from phyllome_seat.model.answered import build_wish, find_conflicts
from phyllome_seat.model.conversation import Answers, next_question
from phyllome_seat.model.seat_file import parse_wish, render_wish
from tests.model.hosts import (
    HOST_USB,
    LEFT_GPU,
    LEFT_USB,
    RIGHT_GPU,
    RIGHT_USB,
    two_seat_pc,
    usb_device,
    with_function,
)
from tests.model.test_cores import pc

# What two people at the PC of the fast tests would press and say.
SAID = {
    "seats": "left, right",
    "left.keyboard": "event6",
    "left.mouse": "event7",
    "left.monitor": "2",
    "left.guest": "win11",
    "right.keyboard": "event8",
    "right.mouse": "event9",
    "right.monitor": "3",
    "right.guest": "create",
    "right.cpus": "4",
    "right.memory": "8GiB",
    "right.disk": "64GiB /var/lib/libvirt/images/right.qcow2",
    "right.firmware": "efi",
}


def converse(host, said):
    """Answer every question; return all answers and the keys in the order they were asked."""
    answers, asked = Answers(), []
    while question := next_question(host, answers):
        asked.append(question.key)
        assert len(asked) < 100
        answers = take(host, answers, question.key, said.get(question.key, question.default))
    return answers, asked


def test_each_thing_is_asked_once_and_the_keyboard_of_a_seat_first():
    _, asked = converse(two_seat_pc(), SAID)

    assert asked == list(SAID)


@pytest.mark.parametrize(("cpus", "pin"), [("4", (2, 3, 4, 5)), ("3", ())])
def test_a_guest_to_create_has_cores_of_its_own_where_that_is_just_as_many(cpus, pin):
    host = replace(two_seat_pc(), cpus=pc(10).cpus)

    wish = build_wish(host, converse(host, {**SAID, "right.cpus": cpus})[0])

    assert find_conflicts(host, wish) == ()
    assert [seat.create and seat.create.pin for seat in wish.seats] == [None, pin]


def test_the_answers_are_a_seat_file_that_fits():
    host = two_seat_pc()

    wish = build_wish(host, converse(host, SAID)[0])

    assert find_conflicts(host, wish) == ()
    text = render_wish(wish)
    assert render_wish(parse_wish(text)) == text
    left, right = wish.seats
    assert (str(left.gpu.address), str(right.gpu.address)) == (LEFT_GPU, RIGHT_GPU)
    assert [str(match.address) for match in left.usb] == [LEFT_USB]  # whole, once for both devices
    assert [str(match.address) for match in right.usb] == [RIGHT_USB]
    assert (left.domain, right.create.cpus) == ("win11", 4)
    assert right.create.memory_bytes == 8 * 2**30


def test_two_people_on_one_controller_get_its_sockets():
    host = two_seat_pc()
    second = usb_device("3-3", f"{LEFT_USB}/usb2/3", "3434:0110", "Second Keyboard")
    host = replace(host, usb=(*host.usb, second))
    said = SAID | {"right.keyboard": f"{LEFT_USB}/usb2/3", "right.mouse": "none"}

    wish = build_wish(host, converse(host, said)[0])

    assert [match.usb2 for match in wish.seats[0].usb] == [(1,), (2,)]
    assert [match.usb2 for match in wish.seats[1].usb] == [(3,)]
    assert find_conflicts(host, wish) == ()


def test_a_controller_in_the_disks_group_is_not_taken_whole():
    host = with_function(two_seat_pc(), LEFT_USB, iommu_group=5)

    wish = build_wish(host, converse(host, SAID)[0])

    assert [match.usb2 for match in wish.seats[0].usb] == [(1,), (2,)]
    assert find_conflicts(host, wish) == ()


def test_a_hub_that_is_all_one_persons_is_named_once_with_both_speeds():
    host = two_seat_pc()
    said = SAID | {"left.keyboard": "event5", "left.mouse": "event4"}

    (port,) = build_wish(host, converse(host, said)[0]).seats[0].usb

    assert (str(port.controller), port.usb2, port.usb3) == (HOST_USB, (4,), (14,))


def test_the_last_keyboard_of_the_host_is_a_conflict_that_its_console_settles():
    host = two_seat_pc()
    lonely = replace(
        host, inputs=tuple(i for i in host.inputs if i.node not in ("event3", "event5"))
    )
    answers, _ = converse(lonely, SAID)

    assert any("keyboard" in c for c in find_conflicts(lonely, build_wish(lonely, answers)))
    assert find_conflicts(lonely, build_wish(lonely, answers, "none")) == ()


def test_the_hosts_own_monitor_is_proposed_last():
    host = two_seat_pc()
    answers = take(host, Answers(), "seats", "left,right")
    for key in ("left.keyboard", "left.mouse"):
        answers = take(host, answers, key, "none")

    question = next_question(host, answers)

    assert (question.key, question.default, question.look) == ("left.monitor", "2", True)
    assert "DELL U2720Q" in question.choices[1]


def test_a_monitor_may_be_said_by_serial_number_or_by_its_socket():
    host = two_seat_pc()
    answers = take(host, Answers(), "seats", "left,right")

    for said in ("8KTXF13", f"{LEFT_GPU}/DP-1", "DELL U2720Q", "2"):
        assert take(host, answers, "left.monitor", said).get("left.monitor") == "2"


def test_the_keyboard_again_means_no_mouse():
    host = two_seat_pc()
    answers = take(host, Answers(), "seats", "left")
    answers = take(host, answers, "left.keyboard", "event6")

    assert take(host, answers, "left.mouse", "event6").get("left.mouse") == "none"


@pytest.mark.parametrize(
    ("key", "said", "words"),
    [
        ("seats", "Left", "'Left' is no seat's name"),
        ("seats", "left,left", "name each seat once"),
        ("seats", " , ", "at least one"),
        ("right.keyboard", "event6", "that is the keyboard of seat left"),
        ("right.mouse", f"{LEFT_USB}/usb2/1", "that is the keyboard of seat left"),
        ("right.keyboard", "event99", "event99 has gone"),
        ("right.keyboard", "rm -rf", "is not a USB port"),
        ("right.keyboard", "0000:7f:00.0/usb2/1", "0000:7f:00.0 is not in this PC"),
        ("right.monitor", "2", "monitor 2 is on the card of seat left"),
        ("right.monitor", "9", "'9' is no monitor here: say a number (1, 2, 3)"),
        ("right.guest", "win11", "domain win11 is the guest of seat left"),
        ("right.guest", "win12", "there is no domain win12: libvirt has win11"),
        ("right.guest", "a b", "is no name of a guest"),
        ("right.cpus", "many", "is not a number of CPUs"),
        ("right.memory", "lots", "is not a size like 16GiB"),
        ("right.disk", "64GiB images/x", "is not an absolute path"),
        ("right.firmware", "uefi", "is not efi or bios"),
        ("middle.keyboard", "none", "there is no such question"),
        ("right.colour", "red", "there is no such question"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(key, said, words):
    host = two_seat_pc()
    answers = Answers()
    for known in ("seats", "left.keyboard", "left.monitor", "left.guest"):
        answers = take(host, answers, known, SAID[known])

    with pytest.raises(AnswerError) as refused:
        take(host, answers, key, said)

    assert words in str(refused.value)


def test_an_answer_can_be_given_again():
    host = two_seat_pc()
    answers = take(host, Answers(), "seats", "left")
    answers = take(host, answers, "left.monitor", "2")

    assert take(host, answers, "left.monitor", "3").get("left.monitor") == "3"


def test_every_default_is_an_answer():
    host = two_seat_pc()
    said = {key: SAID[key] for key in SAID if key.endswith("keyboard")}

    answers, _ = converse(host, said)

    assert find_conflicts(host, build_wish(host, answers)) == ()
