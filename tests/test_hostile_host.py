"""A posted report is a stranger's text: nothing in it acts on a terminal or forges a line."""

import json
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
import yaml

from phyllome_seat import cli
from phyllome_seat.cli.inputs import say
from phyllome_seat.model.answer import take
from phyllome_seat.model.climb import climb
from phyllome_seat.model.climb_text import climb_json, render_climb
from phyllome_seat.model.conversation import NONE, Answers, next_question
from phyllome_seat.model.host_json import parse_host, render_host
from phyllome_seat.model.lost import name_session
from phyllome_seat.model.monitors import numbered, render_monitor
from phyllome_seat.model.picture import render_picture
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.protect import protect
from phyllome_seat.model.reconcile import Kept
from phyllome_seat.model.remap import remap
from phyllome_seat.model.seat_file import parse_wish, render_wish
from phyllome_seat.model.step import AttachUsb
from phyllome_seat.model.svg import render_svg
from phyllome_seat.model.value import replace
from phyllome_seat.model.watch_event import (
    Attached,
    GuestStarted,
    GuestStopped,
    Refused,
    Stayed,
    Trouble,
)
from tests.model.hosts import two_seat_wish
from tests.model.texts import full_pc, list_places, map_texts

EVIL = (
    "\x1b[31m\x9b2J\x07\nphyllome-seat: forged\r\n---\n- x: \"%n{}' <script>a</script>&amp;]]>"
    "\u202e\u2028\x85\x0b\x0c\x00# ${x}{{y}}%s%(z)s\ud800end"
)
# As long and in as many words, so that it is cut alike, and with nothing that could be mistaken.
PLAIN = "".join("X" if sign.isprintable() and sign != " " else " " for sign in EVIL)
KEPT = {("Guest", "xml"), ("OurFile", "content")}  # read by parsers of their own, printed nowhere

COMMANDS = (
    ("check",),
    ("check", "--json"),
    ("check", "--report", "-"),
    ("plan",),
    ("plan", "--json"),
    ("plan", "--svg", "-"),
    ("propose",),
    ("propose", "--all"),
    ("propose", "--json"),
    ("propose", "--seats", "9"),  # refused, with the reasons of each device
    ("propose", "--seat", "a:gpu=none-such"),
)


def planted(text, places=None):
    """Return a whole PC with `text` after every text of it, or after those of some fields."""

    def plant(place, old):
        return old + text if place not in KEPT and (places is None or place in places) else old

    return map_texts(full_pc(), plant)


