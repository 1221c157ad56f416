"""From a pressed key up to the IOMMU group, and what of that can go to a seat."""

from dataclasses import replace

import pytest

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.climb import climb
from phyllome_seat.model.climb_text import climb_json, render_climb
from phyllome_seat.model.devices import InputDevice
from phyllome_seat.model.errors import PhyllomeSeatError
from phyllome_seat.model.seat_file import parse_wish
from tests.model.hosts import (
    HOST_USB,
    LEFT_USB,
    RIGHT_USB,
    address,
    keyboard,
    port,
    two_seat_pc,
    usb_device,
    with_function,
)


def first_line(found):
    """The seat-file line that is recommended."""
    return next(line for line in render_climb(found).splitlines() if line.startswith("      - "))


def without(host, *nodes):
    gone = {i.usb for i in host.inputs if i.node in nodes}
    return replace(
        host,
        inputs=tuple(i for i in host.inputs if i.usb not in gone),
        usb=tuple(d for d in host.usb if d.port not in gone),
    )


def test_a_controller_with_one_persons_things_can_go_whole():
    found = climb(two_seat_pc(), "event6", "left")

    assert found.verdict == "controller"
    assert found.controller.address == address(LEFT_USB)
    assert "this whole controller can go to seat left, with what it also carries: Receiver" in (
        render_climb(found)
    )
    assert first_line(found) == '      - controller: {pci: "0000:03:00.0", id: "1b73:1100"}'


def test_the_climb_from_behind_a_hub_names_hub_socket_controller_and_group():
    text = render_climb(climb(two_seat_pc(), "event5"))

    for words in (
        "event5 Hub Keyboard (key, keyboard)",
        "→ USB 2 port 4.2, USB 3 port 14.2 (one socket)",
        "→ behind USB2.1 Hub (05e3:0610), USB 2 port 4",
        "→ controller 0000:00:14.0 (Alder Lake-S xHCI)",
        "→ IOMMU group 3",
    ):
        assert words in text
    assert first_line(climb(two_seat_pc(), "event5")) == (
        f'      - port: {{controller: "{HOST_USB}", id: "8086:7ae0", usb2: "4.2", usb3: "14.2"}}'
    )


def test_twins_are_told_apart_by_their_place():
    host = two_seat_pc()
    names = {"Left Keyboard": "Keyboard", "Right Keyboard": "Keyboard"}
    usb = tuple(replace(d, product=names.get(d.product, d.product)) for d in host.usb)

    left, right = (climb(replace(host, usb=usb), node) for node in ("event6", "event8"))

    assert left.device.id == right.device.id
    assert (left.ports[0], right.ports[0]) == (
        port(f"{LEFT_USB}/usb2/1"),
        port(f"{RIGHT_USB}/usb2/1"),
    )
    assert f"of the same model, and not this one: at {RIGHT_USB}/usb2/1" in left.words


def test_a_controller_with_two_keyboards_gives_one_port():
    found = climb(two_seat_pc(), "event5")

    assert found.verdict == "port"
    assert (
        "the whole controller can only with what it also carries: Host Keyboard" in (found.words[0])
    )


def test_a_controller_in_the_group_of_the_disk_gives_one_port_and_says_why():
    crowded = with_function(two_seat_pc(), LEFT_USB, iommu_group=5)

    found = climb(crowded, "event6", "left")

    assert found.verdict == "port"
    assert found.words[0].startswith("only this port can go to seat left, because the controller")
    assert any("0000:00:17.0" in words and "IOMMU group 5" in words for words in found.words)
    assert all("controller: {pci:" not in line["usb"] for line in climb_json(found)["lines"])


def test_the_last_keyboard_of_the_host_goes_only_when_its_console_is_given_up():
    lonely = without(two_seat_pc(), "event5", "event6", "event8")

    found = climb(lonely, "event3")

    assert "only with `console: none`" in found.words[0]
    assert "has the host's last keyboard" in " ".join(found.words)
    assert all(offer.costs for offer in found.offers)
    assert "# only with `console: none`" in first_line(found)


