"""USB devices and the sockets they are plugged into, from ``/sys/bus/usb/devices``.

What a name there means: ``usb3`` is the root hub of bus 3, ``3-4.1`` the device on port 1 of the
hub on its port 4, ``3-4.1:1.0`` interface 0 of that device's configuration 1, and ``3-4-port1`` a
port of the hub ``3-4``. Sources: ``usb_alloc_dev`` in drivers/usb/core/usb.c, drivers/usb/core/
message.c and port.c, Documentation/ABI/testing/sysfs-bus-usb.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbId, UsbPort
from phyllome_seat.model.devices import UsbDevice, UsbSocket
from phyllome_seat.model.errors import AddressError
from phyllome_seat.model.printable import printable
from phyllome_seat.model.value import dataclass
from phyllome_seat.system.numbers import find_nearest, order_of
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev_db import read_udev
from phyllome_seat.system.uevent import Uevent, read_uevent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from phyllome_seat.model.address import UsbSpeed

_DEVICES = "sys/bus/usb/devices/"

# Every root hub is described by the kernel itself, as product 1, 2 or 3 for USB 1.1, 2.0 or 3.x:
# usb11_rh_dev_descriptor and following, drivers/usb/core/hcd.c.
_USB3_ROOT_HUB = "1d6b/3"


@dataclass(frozen=True, slots=True)
class _Bus:
    """The root hub of one bus; on a controller that is not PCI, ``controller`` is None.

    ``ports`` are the places found so far, by port chain: a place is named by what is plugged in,
    by its hub and by its peer.
    """

    path: str
    controller: PciAddress | None
    speed: UsbSpeed
    ports: dict[str, UsbPort | None]


@dataclass(frozen=True, slots=True)
class _Interface:
    name: str
    kind: str  # class, subclass, protocol: "030101"
    driver: str | None
    path: str


def read_usb(sysfs: Sysfs) -> tuple[tuple[UsbDevice, ...], tuple[UsbSocket, ...]]:
    """Return what is plugged in where, and the sockets of all hubs."""
    names = sysfs.list(_DEVICES)
    buses = _read_buses(sysfs, names)
    interfaces = _read_interfaces(sysfs, names, buses)
    devices = [
        device
        for name in names
        if "-" in name and ":" not in name
        for device in (_read_device(sysfs, name, buses, interfaces.get(name, ())),)
        if device is not None
    ]
    hubs = [
        interface
        for of_device in interfaces.values()
        for interface in of_device
        if interface.kind.startswith("09")
    ]
    return tuple(sorted(devices, key=_order)), _read_sockets(sysfs, hubs, buses)


def read_usb_device(sysfs: Sysfs, name: str) -> UsbDevice | None:
    """Return the one device that the kernel calls `name` now, None where there is none."""
    buses = _read_buses(sysfs, ("usb" + name.partition("-")[0],))
    folder = _find_folder(name, buses)
    if folder is None:
        return None
    inside = tuple(found for found in sysfs.list(folder) if found.startswith(name + ":"))
    interfaces = _read_interfaces(sysfs, inside, buses)
    return _read_device(sysfs, name, buses, interfaces.get(name, ()))


def is_plugged(sysfs: Sysfs, device: UsbDevice) -> bool:
    """Return whether this very device is plugged in now, whatever was heard; for any thread."""
    now = read_usb_device(sysfs, device.sysname)
    return now is not None and (now.number, now.id) == (device.number, device.id)


def with_usb_device(
    devices: tuple[UsbDevice, ...], name: str, device: UsbDevice | None
) -> tuple[UsbDevice, ...]:
    """Return all devices with what is there now in place of what was called `name`."""
    others = [other for other in devices if other.sysname != name or other.remembered]
    return tuple(sorted([*others, device] if device else others, key=_order))


def _order(device: UsbDevice) -> tuple[object, ...]:
    """Devices with a place come first, by place; the rest by bus."""
    if device.port is None:
        return True, device.bus, device.sysname
    return False, *_order_of(device.port)


def _order_of(port: UsbPort) -> tuple[object, ...]:
    return *order_of(port.controller), port.speed, port.ports


def find_usb_port(name: str, buses: dict[str, _Bus]) -> UsbPort | None:
    """Return the place that a device's name ``3-4.1`` means, None where it has none."""
    number, _, chain = name.partition("-")
    return _find_place(buses.get(number), chain)


def _find_place(bus: _Bus | None, chain: str) -> UsbPort | None:
    """Return the place at a chain of ports like ``4.1`` from a root hub down."""
    if bus is None or bus.controller is None:
        return None
    if chain not in bus.ports:
        try:
            ports = tuple(map(int, chain.split(".")))
            bus.ports[chain] = UsbPort(bus.controller, bus.speed, ports)
        except (ValueError, AddressError):
            bus.ports[chain] = None
    return bus.ports[chain]


def _read_buses(sysfs: Sysfs, names: tuple[str, ...]) -> dict[str, _Bus]:
    """Return the buses by number, as the first part of a device's name has it."""
    buses = {}
    for name in names:
        if not name.startswith("usb"):
            continue
        path = sysfs.target(_DEVICES + name)
        if path is not None:
            product = read_uevent(sysfs, path).find("PRODUCT") or ""
            buses[name[3:]] = _Bus(
                path,
                find_nearest(path),
                "usb3" if product.startswith(_USB3_ROOT_HUB + "/") else "usb2",
                {},
            )
    return buses


