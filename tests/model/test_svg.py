"""The drawing: strict XML whatever a device calls itself, and true to the machine."""

from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phyllome_seat import cli
from phyllome_seat.model.assign import assign
from phyllome_seat.model.proposal import NoProposalError, ProposalWishes
from phyllome_seat.model.propose import propose
from phyllome_seat.model.svg import render_svg
from phyllome_seat.model.svg_draw import SEATS, cut, text
from tests.model.hosts import LEFT_GPU, applied_two_seat_pc, two_seat_pc, two_seat_wish
from tests.model.machines import machines
from tests.model.test_host_json import hosts

ROOT = Path(__file__).parents[2]
NAMESPACE = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "title", "rect", "text", "circle", "path", "g"}
ATTRIBUTES = {
    *("width", "height", "viewBox", "font-family", "font-size", "font-weight", "text-anchor"),
    *("x", "y", "rx", "cx", "cy", "r", "d", "transform"),
    *("fill", "stroke", "stroke-width", "stroke-dasharray"),
}
_MANY = settings(suppress_health_check=list(HealthCheck), max_examples=80)


def parse(svg):
    """Parse strictly; every element and attribute is one of ours, and no value leads elsewhere."""
    root = ET.fromstring(svg)
    for element in root.iter():
        assert element.tag.startswith(NAMESPACE)
        assert element.tag.removeprefix(NAMESPACE) in ELEMENTS
        assert set(element.attrib) <= ATTRIBUTES
        for value in element.attrib.values():
            assert "url(" not in value
            assert "nan" not in value
        assert (element.text or "").strip().isprintable()
    return root


def words(svg):
    return [element.text for element in parse(svg).iter(f"{NAMESPACE}text")]


def assigned(host):
    try:
        return assign(propose(host, ProposalWishes(count=1, console="none"))[0].wish, host)
    except NoProposalError:
        return None


@_MANY
@given(machines())
def test_no_name_of_a_device_becomes_markup(host):
    parse(render_svg(host))
    assignment = assigned(host)
    if assignment:
        parse(render_svg(host, assignment))


@settings(suppress_health_check=list(HealthCheck), max_examples=40)
@given(hosts)
def test_any_host_that_can_be_written_can_be_drawn(host):
    svg = render_svg(host)

    svg.encode("utf-8")
    parse(svg)


@given(st.text(), st.integers(1, 400))
def test_any_text_is_a_text(said, width):
    shape = text(0, 0, said, width=width)

    element = ET.fromstring(shape)
    assert element.tag == "text"
    assert [child.tag for child in element] in ([], ["title"])
    assert len(cut(said, width, 12)) <= max(2, len(said))


def test_a_text_without_room_is_cut_and_whole_in_its_tooltip():
    element = ET.fromstring(text(0, 0, "Logitech USB Keyboard", width=60))

    assert element[0].text == "Logitech USB Keyboard"
    assert element[0].tail.endswith("…")


def test_each_part_of_the_pc_is_drawn_once():
    host = two_seat_pc()

    said = words(render_svg(host, assign(two_seat_wish(), host)))

    for name in ("GeForce RTX 4070", "Radeon RX 7800 XT", "UHD Graphics 770", "DELL U2720Q"):
        assert said.count(name) == 1, name
    assert said.count("seat left") == said.count("seat right") == 2
    assert "seat left: guest win11" in said
    assert "IOMMU group 14" in said
    assert "1  Left Keyboard  (keyboard)" in said
    assert "the disk with / (sda1)" in said


def test_a_seats_card_has_the_seats_colour_and_the_hosts_is_grey():
    host = two_seat_pc()

    planned, bare = render_svg(host, assign(two_seat_wish(), host)), render_svg(host)

    for line, tint in SEATS[:2]:
        assert f'fill="{tint}" stroke="{line}"' in planned
        assert line not in bare


def test_what_is_bound_for_seats_is_theirs_in_a_scan():
    said = words(render_svg(applied_two_seat_pc()))

    assert {"seat left", "seat right"} <= set(said)
    assert f"{LEFT_GPU} · vfio-pci" in said


def test_a_picture_is_written_over_a_picture_and_nothing_else(tmp_path, capsys):
    host = tmp_path / "host.json"
    host.write_text((ROOT / "examples/two-seats/host.json").read_text())
    seats = tmp_path / "seats.yaml"
    seats.write_text((ROOT / "examples/two-seats/seats.yaml").read_text())
    line = ["plan", "--host", str(host), "-f", str(seats), "--svg"]

    assert cli.main([*line, str(tmp_path / "pc.svg")]) == 0
    assert cli.main([*line, str(tmp_path / "pc.svg")]) == 0
    assert cli.main([*line, str(seats)]) == 2
    assert cli.main([*line]) == 0

    assert capsys.readouterr().out == (tmp_path / "pc.svg").read_text()
    assert seats.read_text().startswith("# Proposed by")


def test_the_picture_in_the_documents_is_the_one_its_command_draws(capsys):
    example = ROOT / "examples/two-seats"

    line = [
        "plan",
        "--host",
        str(example / "host.json"),
        "-f",
        str(example / "seats.yaml"),
        "--svg",
    ]
    assert cli.main(line) == 0

    assert capsys.readouterr().out == (ROOT / "docs/two-seats.svg").read_text()


def test_the_example_is_what_propose_says(capsys):
    example = ROOT / "examples/two-seats"

    assert cli.main(["propose", "--host", str(example / "host.json")]) == 0

    assert capsys.readouterr().out == (example / "seats.yaml").read_text()
