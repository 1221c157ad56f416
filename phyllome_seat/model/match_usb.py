"""How a seat names a USB place or device ⇄ which one that is on this Host."""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort, render_port_chain
from phyllome_seat.model.devices import Host, UsbDevice
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.match import find_controller
from phyllome_seat.model.seat import DeviceMatch, PciMatch, PortMatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.address import UsbSpeed


def find_ports(host: Host, match: PortMatch) -> tuple[UsbPort, ...]:
    """Return the ports of one socket, one for each speed it has.

    The speed that is not given is the kernel's ``peer``. A port behind a hub that is not plugged
    in now is taken as given.
    """
    controller = find_controller(host, PciMatch(match.controller, match.id))
    named: dict[UsbSpeed, UsbPort] = {}
    if match.usb2:
        named["usb2"] = UsbPort(controller.address, "usb2", match.usb2)
    if match.usb3:
        named["usb3"] = UsbPort(controller.address, "usb3", match.usb3)
    for port in named.values():
        _check_root(host, port)
    found = dict(named)
    for port in named.values():
        peer = find_peer(host, port)
        if peer and found.setdefault(peer.speed, peer) != peer:
            raise AssignmentError((_not_one(port, peer, found[peer.speed]),))
    return tuple(found[speed] for speed in sorted(found))


def find_peer(host: Host, port: UsbPort) -> UsbPort | None:
    """Return the port of the other speed in the same socket, None where the kernel knows none.

    Behind a hub it has the same number on the hub's other half: ``find_and_link_peer()`` in
    drivers/usb/core/port.c.
    """
    socket = host.by_port.get(port)
    if socket:
        return next((other for other in socket.ports if other.speed != port.speed), None)
    hub = port.parent and find_peer(host, port.parent)
    if hub is None or len(hub.ports) > 5:
        return None
    return UsbPort(hub.controller, hub.speed, (*hub.ports, port.ports[-1]))


def _check_root(host: Host, port: UsbPort) -> None:
    """Raise where the controller is known to have no such root port."""
    root = UsbPort(port.controller, port.speed, port.ports[:1])
    if root in host.by_port:
        return
    roots = sorted(
        known.ports[0]
        for known in host.by_port
        if (known.controller, known.speed) == (root.controller, root.speed)
        and len(known.ports) == 1
    )
    if roots:
        numbers = ", ".join(map(str, roots))
        raise AssignmentError((f"{port} is no port: {port.speed} has {numbers}: name one of them",))


def _not_one(port: UsbPort, peer: UsbPort, named: UsbPort) -> str:
    wanted, right = render_port_chain(named.ports), render_port_chain(peer.ports)
    return (
        f"{port} and {named.speed} {wanted} are not one socket: its {peer.speed} is {right}: "
        f"write that, or leave {peer.speed} out"
    )


def is_named(device: UsbDevice, match: DeviceMatch) -> bool:
    """Whether a device is the one that a match names by its identity."""
    return device.id == match.id and match.serial in (None, device.serial)


def find_devices(host: Host, match: DeviceMatch) -> tuple[UsbDevice, ...]:
    """Return the device of `match`: none where it is not plugged in, never more than one.

    What is remembered counts unless the same device is seen now.
    """
    named = [device for device in host.usb if is_named(device, match)]
    now = {(d.id, d.serial) for d in named if not d.remembered}
    found = tuple(d for d in named if not d.remembered or (d.id, d.serial) not in now)
    for device in found:
        if device.is_hub:
            raise AssignmentError(
                (f"{name_usb(device)} is a hub, which no guest gets: name its port instead",)
            )
    if len(found) > 1:
        places = " and ".join(str(d.port or d.sysname) for d in found)
        raise AssignmentError(
            (f"{match.id} is {len(found)} devices, at {places}: name the port instead",)
        )
    return found


def name_usb(device: UsbDevice) -> str:
    """Return a USB device as messages name it: its place first."""
    return f"{device.port or device.sysname} ({device.name})"
