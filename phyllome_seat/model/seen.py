"""What was seen before: the monitors and keyboards of what has left the host's sight.

A GPU bound to vfio-pci has no connectors, a USB controller there no devices, and a keyboard in a
guest's hands no input device. A person still wants to see them, and a seat file still names them.
What was seen is a `Host` with nothing but PCI functions, connectors, sockets, USB and input
devices, written as one (`phyllome_seat.model.host_json`). It belongs to a place *and* an identity:
once another function is at the address, it is forgotten.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import (
    Connector,
    Host,
    InputDevice,
    PciDevice,
    UsbDevice,
    UsbSocket,
)
from phyllome_seat.model.errors import HostFileError
from phyllome_seat.model.value import replace

# pci-stub holds a device and shows nothing of it, as vfio-pci does; usbfs is a program's hand on
# a USB device, QEMU's for one.
_HIDING_DRIVERS = (None, "vfio-pci", "pci-stub")
_PROGRAM_DRIVER = "usbfs"


def parse_seen(text: str | None) -> Host:
    """Return what was seen, nothing where there is no text or it cannot be read.

    What it holds is comfort, not safety, and is written anew by the next apply.
    """
    if not text:
        return Host()
    from phyllome_seat.model.host_json import parse_host  # most hosts have nothing to remember

    try:
        return parse_host(text)
    except HostFileError:
        return Host()


def render_seen(seen: Host) -> str:
    """Return what was seen as text, the inverse of ``parse_seen``."""
    from phyllome_seat.model.host_json import render_host

    return render_host(seen)


def remember(seen: Host, host: Host) -> Host:
    """Return what is in sight now on each GPU and USB controller, else what was seen on it."""
    known = recall(seen, host)
    gone = tuple(device for device in seen.pci if device.address not in host.by_address)
    pci = tuple(device for device in known.pci if device.is_gpu or device.is_usb_controller)
    kept = {device.address for device in (*pci, *gone)}
    absent = {device.address for device in gone}
    return Host(
        pci=_sorted((*map(_identity, pci), *gone)),
        connectors=tuple(
            replace(c, remembered=False)
            for c in (*known.connectors, *(c for c in seen.connectors if c.gpu in absent))
            if c.gpu in kept
        ),
        sockets=(*known.sockets, *(s for s in seen.sockets if _controller(s) in absent)),
        usb=tuple(
            replace(device, bus=0, number=0, remembered=False)  # both change with every plug
            for device in (*known.usb, *(d for d in seen.usb if _of(d.port) in absent))
            if device.port is not None
        ),
        inputs=tuple(
            replace(device, remembered=False)
            for device in (*known.inputs, *(d for d in seen.inputs if _of(d.usb) in absent))
            if device.usb is not None
        ),
    )


def recall(seen: Host, host: Host) -> Host:
    """Return `host` with what was seen on each GPU, controller and USB device out of sight now."""
    if not seen.pci:
        return host
    hidden = {device.address for device in host.pci if _is_hidden(device, seen)}
    in_guests = _find_taken(seen, host)
    if not hidden and not in_guests:
        return host
    return replace(
        host,
        connectors=_add_connectors(host, seen, hidden),
        sockets=_add_sockets(host, seen, hidden),
        usb=_add_usb(host, seen, hidden),
        inputs=_add_inputs(host, seen, hidden, in_guests),
    )


def _identity(device: PciDevice) -> PciDevice:
    return PciDevice(device.address, device.id, device.class_code)


def _sorted(devices: tuple[PciDevice, ...]) -> tuple[PciDevice, ...]:
    return tuple(sorted(devices, key=lambda device: device.address))


def _is_hidden(device: PciDevice, seen: Host) -> bool:
    """Whether the host cannot see what hangs on this function, but once did."""
    before = seen.by_address.get(device.address)
    return before is not None and before.id == device.id and device.driver in _HIDING_DRIVERS


def _find_taken(seen: Host, host: Host) -> frozenset[UsbPort]:
    """Return the places whose device is still the one seen there, in some program's hands."""
    if not seen.usb:
        return frozenset()
    now = {d.port: (d.id, d.serial) for d in host.usb if _PROGRAM_DRIVER in d.drivers}
    return frozenset(
        d.port for d in seen.usb if d.port is not None and now.get(d.port) == (d.id, d.serial)
    )


def _add_connectors(host: Host, seen: Host, hidden: set[PciAddress]) -> tuple[Connector, ...]:
    lit = {connector.gpu for connector in host.connectors}
    found = (replace(c, remembered=True) for c in seen.connectors if c.gpu in hidden - lit)
    return tuple(sorted((*host.connectors, *found), key=lambda c: (c.gpu, c.name)))


def _add_sockets(host: Host, seen: Host, hidden: set[PciAddress]) -> tuple[UsbSocket, ...]:
    found = (socket for socket in seen.sockets if _controller(socket) in hidden)
    return tuple(sorted({*host.sockets, *found}, key=lambda socket: socket.ports))


def _add_usb(host: Host, seen: Host, hidden: set[PciAddress]) -> tuple[UsbDevice, ...]:
    taken = {device.port for device in host.usb}
    found = (
        replace(device, remembered=True)
        for device in seen.usb
        if _of(device.port) in hidden and device.port not in taken
    )
    return (*host.usb, *found)


def _add_inputs(
    host: Host, seen: Host, hidden: set[PciAddress], in_guests: frozenset[UsbPort]
) -> tuple[InputDevice, ...]:
    present = {device.usb for device in host.inputs}
    found = (
        replace(device, remembered=True)
        for device in seen.inputs
        if device.usb not in present and (_of(device.usb) in hidden or device.usb in in_guests)
    )
    return (*host.inputs, *found)


def _of(port: UsbPort | None) -> PciAddress | None:
    return None if port is None else port.controller


def _controller(socket: UsbSocket) -> PciAddress:
    return socket.ports[0].controller
