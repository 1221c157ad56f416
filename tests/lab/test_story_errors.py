"""What is wrong is said, with the place and what would fit, and nothing is touched for it."""

from __future__ import annotations

import json

import pytest

from phyllome_seat.lab.describe import read_description
from tests.lab.conftest import EXAMPLE
from tests.lab.story import Story, demo
from tests.lab.story_look import look

pytestmark = pytest.mark.lab

SEATS = (EXAMPLE.parent / "seats.yaml").read_text()
WRONG_INPUT, MACHINE_SAYS_NO = 2, 1

# What the seat file of the example has, what is written instead, status, and words of the answer.
FILES = {
    "a-typo": (
        'controller: {pci: "0000:02:00.0"',
        'contrller: {pci: "0000:02:00.0"',
        WRONG_INPUT,
        (
            "a-typo.yaml:12: seats.left.usb[0]: expected one of port, controller, device,",
            "(did you mean controller?)",
        ),
    ),
    "a-wrong-type": (
        "memory: 384MiB",
        "memory: [384]",
        WRONG_INPUT,
        ("a-wrong-type.yaml:24: seats.right.guest.create.memory: expected a size like 512MiB",),
    ),
    "another-device": (
        'gpu: {pci: "0000:04:00.0"',
        'gpu: {pci: "0000:03:00.0"',
        MACHINE_SAYS_NO,
        (
            "0000:03:00.0 is not 1234:1111, ",
            "(1b36:000d/1af4:1100) is there now; 1234:1111 is at ",
            "0000:04:00.0 with DELL U2720Q (serial 8KTXF13)",
            "(/root/wrong/another-device.yaml:9)",
        ),
    ),
    "an-empty-address": (
        'controller: {pci: "0000:03:00.0"',
        'controller: {pci: "0000:77:00.0"',
        MACHINE_SAYS_NO,
        (
            "0000:77:00.0 is not 1b36:000d, nothing is there now; 1b36:000d is at ",
            "0000:03:00.0 with QEMU QEMU USB Keyboard (serial RK1)",
            "(/root/wrong/an-empty-address.yaml:18)",
        ),
    ),
    "no-such-domain": (
        "guest: {domain: left}",
        "guest: {domain: lfet}",
        MACHINE_SAYS_NO,
        (
            "lfet is no libvirt domain, so seat left has no guest: did you mean left?",
            "(/root/wrong/no-such-domain.yaml:13)",
        ),
    ),
    "a-domain-of-its-owner": (
        "        name: right\n",
        "        name: other\n",
        MACHINE_SAYS_NO,
        (
            "other is a libvirt domain that is not ours to create: choose another name,",
            "write guest: {domain: other}",
        ),
    ),
    "the-hosts-disk": (
        "disk: {path: /var/lib/libvirt/phyllome-lab/right.img, size: 64MiB}",
        "disk: {path: /dev/vda}",
        MACHINE_SAYS_NO,
        (
            "/dev/vda holds ",
            "so it can be no guest's disk: name another for seat right",
        ),
    ),
    "the-hosts-disk-by-a-link": (
        "disk: {path: /var/lib/libvirt/phyllome-lab/right.img, size: 64MiB}",
        "disk: {path: /dev/disk/by-id/virtio-system}",
        MACHINE_SAYS_NO,
        ("guest right: /dev/disk/by-id/virtio-system is in use: a mount at /",),
    ),
}
# A line of the command, who gives it, its status, and words of the answer.
LINES = {
    "start-no-such-seat": (
        "phyllome-seat start lfet",
        WRONG_INPUT,
        (f"seat lfet is not in {demo.SEAT_FILE}: it has left, right", "(did you mean left?)"),
    ),
    "stop-no-such-seat": (
        "phyllome-seat stop left middle",
        WRONG_INPUT,
        (f"seat middle is not in {demo.SEAT_FILE}: it has left, right",),
    ),
    "no-such-file": (
        "phyllome-seat apply -f /root/nowhere.yaml",
        WRONG_INPUT,
        ("/root/nowhere.yaml: No such file or directory", "(name another with -f)"),
    ),
    "start-before-apply": (
        "phyllome-seat start",
        MACHINE_SAYS_NO,
        ("the seats are not set up: ", "(run `phyllome-seat apply` first)"),
    ),
    **{
        f"{command}-as-anybody": (
            f"runuser -u nobody -- phyllome-seat {command}",
            MACHINE_SAYS_NO,
            (": only root may", "(run it with sudo)"),
        )
        for command in ("apply", "revert", "start", "stop", "confirm")
    },
}
READ_BY_ANYBODY = {
    "scan": "DELL U2720Q",
    "scan --json": '"DELL U2720Q"',
    "plan": "bind 0000:04:00.0",
    "status": "seat left: guest left: ",
}


