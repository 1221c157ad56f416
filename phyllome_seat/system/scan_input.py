"""The input devices, from ``/sys/class/input``, with what udev says each of them is.

Attributes are those of drivers/input/input.c.
"""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.devices import InputDevice, UsbDevice
from phyllome_seat.model.input_kinds import KINDS, Capabilities, classify, parse_bits
from phyllome_seat.model.printable import printable
from phyllome_seat.system.numbers import find_nearest, read_number
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev_db import UdevEntry, read_udev

_CLASS = "sys/class/input/"
_KINDS = {f"{kind.upper()}=1": kind for kind in KINDS}


def read_inputs(sysfs: Sysfs, usb: tuple[UsbDevice, ...]) -> tuple[InputDevice, ...]:
    """Return every evdev node, each traced to its place among the devices of `usb`."""
    ports = {device.sysname: device.port for device in usb}
    inputs = []
    for node in sysfs.list(_CLASS):
        path = sysfs.target(_CLASS + node) if node.startswith("event") else None
        if path is not None:
            device = _read_input(sysfs, node, path, ports)
            if device is not None:
                inputs.append(device)
    return tuple(sorted(inputs, key=lambda device: (len(device.node), device.node)))


def _read_input(
    sysfs: Sysfs, node: str, path: str, ports: dict[str, UsbPort | None]
) -> InputDevice | None:
    """Return the input device whose node's own folder is `path`, None when it has gone."""
    device = path.rpartition("/")[0]
    number = sysfs.read(path + "/dev")
    if number is None:
        return None
    udev = read_udev(sysfs, "c" + number)
    return InputDevice(
        node=node,
        name=printable(sysfs.read(device + "/name")) or "",
        kinds=_read_kinds(sysfs, device, udev),
        bus_type=_read_id(sysfs, device, "bustype"),
        vendor=_read_id(sysfs, device, "vendor"),
        product=_read_id(sysfs, device, "product"),
        version=_read_id(sysfs, device, "version"),
        phys=printable(sysfs.read(device + "/phys")),
        uniq=printable(sysfs.read(device + "/uniq")),
        usb=_find_port(path, ports),
        pci=find_nearest(path),
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
