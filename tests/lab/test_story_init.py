"""`init` on a text console: keys pressed, monitors looked at, a seat file written, guests run."""

from __future__ import annotations

from pathlib import Path

import pytest

from phyllome_seat.model.digits import number_rectangles
from tests.lab.console import Console
from tests.lab.story import Story, demo

pytestmark = pytest.mark.lab

EXAMPLE = Path(__file__).parents[2] / "examples/press-and-init.sh"
IMAGE = "/var/lib/libvirt/phyllome-lab/right.img"
# What is said at the end of each conversation, after `guest of seat right`.
CREATED = {
    "how many CPUs": "1",
    "how much memory": "384MiB",
    "its disk": f"64MiB {IMAGE}",
    "its firmware": "bios",
}


@pytest.fixture
def story(pc):
    """The PC with the guest that seat left has already, and no seat file."""
    story = Story(pc)
    story.prepare()
    pc.run(f"rm {demo.SEAT_FILE}")
    return story


def shows(picture, number):
    """Whether a monitor shows this number: white in the middle of each of its strokes."""
    return all(
        picture.rgb[((top + tall // 2) * picture.width + left + wide // 2) * 3 :][:3]
        == b"\xff\xff\xff"
        for left, top, wide, tall in number_rectangles(number, picture.width, picture.height)
    )


def press(story, console, words, hands):
    """Wait until a press is asked for and can be heard, then have hands do it."""
    console.wait_for(words)
    story.pc.wait("ls -l /proc/$(pgrep -f 'phyllome-seat ini[t]' | tail -1)/fd | grep -q event0")
    hands()


def set_up(story, console, seat, number):
    """Answer for one seat, on its own keyboard once that is known."""
    press(
        story,
        console,
        f"press a key on the keyboard of seat {seat}",
        lambda: story.pc.press(f"{seat}-keyboard", "shift"),
    )
    console.keyboard = f"{seat}-keyboard"
    press(
        story,
        console,
        f"click the mouse of seat {seat}",
        lambda: story.pc.click(f"{seat}-tablet"),
    )
    console.wait_for("each monitor shows its number", count=1 if seat == "left" else 2)
    for _ in range(20):
        if shows(story.pc.picture(seat), number):
            break
    else:
        raise AssertionError(f"the monitor at {seat} does not show {number}")
    console.type("\n")
    console.wait_for(f"the number of the monitor of seat {seat}")
    console.type(f"{number}\n")
    console.wait_for(f"the guest of seat {seat}")


@pytest.mark.soak  # for its length: it held
def test_a_conversation_on_the_console_ends_in_two_guests_that_run(story):
    console = Console(story.pc)
    console.start("phyllome-seat init")
    console.wait_for("the seats' names")
    console.type("left,right\n")
    set_up(story, console, "left", 2)
    console.type("left\n")
    set_up(story, console, "right", 3)
    console.type("create\n")
    for words, answer in CREATED.items():
        console.wait_for(f"the new guest of seat right: {words}")
        console.type(f"{answer}\n")
    console.wait_for("Type yes to go on")
    assert story.pc.run(f"test -e {demo.SEAT_FILE}", check=False).status == 1
    console.type("yes\n")
    console.wait_for("would do:")
    assert console.wait() == 0

    written = story.pc.get(demo.SEAT_FILE).decode()
    assert written.count("controller: {pci:") == 2, written
    assert 'serial: "8KTXF13"' in written
    story.command("apply")
    assert "nothing to do" in story.command("plan")
    story.command("start")
    for seat in demo.SEATS:
        assert story.wait_ready(seat).seat == seat
    texts = demo.random_texts()
    story.type_on_both(texts)
    assert story.wait_typed(texts) == texts

    again = story.pc.run("phyllome-seat init </dev/null", check=False)
    assert (again.status, "is where it says" in again.stdout) == (0, True), again
    story.command("stop", "--force", "--timeout", "1")
    story.command("revert")


def test_one_key_at_each_seat_is_all_that_the_example_asks_for(story):
    story.pc.put("/root/example.sh", EXAMPLE.read_bytes(), 0o755)
    story.pc.run(
        "(/root/example.sh --seat left:guest=left --seat right:firmware=bios --seat right:cpus=1 "
        "--seat right:memory=384MiB --seat right:disk='64MiB /var/lib/libvirt/images/r.img'; "
        "echo $? >/root/ended) >/root/out 2>&1 &"
    )
    for count, seat in enumerate(demo.SEATS, 1):
        story.pc.wait(f"test $(grep -c 'press a key' /root/out) -eq {count}")
        story.pc.wait("ls -l /proc/$(pgrep -f 'seat identif[y]' | tail -1)/fd | grep -q event0")
        story.pc.press(f"{seat}-keyboard", "shift")
    story.pc.wait("test -s /root/ended")

    assert story.pc.run("cat /root/ended").stdout == "0\n", story.pc.run("cat /root/out").stdout
    assert story.pc.get(demo.SEAT_FILE).decode().count("controller: {pci:") == 2
    story.command("apply")
    assert "nothing to do" in story.command("plan")
    story.command("revert")


@pytest.mark.soak  # for its length: it held
def test_without_a_question_the_seat_file_is_what_the_pc_is_good_for(story):
    said = story.command("init", "--yes")

    written = story.pc.get(demo.SEAT_FILE).decode()
    assert written in said
    for words in ("  left:", "  right:", '"8KTXF13"', '"104NTAB"', 'domain: "left"'):
        assert words in written
    assert written.count("controller: {pci:") == 2, written
    assert "bind 0000:04:00.0" in story.command("plan")


def test_ctrl_c_in_the_middle_leaves_no_file_and_the_console_as_it_was(story):
    console = Console(story.pc)
    # the shell gets the signal as well, and goes on
    console.start("trap : INT; stty -a >/root/before; phyllome-seat init; stty -a >/root/after")
    console.wait_for("the seats' names")
    console.type("left\n")
    press(
        story,
        console,
        "press a key on the keyboard of seat left",
        lambda: story.pc.press("host-keyboard", "ctrl", "c"),
    )

    console.wait()

    assert story.pc.run(f"test -e {demo.SEAT_FILE}", check=False).status == 1
    assert story.pc.run("cat /root/before").stdout == story.pc.run("cat /root/after").stdout