# What a device says of itself, and a person of their things: with these alone the PC still works.
NAMES = {
    (kind, field)
    for kind, field in list_places()
    if field in ("vendor_name", "device_name", "manufacturer", "product", "serial", "label")
    or (kind, field) in {("InputDevice", "name"), ("Monitor", "name"), ("Mount", "point")}
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command on a file with a planted Host; returns status, output, complaint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run_line(line, text, places):
        host = planted(text, places)
        (tmp_path / "host.json").write_text(render_host(host))
        words = [*line, "--host", "host.json"]
        if line[0] != "propose":
            wish = two_seat_wish()
            (tmp_path / "seats.yaml").write_text(render_wish(wish))
            words += ["seats.yaml"] if line[0] == "check" else ["-f", "seats.yaml"]
        status = cli.main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_line


def test_the_pc_has_a_text_in_every_field_that_can_have_one():
    seen = set()

    def note(place, text):
        seen.add(place)
        return text

    map_texts(full_pc(), note)

    assert seen == list_places()


@pytest.mark.parametrize("places", [None, NAMES], ids=["everywhere", "names"])
@pytest.mark.parametrize("line", COMMANDS, ids=" ".join)
def test_no_text_of_a_host_file_acts_on_a_terminal_or_forges_a_line(run, line, places):
    status, said, complaint = run(line, EVIL, places)
    expected, harmless, harmless_complaint = run(line, PLAIN, places)

    assert said + complaint
    assert_harmless(said)
    assert_harmless(complaint)
    assert status == expected
    assert said.count("\n") == harmless.count("\n")
    assert complaint.count("\n") == harmless_complaint.count("\n")
    assert [own(line) for line in complaint.split("\n")] == [
        own(line) for line in harmless_complaint.split("\n")
    ]
    if said and "--svg" in line:
        assert elements(said) == elements(harmless)
    if said and ("--json" in line or "--report" in line):
        assert shape(json.loads(said)) == shape(json.loads(harmless))
    if said and line[0] == "propose" and "--json" not in line:
        assert shape(list(yaml.safe_load_all(said))) == shape(list(yaml.safe_load_all(harmless)))


@pytest.mark.parametrize("places", [None, NAMES], ids=["everywhere", "names"])
def test_no_name_acts_on_a_terminal_in_what_identify_and_init_say(places):
    host = planted(EVIL, places)
    pressed = [climb(host, device.node, "left") for device in host.inputs]
    answers, said = Answers(), []
    while question := next_question(host, answers):
        said += [question.text, *question.choices, question.default or ""]
        answers = take(host, answers, question.key, question.default or NONE)
        assert len(said) < 500
    moved = remap(two_seat_wish(), host)
    said += [*moved.reasons, *moved.left]
    said += [render_monitor(n, connector, host, EVIL) for n, connector in numbered(host)]
    said += [render_climb(found) for found in pressed]

    assert pressed and numbered(host)
    for text in said:
        assert_harmless(text)
    for found in pressed:
        json.dumps(climb_json(found))


def test_no_name_forges_a_line_of_the_services_log(capsys):
    device = replace(full_pc().usb[0], product=EVIL, serial=EVIL)
    step = AttachUsb(EVIL, "u", EVIL, device, "ua-x", EVIL)
    kept = Kept(device, EVIL, "host", EVIL)
    events = (Attached(step, 0.1), Refused(step, EVIL, 1.0), Stayed(kept), Trouble(EVIL))

    for event in (*events, GuestStarted(EVIL, EVIL), GuestStopped(EVIL, EVIL, EVIL)):
        say(str(event))

    said = capsys.readouterr().out
    assert said.count("\n") == len(events) + 2
    assert_harmless(said)


def own(line):
    """Return what of a line of complaint is ours alone."""
    return line[:15] == "phyllome-seat: ", line[:3] == "  ("


def assert_harmless(text):
    """No character but a line feed is more than a sign."""
    assert one_line(text.replace("\n", "")) == text.replace("\n", "")


def elements(svg):
    return Counter(element.tag for element in ET.fromstring(svg).iter())


def shape(value):
    """Return JSON's or YAML's value without its texts: keys that are names count as texts."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def test_a_name_comes_out_of_a_proposed_seat_file_as_it_was_read(run):
    """The evil without what no sign is: still quotes, markup, formats, a colon and a hash."""
    short = "\"'\\ <b>&amp;: # ${x}{{y}}%s - é漢"

    _, said, complaint = run(("propose",), short, {("Monitor", "name")})

    names = {seat.monitor.name for seat in parse_wish(said).seats if seat.monitor}
    assert complaint == ""
    assert names == {"DELL U2720Q" + short, "ROG PG279Q" + short}


def test_the_drawings_of_a_host_that_was_read_are_harmless():
    evil, plain = (parse_host(render_host(planted(text))) for text in (EVIL, PLAIN))

    drawn, harmless = (render_picture(h, name_session(protect(h), "")) for h in (evil, plain))
    assert_harmless(drawn)
    assert drawn.count("\n") == harmless.count("\n")
    assert_harmless(render_svg(evil))
    assert elements(render_svg(evil)) == elements(render_svg(plain))


@pytest.mark.parametrize(
    "text",
    [
        'version: 1\nseats:\n  "a\\e[31m\\nphyllome-seat: forged\\u202e": {}\n',
        'version: 1\n"a\\nphyllome-seat: forged": 1\nseats: {}\n',
        'version: 1\nseats:\n  left: {monitor: {name: "a\\nphyllome-seat: \\e[31m"}}\n',
        "version: 1\nseats:\n  left: {monitor: {name: a\u2028phyllome-seat\u202e}}\n",
        "version: 1\nseats: *x\u2028phyllome-seat\n",
        'version: 1\nseats:\n  left: {guest: {domain: "x\\u202e\\u2028\\x85phyllome-seat: "}}\n',
        "version: 1\nseats:\n  left: {guest: {create: {name: x, memory: 1GiB, cpus: 1, disk: "
        '{path: "/x\\u202e\\u2028phyllome-seat", size: 1GiB}}}}\n',
    ],
)
@pytest.mark.parametrize("words", [("plan",), ("check",), ("status",)], ids=" ".join)
def test_no_text_of_a_seat_file_does_either(tmp_path, capsys, text, words):
    file = tmp_path / "seats.yaml"
    file.write_text(text)
    host = tmp_path / "host.json"
    host.write_text(render_host(full_pc()))
    on = [] if words == ("status",) else ["--host", str(host)]
    named = [str(file)] if words == ("check",) else ["-f", str(file)]

    cli.main(["--sysroot", str(tmp_path), *words, *on, *named])
    said = capsys.readouterr()

    assert said.out + said.err
    assert_harmless(said.out + said.err)
    for line in said.err.splitlines():
        assert line.startswith(("phyllome-seat: ", "  ("))
        assert not line.startswith("phyllome-seat: forged")
