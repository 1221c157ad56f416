"""The udev rules: read by a small reader of rules, on devices as the kernel names them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, UsbId, UsbPort
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.devices import UsbDevice
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.owner import find_owner
from phyllome_seat.model.rules import find_addresses, names_devices, render_rules
from phyllome_seat.model.seat import DeviceMatch, Seat
from phyllome_seat.model.step import GuestPci
from tests.model.hosts import (
    HOST_USB,
    LEFT_GPU,
    LEFT_SOUND,
    LEFT_USB,
    RIGHT_GPU,
    RIGHT_USB,
    two_seat_pc,
)

RECEIVER = UsbId.parse("046d:c52b")
TOKEN = re.compile(r'([A-Z_]+)(?:\{(\w+)\})?(==|!=|\+=|-=|=)"([^"\n]*)"')


@dataclass
class Parent:
    """One device on the way up: its kernel name, subsystem and sysfs attributes."""

    kernel: str
    subsystem: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class Device:
    """A device at a sysfs path, as a rule sees it; the last of `parents` is itself."""

    path: str
    parents: list[Parent]
    tags: set[str] = field(default_factory=set)
    properties: dict[str, str] = field(default_factory=dict)


def run_rules(text: str, device: Device, action: str = "add") -> Device:
    """Apply rules as udev(7) says: matches on parents hold for one and the same of them."""
    lines = iter(text.splitlines())
    for line in lines:
        if not line or line.startswith("#"):
            continue
        tokens = TOKEN.findall(line)
        assert line == ", ".join(
            f"{key}{{{name}}}{op}" + f'"{value}"' if name else f'{key}{op}"{value}"'
            for key, name, op, value in tokens
        ), f"not whole tokens: {line}"
        matches = [t for t in tokens if t[2] in ("==", "!=")]
        if not _matches(matches, device, action):
            continue
        for key, name, op, value in tokens:
            if key == "ENV" and op == "=":
                device.properties[name] = value
            elif key == "TAG" and op == "-=":
                device.tags.discard(value)
            elif key == "GOTO":
                next(later for later in lines if later == f'LABEL="{value}"')
    return device


def _matches(tokens, device: Device, action: str) -> bool:
    above = [t for t in tokens if t[0] in ("KERNELS", "SUBSYSTEMS", "ATTRS")]
    here = [t for t in tokens if t not in above]
    facts = {"ACTION": action, "DEVPATH": device.path, "SUBSYSTEM": device.parents[-1].subsystem}
    return all(
        _glob(device.properties.get(name, "") if key == "ENV" else facts[key], value)
        for key, name, _, value in here
    ) and (not above or any(_parent(above, parent) for parent in device.parents))


def _parent(tokens, parent: Parent) -> bool:
    facts = {"KERNELS": parent.kernel, "SUBSYSTEMS": parent.subsystem}
    return all(
        (parent.attributes.get(name) if key == "ATTRS" else facts[key]) is not None
        and _glob(parent.attributes[name] if key == "ATTRS" else facts[key], value)
        for key, name, _, value in tokens
    )


def _glob(text: str, patterns: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns.split("|"))


def usb(
    controller: str, bus: int, speed: str, *chain: str, below: str = "", subsystem: str = "input"
) -> Device:
    """Return a device behind the USB device at a port chain, or that device itself."""
    steps = [f"{bus}-{'.'.join(chain[:n])}" for n in range(1, len(chain) + 1)]
    path = f"/devices/pci0000:00/{controller}/usb{bus}/" + "/".join(steps)
    parents = [
        Parent(controller, "pci"),
        Parent(f"usb{bus}", "usb", {"speed": speed, "devpath": "0"}),
        *(Parent(step, "usb", {"speed": "12", "devpath": step[2:]}) for step in steps),
    ]
    if below:
        path += f"/{steps[-1]}:1.0/{below}"
        parents.append(Parent(below.rpartition("/")[2], subsystem))
    return Device(path, parents, {"uaccess", "power-switch", "seat"})


def seat(name: str = "left", **has) -> Assignment:
    return Assignment((SeatAssignment(Seat(name), **has),))


def rules(assignment: Assignment) -> str:
    return render_rules(assignment, two_seat_pc())


def port(speed: str, *ports: int) -> Assignment:
    return seat(ports=(UsbPort(PciAddress.parse(HOST_USB), speed, ports),))


def pci(*addresses: str) -> Assignment:
    return seat(pci=tuple(GuestPci(PciAddress.parse(a), "gpu", 0) for a in addresses))


def test_the_rules_of_a_whole_assignment(golden):
    left = SeatAssignment(
        Seat("left"),
        pci=tuple(
            GuestPci(PciAddress.parse(a), w, u)
            for a, w, u in ((LEFT_GPU, "gpu", 0), (LEFT_SOUND, "sound", 0), (LEFT_USB, "usb", 1))
        ),
    )
    right = SeatAssignment(
        Seat("right"),
        ports=(UsbPort.parse(f"{HOST_USB}/usb2/4.1"), UsbPort.parse(f"{HOST_USB}/usb3/14.1")),
        devices=(DeviceMatch(RECEIVER, 'a"b*'), DeviceMatch(UsbId.parse("20b1:0008"))),
    )

    golden("72-phyllome-seat.rules", rules(Assignment((left, right))))


def test_no_seats_need_no_rules():
    assert rules(Assignment()) == ""
    assert rules(seat()) == ""


def test_what_is_plugged_into_a_port_belongs_to_its_seat():
    device = run_rules(rules(port("usb2", 3)), usb(HOST_USB, 1, "480", "3", below="input/input4"))

    assert device.properties["ID_SEAT"] == "seat-phyllome-left"
    assert device.properties["PHYLLOME_SEAT"] == "left"
    assert not device.tags & {"uaccess", "power-switch"}


def test_a_hub_in_a_port_brings_all_behind_it():
    for chain in (("4",), ("4", "1"), ("4", "1", "7")):
        device = usb(HOST_USB, 1, "480", *chain, below="input/input4/event3")
        assert run_rules(rules(port("usb2", 4)), device).properties["ID_SEAT"]


def test_a_port_is_known_whatever_number_its_bus_has():
    for bus in (1, 9, 10, 127):
        device = usb(HOST_USB, bus, "480", "4", "1", below="input/input4")
        assert run_rules(rules(port("usb2", 4, 1)), device).properties["ID_SEAT"]


@pytest.mark.parametrize(
    "device",
    [
        usb(HOST_USB, 1, "480", "5", below="input/input4"),
        usb(HOST_USB, 1, "480", "14", below="input/input4"),
        usb(HOST_USB, 1, "480", "41", below="input/input4"),
        usb(HOST_USB, 1, "480", "5", "4", below="input/input4"),
        usb(HOST_USB, 1, "480", "1", "4", below="input/input4"),
        usb(LEFT_USB, 1, "480", "4", below="input/input4"),
        usb(HOST_USB, 2, "10000", "4", below="input/input4"),
        usb(HOST_USB, 2, "5000", "4", below="input/input4"),
        usb(HOST_USB, 1, "480", "7", below="i2c-4/i2c-dev/i2c-4", subsystem="i2c-dev"),
        usb(HOST_USB, 1, "480", "7", below="net/1-4", subsystem="net"),
    ],
    ids=lambda d: d.path.rpartition(":00.0/")[2] + d.parents[1].attributes["speed"],
)
def test_what_is_elsewhere_stays_with_the_host(device):
    run_rules(rules(port("usb2", 4)), device)

    assert device.properties == {}
    assert device.tags == {"uaccess", "power-switch", "seat"}


def test_a_slow_device_on_the_fast_side_is_told_by_its_root_hub():
    for speed in ("5000", "10000", "20000"):
        device = usb(HOST_USB, 2, speed, "4", below="block/sdb", subsystem="block")
        assert run_rules(rules(port("usb3", 4)), device).properties["UDISKS_IGNORE"] == "1"


def test_only_block_devices_are_hidden_from_udisks():
    device = run_rules(rules(port("usb2", 4)), usb(HOST_USB, 1, "480", "4", below="input/input4"))

    assert "UDISKS_IGNORE" not in device.properties


def test_a_whole_controller_brings_everything_below_it_but_not_itself():
    below = run_rules(rules(pci(LEFT_USB)), usb(LEFT_USB, 3, "480", "2", "3"))
    itself = Device(f"/devices/pci0000:00/{LEFT_USB}", [Parent(LEFT_USB, "pci")])

    assert below.properties["ID_SEAT"] == "seat-phyllome-left"
    assert run_rules(rules(pci(LEFT_USB)), itself).properties == {}
    assert run_rules(rules(pci(LEFT_USB)), usb(RIGHT_USB, 5, "480", "2")).properties == {}


def drm(gpu: str, subsystem: str = "drm") -> Device:
    name = {"drm": "card1", "sound": "controlC1", "graphics": "fb0"}[subsystem]
    parents = [Parent("0000:00:01.0", "pci"), Parent(gpu, "pci"), Parent(name, subsystem)]
    return Device(
        f"/devices/pci0000:00/0000:00:01.0/{gpu}/{subsystem}/{name}",
        parents,
        {"seat", "master-of-seat", "uaccess", "systemd"},
    )


@pytest.mark.parametrize("subsystem", ["drm", "sound", "graphics"])
def test_a_card_is_no_screen_of_the_host(subsystem):
    text = rules(pci(LEFT_GPU))

    assert run_rules(text, drm(LEFT_GPU, subsystem)).tags == {"systemd"}
    assert "seat" in run_rules(text, drm(RIGHT_GPU, subsystem)).tags


def test_a_device_named_by_its_serial_is_found_on_any_port():
    text = rules(seat(devices=(DeviceMatch(RECEIVER, "A1"),)))
    for serial, found in (("A1", True), ("A2", False), ("xA1", False)):
        device = usb(LEFT_USB, 3, "480", "2", "3", below="input/input9")
        device.parents[-2].attributes |= {
            "idVendor": "046d",
            "idProduct": "c52b",
            "serial": serial,
        }
        assert ("ID_SEAT" in run_rules(text, device).properties) == found


def test_vendor_and_serial_must_be_of_one_device():
    text = rules(seat(devices=(DeviceMatch(RECEIVER, "A1"),)))
    device = usb(LEFT_USB, 3, "480", "2", "3", below="input/input9")
    device.parents[-2].attributes |= {"idVendor": "046d", "idProduct": "c52b"}
    device.parents[-3].attributes |= {"serial": "A1"}

    assert run_rules(text, device).properties == {}


def test_a_device_that_goes_is_left_as_it_is():
    device = usb(HOST_USB, 1, "480", "4", below="input/input4")

    assert run_rules(rules(port("usb2", 4)), device, "remove").properties == {}


@given(st.text())
def test_no_serial_gets_out_of_its_quotes(serial):
    text = rules(seat(devices=(DeviceMatch(RECEIVER, serial),)))

    plain = rules(seat(devices=(DeviceMatch(RECEIVER, "A"),)))
    assert text.isascii()
    assert len(text.splitlines()) == len(plain.splitlines())
    (line,) = [each for each in text.splitlines() if "idVendor" in each]
    rest = re.sub(r', ATTRS\{serial\}=="[^"$%\\|]*"', "", line)
    assert rest == re.sub(r', ATTRS\{serial\}=="A"', "", rest)
    run_rules(text, usb(LEFT_USB, 3, "480", "2"))


@given(st.text(min_size=1))
def test_a_serial_matches_itself(serial):
    text = rules(seat(devices=(DeviceMatch(RECEIVER, serial),)))
    pattern = re.search(r'ATTRS\{serial\}=="([^"]*)"', text)
    seen = serial.encode("utf-8", "replace").decode("latin-1")  # udev matches bytes

    assert pattern and _glob(seen, pattern[1])


@pytest.mark.parametrize("wild", ["*", "?", "[a-z]", "A*", "a|b"])
def test_a_serial_full_of_wildcards_is_no_wildcard(wild):
    text = rules(seat(devices=(DeviceMatch(RECEIVER, wild),)))
    device = usb(LEFT_USB, 3, "480", "2")
    attributes = {"idVendor": "046d", "idProduct": "c52b", "serial": "A1-other-one"}
    device.parents[-1].attributes |= attributes

    assert run_rules(text, device).properties == {}


@pytest.mark.parametrize("name", ["", 'a"b', "a\nb", "A", "a b"])
def test_a_seat_name_that_no_file_can_hold_is_refused(name):
    with pytest.raises(AssignmentError, match="seat name"):
        rules(seat(name, ports=(UsbPort.parse(f"{HOST_USB}/usb2/4"),)))


def test_the_functions_a_file_speaks_of_are_found_again():
    text = rules(pci(LEFT_GPU, LEFT_USB)) + rules(port("usb2", 4))

    assert [str(a) for a in find_addresses(text)] == [HOST_USB, LEFT_GPU, LEFT_USB]
    assert not names_devices(text)
    assert names_devices(rules(seat(devices=(DeviceMatch(RECEIVER),))))


def udevadm_verifies() -> bool:
    done = subprocess.run(["udevadm", "--version"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and int(done.stdout.split()[0]) >= 254


@pytest.mark.skipif(
    not which("udevadm") or not udevadm_verifies(), reason="`udevadm verify` came with udev 254"
)
def test_udev_itself_finds_nothing_wrong(tmp_path):
    text = rules(Assignment((*port("usb2", 4).seats, *pci(LEFT_GPU, LEFT_USB).seats)))
    (tmp_path / "72-phyllome-seat.rules").write_text(text)

    command = ["udevadm", "verify", "--resolve-names=never", tmp_path / "72-phyllome-seat.rules"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


# Whose a device is: the rules and `owner` say the same.

CHAINS = [(4,), (4, 1), (4, 1, 2), (4, 10), (5,), (14,)]
SEATS = ("left", "right")
a_place = st.sampled_from(CHAINS)
some_devices = st.sampled_from(
    [DeviceMatch(RECEIVER), DeviceMatch(RECEIVER, "A1"), DeviceMatch(UsbId.parse("20b1:0008"))]
)


@st.composite
def assignments(draw) -> Assignment:
    """Return two seats with ports and devices, each named by one of them only."""
    owners = {
        thing: draw(st.sampled_from([*SEATS, None]))
        for thing in [*CHAINS, *draw(st.lists(some_devices, unique=True))]
    }
    return Assignment(
        tuple(
            SeatAssignment(
                Seat(name, when_off=draw(st.sampled_from(["wait", "host"]))),
                ports=tuple(
                    UsbPort(PciAddress.parse(HOST_USB), "usb2", chain)
                    for chain, owner in owners.items()
                    if owner == name and isinstance(chain, tuple)
                ),
                devices=tuple(
                    match
                    for match, owner in owners.items()
                    if owner == name and isinstance(match, DeviceMatch)
                ),
            )
            for name in SEATS
        )
    )


@given(
    assignments(),
    a_place,
    st.sampled_from([RECEIVER, UsbId.parse("20b1:0008")]),
    st.sampled_from([None, "A1"]),
    st.booleans(),
)
def test_udev_and_the_library_say_the_same_of_whose_a_device_is(
    assignment, chain, identity, serial, is_child
):
    seen = usb(HOST_USB, 1, "480", *map(str, chain), below="input/input9" if is_child else "")
    itself = seen.parents[-2 if is_child else -1]
    itself.attributes |= {
        "idVendor": f"{identity.vendor:04x}",
        "idProduct": f"{identity.product:04x}",
    }
    itself.attributes |= {"serial": serial} if serial else {}
    place = UsbPort(PciAddress.parse(HOST_USB), "usb2", chain)
    device = UsbDevice(itself.kernel, place, identity, 1, 9, serial=serial)

    owner = find_owner(assignment, device)

    found = run_rules(rules(assignment), seen).properties
    said = found.get("PHYLLOME_SEAT"), found.get("PHYLLOME_SEAT_RULE")
    assert said == ((owner.seat, owner.rule) if owner else (None, None))
    if owner:
        wish = next(s.seat for s in assignment.seats if s.seat.name == owner.seat)
        hidden = f"seat-phyllome-{owner.seat}"
        assert found["ID_SEAT"] == (hidden if wish.when_off == "wait" else "seat0")
        assert ("uaccess" in seen.tags) == (wish.when_off == "host")


def test_a_seat_that_gives_its_places_to_the_host_while_off_hides_nothing():
    given = Assignment(
        (SeatAssignment(Seat("left", when_off="host"), ports=port("usb2", 4).seats[0].ports),)
    )

    stick = run_rules(
        rules(given), usb(HOST_USB, 1, "480", "4", below="block/sdb", subsystem="block")
    )

    assert stick.properties["PHYLLOME_SEAT"] == "left"
    assert stick.properties["ID_SEAT"] == "seat0"
    assert "UDISKS_IGNORE" not in stick.properties
    assert stick.tags == {"uaccess", "power-switch", "seat"}


@given(st.text(min_size=1))
def test_no_serial_is_in_what_udev_shows_of_a_rule(serial):
    (line,) = [
        each
        for each in rules(seat(devices=(DeviceMatch(RECEIVER, serial),))).splitlines()
        if "idVendor" in each
    ]

    assert 'ENV{PHYLLOME_SEAT_RULE}="device 046d:c52b by serial"' in line
