"""The input devices, from ``/sys/class/input``, with what udev says each of them is.

Attributes are those of drivers/input/input.c.
"""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.devices import InputDevice, UsbDevice
from phyllome_seat.model.input_kinds import KINDS, Capabilities, classify, parse_bits
from phyllome_seat.model.printable import printable
from phyllome_seat.model.value import replace
from phyllome_seat.system.numbers import find_nearest, read_number
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev_db import UdevEntry, read_udev

_CLASS = "sys/class/input/"
_KINDS = {f"{kind.upper()}=1": kind for kind in KINDS}

# What never changes of an input device, by the path of its node, with the node's own number. No
# other has that path until the boot ends: the kernel counts on, input_allocate_device(), input_no.
Known = dict[str, tuple[str, InputDevice]]


def read_inputs(
    sysfs: Sysfs, usb: tuple[UsbDevice, ...], known: Known | None = None
) -> tuple[InputDevice, ...]:
    """Return every evdev node, each traced to its place among the devices of `usb`.

    What was read before is in `known`, which is brought up to date; what udev says is read again.
    """
    ports = {device.sysname: device.port for device in usb}
    inputs = []
    before: Known = known or {}
    now: Known = {}
    for node in sysfs.list(_CLASS):
        path = sysfs.target(_CLASS + node) if node.startswith("event") else None
        if path is not None:
            fixed = before.get(path) or _read_fixed(sysfs, node, path)
            if fixed is not None:
                now[path] = fixed
                inputs.append(_with_rest(sysfs, path, ports, *fixed))
    if known is not None:
        known.clear()
        known.update(now)
    return tuple(sorted(inputs, key=lambda device: (len(device.node), device.node)))


def _read_fixed(sysfs: Sysfs, node: str, path: str) -> tuple[str, InputDevice] | None:
    """Return what stays of the input device whose node's own folder is `path`; None: it is gone."""
    device = path.rpartition("/")[0]
    number = sysfs.read(path + "/dev")
    if number is None:
        return None
    return number, InputDevice(
        node=node,
        name=printable(sysfs.read(device + "/name")) or "",
        bus_type=_read_id(sysfs, device, "bustype"),
        vendor=_read_id(sysfs, device, "vendor"),
        product=_read_id(sysfs, device, "product"),
        version=_read_id(sysfs, device, "version"),
        phys=printable(sysfs.read(device + "/phys")),
        uniq=printable(sysfs.read(device + "/uniq")),
        pci=find_nearest(path),
    )


def _with_rest(
    sysfs: Sysfs, path: str, ports: dict[str, UsbPort | None], number: str, device: InputDevice
) -> InputDevice:
    udev = read_udev(sysfs, "c" + number)
    return replace(
        device,
        kinds=_read_kinds(sysfs, path.rpartition("/")[0], udev),
        usb=_find_port(path, ports),
        seat=printable(udev.find("ID_SEAT")),
    )


def _find_port(path: str, ports: dict[str, UsbPort | None]) -> UsbPort | None:
    """Return the place of the USB device nearest to what has this path."""
    for name in reversed(path.split("/")):
        if name in ports:
            return ports[name]
    return None


def _read_id(sysfs: Sysfs, device: str, name: str) -> int:
    number = read_number(sysfs.read(f"{device}/id/{name}"), 16)
    return number if number is not None and 0 <= number <= 0xFFFF else 0


def _read_kinds(sysfs: Sysfs, device: str, udev: UdevEntry) -> tuple[str, ...]:
    """Return what udev calls the device, or would: without udev it is found from what it can."""
    if udev.find("ID_INPUT") is not None:
        said = udev.find_all("ID_INPUT_")
        return tuple([kind for word, kind in _KINDS.items() if word in said])
    return classify(
        Capabilities(
            bus_type=_read_id(sysfs, device, "bustype"),
            properties=_read_bits(sysfs, device + "/properties"),
            events=_read_bits(sysfs, device + "/capabilities/ev"),
            keys=_read_bits(sysfs, device + "/capabilities/key"),
            relative=_read_bits(sysfs, device + "/capabilities/rel"),
            absolute=_read_bits(sysfs, device + "/capabilities/abs"),
        )
    )


def _read_bits(sysfs: Sysfs, path: str) -> int:
    return parse_bits(sysfs.read(path) or "")
