"""The udev rules that keep the host's desktop off what belongs to seats.

One file, ``72-phyllome-seat.rules``: after 70-uaccess and 71-seat, whose tags it takes back, and
before 73-seat-late, which hands ``ID_SEAT`` down to children and acts on the tags. (The name does
not start with ``72-seat-``: ``loginctl flush-devices`` deletes such files.) A seat's USB places
get a seat of their own that has no screen, hence no session: libinput and logind leave what is on
it alone. The kernel's text console does not look at seats. Where a seat says ``when-off: host``
they stay on the host's seat, which is said too, for a device takes its hub's otherwise.

``udevadm info`` shows whose a device is, ``PHYLLOME_SEAT``, and by which rule,
``PHYLLOME_SEAT_RULE``. The last line that matches wins, so the most specific stand last: what is
behind a hub's port, devices by id, by serial number, the ports themselves; `owner` says why.

Bus numbers move between boots, so a port is known by its controller's address and the numbers
from there down, which are a device's path in sysfs. The path is matched whole, component by
component, since ``*`` in a rule matches slashes too (fnmatch(3) without FNM_PATHNAME).
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbPort, render_port_chain
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.devices import Host
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.owner import device_rule, port_rule
from phyllome_seat.model.seat import DeviceMatch, Seat

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
ENV{ID_SEAT}=="seat-phyllome-?*", SUBSYSTEM=="block", ENV{UDISKS_IGNORE}="1"
ENV{ID_SEAT}=="seat-phyllome-?*", TAG-="uaccess"
ENV{ID_SEAT}=="seat-phyllome-?*", SUBSYSTEM=="input", TAG-="power-switch"

LABEL="phyllome_seat_end"
"""

_SEAT_ID = "seat-phyllome-"

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

# What fnmatch(3), udev's quoting and udev's "|" all take as themselves.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -_.:+/,;=#@&()")

# The number of a bus has one to three digits.
_BUS = ("[0-9]", "[0-9][0-9]", "[0-9][0-9][0-9]")

# The speed of a root hub in Mbit/s: 12 and 480 for USB 1 and 2, 5000 and more for USB 3
# (Documentation/ABI/stable/sysfs-bus-usb, "speed"). Only the root hub tells which of its
# controller's two trees a device is on: a slow device stays on the USB 2 tree, and both trees may
# have a port with the same number.
_SPEEDS = {"usb2": "12|480", "usb3": "5000|[1-9]0000"}


def render_rules(assignment: Assignment, host: Host) -> str:
    """Return the text of the rules file; empty for seats that have nothing udev could see.

    *errors*: AssignmentError for a seat name that no seat file could hold.
    """
    for seat in assignment.seats:
        _check_name(seat.seat.name)
    rules = [
        *(rule for seat in assignment.seats for rule in _functions(seat, host)),
        *_hubs(assignment),
        *_devices(assignment),
        *(_port(port, seat) for seat in assignment.seats for port in seat.ports),
    ]
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


def _check_name(name: str) -> None:
    if not name or not _NAME.issuperset(name):
        raise AssignmentError((f"{name!r} is no seat name: lower-case letters, digits and '-'",))


def _functions(seat: SeatAssignment, host: Host) -> list[str]:
    functions = [host.by_address[a] for a in seat.addresses if a in host.by_address]
    return [
        *(_controller(f.address, seat.seat) for f in functions if f.is_usb_controller),
        *(_card(f.address, seat.seat.name) for f in functions if not f.is_usb_controller),
    ]


def _hubs(assignment: Assignment) -> list[str]:
    """Return the rules for what is behind a hub in a port, the nearest hub last."""
    ports = [(port, seat) for seat in assignment.seats for port in seat.ports]
    return [_hub(port, seat) for port, seat in sorted(ports, key=lambda one: len(one[0].ports))]


def _devices(assignment: Assignment) -> list[str]:
    """Return the rules for devices by identity, those with a serial number last."""
    matches = [(match, seat) for seat in assignment.seats for match in seat.devices]
    return [_device(*one) for one in sorted(matches, key=lambda one: one[0].serial is not None)]