class Answers:
    """What each command answered, and what all of them together changed in the PC."""

    def __init__(self, pc):
        story = Story(pc)
        story.prepare()
        other = (EXAMPLE.parent / "left.xml").read_text().replace(">left<", ">other<")
        pc.put("/root/other.xml", other)
        lines = {name: line for name, (line, _, _) in LINES.items()}
        for name, (right, wrong, _, _) in FILES.items():
            assert SEATS.count(right) == 1, right
            pc.put(f"/root/wrong/{name}.yaml", SEATS.replace(right, wrong))
            lines[name] = f"phyllome-seat apply -f /root/wrong/{name}.yaml"
        pc.put("/root/lines.json", json.dumps(lines))
        reading = {
            words: f"runuser -u nobody -- phyllome-seat {words}" for words in READ_BY_ANYBODY
        }
        pc.put("/root/reading.json", json.dumps(reading))
        pc.put("/root/ask.py", ASK)
        pc.run("virsh -q define /root/other.xml")
        self.before = look(pc)
        pc.run("python3 /root/ask.py /root/lines.json > /root/answers.json", timeout_s=300)
        self.after = look(pc)
        pc.run("python3 /root/ask.py /root/reading.json > /root/read.json", timeout_s=120)
        self.by_name = json.loads(pc.get("/root/answers.json"))
        self.read = json.loads(pc.get("/root/read.json"))


ASK = """\
import json, subprocess, sys
answers = {}
for name, line in json.load(open(sys.argv[1])).items():
    done = subprocess.run(line, shell=True, capture_output=True, text=True, cwd="/")
    answers[name] = [done.returncode, done.stdout, done.stderr]
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def story_pc(open_pc):
    with open_pc(read_description(EXAMPLE)) as pc:
        yield pc


@pytest.fixture(scope="module")
def answers(story_pc):
    return Answers(story_pc)


def check(answer, status, words):
    found, _, said = answer
    assert found == status, said
    assert "Traceback" not in said
    for part in words:
        assert part in said, said


@pytest.mark.parametrize("name", FILES)
def test_a_seat_file_that_cannot_be_is_refused_with_its_line_and_what_would_fit(answers, name):
    _, _, status, words = FILES[name]
    check(answers.by_name[name], status, words)


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_cannot_be_is_refused_with_what_to_do(answers, name):
    _, status, words = LINES[name]
    check(answers.by_name[name], status, words)


@pytest.mark.parametrize("words", READ_BY_ANYBODY)
def test_who_is_not_root_may_read_all_there_is(answers, words):
    status, said, complaint = answers.read[words]
    assert (status, complaint) == (0, "")
    assert READ_BY_ANYBODY[words] in said


def test_no_refusal_leaves_a_trace(answers):
    assert answers.after == answers.before


def test_a_second_apply_waits_and_names_the_first_which_ends_right(story_pc, answers):
    done = story_pc.script(
        "phyllome-seat apply >/root/first 2>&1 & first=$!\n"
        'until grep -qs "^$first " /run/phyllome-seat/lock; do :; done\n'
        "kill -STOP $first\n"
        "SECONDS_BEFORE=$(cut -d. -f1 /proc/uptime)\n"
        "phyllome-seat apply --wait 3 >/root/second 2>&1 && exit 9 || echo status $?\n"
        "echo waited $(($(cut -d. -f1 /proc/uptime) - SECONDS_BEFORE))\n"
        "cat /root/second\n"
        "echo first $first\n"
        "phyllome-seat apply --wait 100 >/root/third 2>&1 & third=$!\n"
        "sleep 1; kill -CONT $first\n"
        "wait $first; wait $third\n"
        "tail -n 1 /root/first /root/third\n",
        timeout_s=200,
    )

    lines = done.stdout.splitlines()
    pid = next(line for line in lines if line.startswith("first ")).split()[1]
    assert lines[0] == "status 1"
    assert 3 <= int(lines[1].split()[1]) < 20
    assert f"phyllome-seat: pid {pid} (phyllome-seat apply) is at work; waited 3 s" in done.stdout
    assert "done: " in done.stdout
    assert "nothing to do: the machine is as the file wants it" in done.stdout