def _find_folder(name: str, buses: dict[str, _Bus]) -> str | None:
    """Return a device's own folder, which its name tells: each hub's holds what is behind it."""
    number, _, chain = name.partition("-")
    if number not in buses:
        return None
    folder = buses[number].path
    if chain != "0":  # what is so called is the root hub itself
        ports = chain.split(".")
        for depth in range(len(ports)):
            folder += f"/{number}-{'.'.join(ports[: depth + 1])}"
    return folder


def _read_interfaces(
    sysfs: Sysfs, names: tuple[str, ...], buses: dict[str, _Bus]
) -> dict[str, list[_Interface]]:
    """Return the interfaces of each device by its name, a root hub's by ``3-0``."""
    interfaces: dict[str, list[_Interface]] = {}
    for name in names:
        device, colon, number = name.partition(":")
        folder = _find_folder(device, buses) if colon else None
        if folder is None:
            continue
        path = f"{folder}/{name}"
        event = read_uevent(sysfs, path)
        kind = _find_kind(event.find("INTERFACE") or "")
        if kind is not None:
            interface = _Interface(number, kind, event.find("DRIVER"), path)
            interfaces.setdefault(device, []).append(interface)
    for of_device in interfaces.values():
        of_device.sort(key=lambda interface: (len(interface.name), interface.name))
    return interfaces


def _find_kind(text: str) -> str | None:
    """Return "030101" for the kernel's "3/1/1": class, subclass, protocol in decimal."""
    try:
        octets = bytes(map(int, text.split("/")))  # ValueError as well for what is none
    except ValueError:
        return None
    return octets.hex() if len(octets) == 3 else None


def _read_device(
    sysfs: Sysfs, name: str, buses: dict[str, _Bus], interfaces: Sequence[_Interface]
) -> UsbDevice | None:
    """Return one device, None when it has gone or is not ready."""
    path = _find_folder(name, buses)
    if path is None:
        return None
    # identity, numbers and class: usb_uevent and usb_dev_uevent in drivers/usb/core
    event = read_uevent(sysfs, path)
    try:
        vendor, product = (event.find("PRODUCT") or "").split("/")[:2]
        identity = UsbId(int(vendor, 16), int(product, 16))
        bus, number = int(event.find("BUSNUM") or ""), int(event.find("DEVNUM") or "")
        device_class = int((event.find("TYPE") or "0").split("/")[0])
    except (ValueError, AddressError):
        return None
    manufacturer = printable(sysfs.read(path + "/manufacturer"))
    product_name = printable(sysfs.read(path + "/product"))
    if manufacturer is None and product_name is None:
        manufacturer, product_name = _read_names(sysfs, event)
    return UsbDevice(
        sysname=name,
        port=find_usb_port(name, buses),
        id=identity,
        bus=bus,
        number=number,
        device_class=device_class,
        interfaces=tuple(interface.kind for interface in interfaces),
        serial=printable(sysfs.read(path + "/serial")),
        manufacturer=manufacturer,
        product=product_name,
        speed_mbps=_read_speed(sysfs.read(path + "/speed")),
        drivers=tuple(dict.fromkeys(i.driver for i in interfaces if i.driver)),
    )


def _read_names(sysfs: Sysfs, event: Uevent) -> tuple[str | None, str | None]:
    """Return maker and product from the hardware database, for a device that tells neither."""
    udev = read_udev(sysfs, f"c{event.find('MAJOR')}:{event.find('MINOR')}")
    return (
        printable(udev.find("ID_VENDOR_FROM_DATABASE")),
        printable(udev.find("ID_MODEL_FROM_DATABASE")),
    )


def _read_speed(text: str | None) -> float | None:
    """Return Mbit/s: "1.5" to "20000", "unknown" while a device is set up."""
    try:
        speed = float(text or "")
    except ValueError:
        return None
    return speed if 0 < speed < 1e9 else None


def _read_sockets(
    sysfs: Sysfs, hubs: list[_Interface], buses: dict[str, _Bus]
) -> tuple[UsbSocket, ...]:
    """Return the sockets of these hubs, the two speeds of one joined where the kernel knows."""
    ports: dict[str, UsbPort] = {}
    types: dict[str, str | None] = {}
    peers: dict[str, str] = {}
    for hub in hubs:
        for name in sysfs.list(hub.path):
            port = _find_hub_port(name, buses) if "-port" in name else None
            if port is None:
                continue
            ports[name] = port
            types[name] = sysfs.read(f"{hub.path}/{name}/connect_type")
            peer = None if name in peers else sysfs.link(f"{hub.path}/{name}/peer")
            if peer is not None:  # each names the other: one is asked
                peers[name] = peer
                peers[peer] = name
    sockets = []
    for name, port in ports.items():
        peer = peers.get(name)
        if peer is None or peer not in ports or peers[peer] != name:
            sockets.append(UsbSocket((port,), types[name]))
        elif _order_of(port) < _order_of(ports[peer]):  # each pair once, USB 2 first
            connect_type = _known(types[name], types[peer])
            sockets.append(UsbSocket((port, ports[peer]), connect_type))
    return tuple(sorted(sockets, key=lambda socket: _order_of(socket.ports[0])))


def _known(first: str | None, second: str | None) -> str | None:
    """Return the one that says something, for the firmware may describe one speed only."""
    nothing = (None, "unknown")
    return second if first in nothing and second not in nothing else first


def _find_hub_port(name: str, buses: dict[str, _Bus]) -> UsbPort | None:
    """Return the place that a port's folder ``3-4-port1`` or ``usb3-port1`` means."""
    hub, found, number = name.rpartition("-port")
    if not found:
        return None
    bus, _, chain = hub.removeprefix("usb").partition("-")
    return _find_place(buses.get(bus), f"{chain}.{number}" if chain else number)
