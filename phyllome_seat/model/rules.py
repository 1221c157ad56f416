"""The udev rules that keep the host's desktop off what belongs to seats.

One file, ``72-phyllome-seat.rules``: after 70-uaccess and 71-seat, whose tags it takes back, and
before 73-seat-late, which hands ``ID_SEAT`` down to children and acts on the tags. (The name does
not start with ``72-seat-``: ``loginctl flush-devices`` deletes such files.) A seat's USB places
get a seat of their own that has no screen, hence no session: libinput and logind leave what is on
it alone. The kernel's text console does not look at seats.

Bus numbers move between boots, so a port is known by its controller's address and the numbers
from there down, which are a device's path in sysfs. The path is matched whole, component by
component, since ``*`` in a rule matches slashes too (fnmatch(3) without FNM_PATHNAME).
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbPort, render_port_chain
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.devices import Host
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.seat import DeviceMatch

RULES_PATH = "/etc/udev/rules.d/72-phyllome-seat.rules"
HEADER = "# phyllome-seat: "  # how a file of ours starts

_HEAD = (
    HEADER
    + """written by `phyllome-seat apply`, removed by `phyllome-seat revert`.
# Do not edit: change /etc/phyllome-seat/seats.yaml and apply again.

# A device that goes is looked at with half its properties gone: what it was stays.
ACTION=="remove", GOTO="phyllome_seat_end"
"""
)

_TAIL = """
# Nothing in a seat's USB places is mounted by the host, opened to whoever sits at the host, or
# switches the host off.
ENV{PHYLLOME_SEAT}=="?*", SUBSYSTEM=="block", ENV{UDISKS_IGNORE}="1"
ENV{PHYLLOME_SEAT}=="?*", TAG-="uaccess"
ENV{PHYLLOME_SEAT}=="?*", SUBSYSTEM=="input", TAG-="power-switch"

LABEL="phyllome_seat_end"
"""

_SEAT_ID = "seat-phyllome-"

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

# What fnmatch(3), udev's quoting and udev's "|" all take as themselves.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -_.:+/,;=#@&()")

# The speed of a root hub in Mbit/s: 12 and 480 for USB 1 and 2, 5000 and more for USB 3
# (Documentation/ABI/stable/sysfs-bus-usb, "speed"). Only the root hub tells which of its
# controller's two trees a device is on: a slow device stays on the USB 2 tree, and both trees may
# have a port with the same number.
_SPEEDS = {"usb2": "12|480", "usb3": "5000|[1-9]0000"}


def render_rules(assignment: Assignment, host: Host) -> str:
    """Return the text of the rules file; empty for seats that have nothing udev could see.

    *errors*: AssignmentError for a seat name that no seat file could hold.
    """
    rules = [rule for seat in assignment.seats for rule in _seat(seat, host)]
    return _HEAD + "".join(rules) + _TAIL if rules else ""


def find_addresses(rules: str) -> tuple[PciAddress, ...]:
    """Return the PCI functions that a rules file of ours speaks of, sorted."""
    import re

    found = re.findall(r"\b[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\b", rules)
    return tuple(sorted({PciAddress.parse(text) for text in found}))


def names_devices(rules: str) -> bool:
    """Return whether a rules file of ours has a device by identity, which may be anywhere."""
    return "ATTRS{idVendor}" in rules


def seat_id(seat: str) -> str:
    """Return the name udev and logind know a seat's USB places by, sd-login(3)."""
    return f"{_SEAT_ID}{seat}"


def is_seat_id(seat: str | None) -> bool:
    """Return whether udev's seat of a device is one of ours."""
    return seat is not None and seat.startswith(_SEAT_ID)


def _seat(seat: SeatAssignment, host: Host) -> list[str]:
    name = seat.seat.name
    if not name or not _NAME.issuperset(name):
        raise AssignmentError((f"{name!r} is no seat name: lower-case letters, digits and '-'",))
    functions = [host.by_address[a] for a in seat.addresses if a in host.by_address]
    return [
        *(_controller(f.address, name) for f in functions if f.is_usb_controller),
        *(_card(f.address, name) for f in functions if not f.is_usb_controller),
        *(_port(port, name) for port in seat.ports),
        *(_device(device, name) for device in seat.devices),
    ]


def _card(address: PciAddress, seat: str) -> str:
    """Screens and sound of one function; the conditions on parents hold for one and the same."""
    return (
        f"\n# Seat {seat}: no desktop of the host draws or plays on {address}.\n"
        f'SUBSYSTEM=="drm|graphics|sound", SUBSYSTEMS=="pci", KERNELS=="{address}", '
        'TAG-="seat", TAG-="master-of-seat", TAG-="uaccess"\n'
    )


def _controller(address: PciAddress, seat: str) -> str:
    return (
        f"\n# Seat {seat}: the whole USB controller {address}, whatever is plugged in.\n"
        f'DEVPATH=="*/{address}/*", {_belongs(seat)}\n'
    )


def _port(port: UsbPort, seat: str) -> str:
    return (
        f"\n# Seat {seat}: what is plugged into {port}, and all behind it if that is a hub.\n"
        f'DEVPATH=="{_paths(port)}", '
        f'SUBSYSTEMS=="usb", KERNELS=="usb[0-9]*", ATTRS{{speed}}=="{_SPEEDS[port.speed]}", '
        f"{_belongs(seat)}\n"
    )


def _device(device: DeviceMatch, seat: str) -> str:
    serial = f', ATTRS{{serial}}=="{_pattern(device.serial)}"' if device.serial else ""
    which = "with its serial number" if device.serial else "any serial number"
    return (
        f"\n# Seat {seat}: the USB device {device.id}, {which}, wherever it is plugged in.\n"
        f'SUBSYSTEMS=="usb", ATTRS{{idVendor}}=="{device.id.vendor:04x}", '
        f'ATTRS{{idProduct}}=="{device.id.product:04x}"{serial}, {_belongs(seat)}\n'
    )


def _belongs(seat: str) -> str:
    return f'ENV{{PHYLLOME_SEAT}}="{seat}", ENV{{ID_SEAT}}="{seat_id(seat)}"'


def _paths(port: UsbPort) -> str:
    """Return the patterns of the device at a port and of all below it, for bus numbers of one to
    three digits: ``*/0000:00:14.0/usb[0-9]/[0-9]-4/[0-9]-4.1``.
    """
    chains = [render_port_chain(port.ports[:n]) for n in range(1, len(port.ports) + 1)]
    paths = []
    for digits in (1, 2, 3):
        bus = "[0-9]" * digits
        steps = "/".join(f"{bus}-{chain}" for chain in chains)
        path = f"*/{port.controller}/usb{bus}/{steps}"
        paths += [path, f"{path}/*"]
    return "|".join(paths)


def _pattern(serial: str) -> str:
    """Return a pattern for a serial number, which is whatever a device's maker put there.

    Wildcards are taken literally; each byte of what could end the value or start another is any
    one byte (``?``), so that no text gets out of its quotes.
    """
    return "".join(
        char if char in _PLAIN else f"[{char}]" if char in "*?[" else "?" * len(char.encode())
        for char in serial.encode("utf-8", "replace").decode()
    )