def test_what_is_to_be_pasted_is_a_seat_file():
    for node in ("event3", "event5", "event6"):
        line = first_line(climb(two_seat_pc(), node))
        wish = parse_wish(f"version: 1\nseats:\n  left:\n    usb:\n{line}\n")
        assert len(wish.seats[0].usb) == 1


def test_all_nodes_of_one_device_are_one():
    host = two_seat_pc()
    media = replace(host.inputs[3], node="event10", name="Left Keyboard Consumer", kinds=("key",))

    found = climb(replace(host, inputs=(*host.inputs, media)), "event10")

    assert [node.node for node in found.nodes] == ["event10", "event6"]
    assert found.device.name == "Left Keyboard"


def test_a_serial_number_offers_the_device_wherever_it_is_plugged():
    host = two_seat_pc()
    named = usb_device("3-3", f"{LEFT_USB}/usb2/3", "dead:0001", "Pad", serial='a"b')

    host = replace(host, usb=(*host.usb, named), inputs=(*host.inputs, keyboard(11, named)))
    lines = [line["usb"] for line in climb_json(climb(host, "event11"))["lines"]]

    assert 'device: {id: "dead:0001", serial: "a\\"b"}' in lines


@pytest.mark.parametrize(
    ("bus", "words"),
    [
        (0x11, "is wired to the board by PS/2: it stays the host's"),
        (0x18, "is wired to the board by I2C: it stays the host's"),
        (0x05, "comes by a Bluetooth adapter that is not on USB: no seat can have it"),
        (0x06, "is made by a program or is part of the board"),
        (0x19, "is made by a program or is part of the board"),
    ],
)
def test_what_hangs_on_no_usb_says_what_can_be_done(bus, words):
    host = two_seat_pc()
    wired = InputDevice("event12", "Board Keyboard", ("key", "keyboard"), bus_type=bus)

    found = climb(replace(host, inputs=(*host.inputs, wired)), "event12")

    assert (found.verdict, found.offers) == ("nothing", ())
    assert words in found.words[0]


def bluetooth(*places):
    host = two_seat_pc()
    adapters = tuple(
        usb_device("1-9", place, "8087:0032", "Radio", interface="e00101", driver="btusb")
        for place in places
    )
    by_air = InputDevice("event12", "Air Keyboard", ("key", "keyboard"), bus_type=0x05)
    return replace(host, usb=(*host.usb, *adapters), inputs=(*host.inputs, by_air))


def test_bluetooth_brings_its_whole_adapter():
    found = climb(bluetooth(f"{HOST_USB}/usb2/9"), "event12")

    assert found.device.name == "Radio"
    assert "a seat gets the whole adapter" in " ".join(found.words)
    assert 'usb2: "9"' in first_line(found)


def test_two_bluetooth_adapters_are_both_named():
    found = climb(bluetooth(f"{HOST_USB}/usb2/9", f"{HOST_USB}/usb2/10"), "event12")

    assert found.verdict == "nothing"
    assert f"{HOST_USB}/usb2/9 (Radio) and {HOST_USB}/usb2/10 (Radio)" in found.words[0]


def test_what_has_gone_meanwhile_is_refused():
    with pytest.raises(PhyllomeSeatError, match="event99 has gone"):
        climb(two_seat_pc(), "event99")


def test_a_controller_that_is_not_on_pci_is_said():
    host = two_seat_pc()
    odd = usb_device("9-1", f"{LEFT_USB}/usb2/1", "dead:0002", "Odd")
    nowhere = UsbPort(address("0000:7f:00.0"), "usb2", (1,))
    odd = replace(odd, port=nowhere)

    found = climb(
        replace(host, usb=(*host.usb, odd), inputs=(*host.inputs, keyboard(13, odd))), "event13"
    )

    assert "its controller is not on PCI: no seat can have it" in found.words


def test_names_of_devices_stay_on_their_line():
    for text in render_climb(climb(two_seat_pc(), "event6")).splitlines():
        assert text.isprintable()