def _card(address: PciAddress, seat: str) -> str:
    """Screens and sound of one function; the conditions on parents hold for one and the same."""
    return (
        f"\n# Seat {seat}: no desktop of the host draws or plays on {address}.\n"
        f'SUBSYSTEM=="drm|graphics|sound", SUBSYSTEMS=="pci", KERNELS=="{address}", '
        'TAG-="seat", TAG-="master-of-seat", TAG-="uaccess"\n'
    )


def _controller(address: PciAddress, seat: Seat) -> str:
    return (
        f"\n# Seat {seat.name}: the whole USB controller {address}, whatever is plugged in.\n"
        f'DEVPATH=="*/{address}/*", {_belongs(seat.name, f"controller {address}")}\n'
    )


def _hub(port: UsbPort, seat: SeatAssignment) -> str:
    chain = render_port_chain(port.ports)
    return (
        f"\n# Seat {seat.seat.name}: what is behind {port}, should that be a hub.\n"
        f"{_at(port, f'/#-{chain}.*')}, {_owned(seat, port_rule(port, is_hub=True))}\n"
    )


def _port(port: UsbPort, seat: SeatAssignment) -> str:
    chain = render_port_chain(port.ports)
    return (
        f"\n# Seat {seat.seat.name}: what is plugged into {port}.\n"
        f"{_at(port, '', f'/#-{chain}:*')}, {_owned(seat, port_rule(port))}\n"
    )


def _device(device: DeviceMatch, seat: SeatAssignment) -> str:
    serial = f', ATTRS{{serial}}=="{_pattern(device.serial)}"' if device.serial else ""
    which = "with its serial number" if device.serial else "any serial number"
    return (
        f"\n# Seat {seat.seat.name}: the USB device {device.id}, {which}, wherever it is.\n"
        f'SUBSYSTEMS=="usb", ATTRS{{idVendor}}=="{device.id.vendor:04x}", '
        f'ATTRS{{idProduct}}=="{device.id.product:04x}"{serial}, '
        f"{_owned(seat, device_rule(device))}\n"
    )


def _owned(seat: SeatAssignment, rule: str) -> str:
    name = seat.seat.name
    return _belongs(name, rule, None if seat.seat.when_off == "wait" else "seat0")


def _belongs(seat: str, rule: str, its_seat: str | None = None) -> str:
    return (
        f'ENV{{PHYLLOME_SEAT}}="{seat}", ENV{{PHYLLOME_SEAT_RULE}}="{rule}", '
        f'ENV{{ID_SEAT}}="{its_seat or seat_id(seat)}"'
    )


def _at(port: UsbPort, *ends: str) -> str:
    """Return the conditions for the path of the device at a port with each of these ends, on the
    tree of the port's speed; ``#`` is the bus number.
    """
    paths = "|".join(
        _path(port, digits) + end.replace("#", digits) for digits in _BUS for end in ends
    )
    return (
        f'DEVPATH=="{paths}", '
        f'SUBSYSTEMS=="usb", KERNELS=="usb[0-9]*", ATTRS{{speed}}=="{_SPEEDS[port.speed]}"'
    )


def _path(port: UsbPort, bus: str) -> str:
    """Return the pattern of the device at a port: ``*/0000:00:14.0/usb[0-9]/[0-9]-4/[0-9]-4.1``."""
    chains = (render_port_chain(port.ports[:n]) for n in range(1, len(port.ports) + 1))
    return "/".join([f"*/{port.controller}/usb{bus}", *(f"{bus}-{chain}" for chain in chains)])


def _pattern(serial: str) -> str:
    """Return a pattern for a serial number, which is whatever a device's maker put there.

    Wildcards are taken literally; each byte of what could end the value or start another is any
    one byte (``?``), so that no text gets out of its quotes.
    """
    return "".join(
        char if char in _PLAIN else f"[{char}]" if char in "*?[" else "?" * len(char.encode())
        for char in serial.encode("utf-8", "replace").decode()
    )
