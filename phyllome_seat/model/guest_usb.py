"""A USB device for a running guest, as XML that names it as tightly as libvirt can.

Its alias says whose it is and where it was plugged in:
``ua-phyllome-left-usb2_0000_00_14_0_4_1-1764100000_3_1a2b3c4d`` is seat left's, from port 4.1 of
controller 0000:00:14.0, USB 2. The place is in it because the running guest's XML knows only a
number, which the next device may have. The generation is when it was attached, in seconds of Unix
time, or as many later as it takes to be new. Then comes to which run of the guest: libvirt's third
of this boot of the host.
"""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress, UsbPort, parse_port_chain
from phyllome_seat.model.devices import Guest, Hostdev, UsbDevice
from phyllome_seat.model.domain_xml import ALIAS_PREFIX
from phyllome_seat.model.errors import AddressError
from phyllome_seat.model.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def render_usb(device: UsbDevice, alias: str, bus: int | None = None) -> str:
    """Return the device by identity and by the number it has at this moment, for a bus of the guest
    or for libvirt's choice.

    Both together: the identity alone fails with twins, the number alone may be another device by
    now. Decimal, because libvirt reads a leading 0 as octal; vendor 0 is no identity for libvirt
    ("vendor cannot be 0", virDomainHostdevSubsysUSBDefParseXML).
    """
    identity = (
        f"<vendor id='0x{device.id.vendor:04x}'/><product id='0x{device.id.product:04x}'/>"
        if device.id.vendor
        else ""
    )
    place = "" if bus is None else f"<address type='usb' bus='{bus}'/>"
    return (
        "<hostdev mode='subsystem' type='usb'><source>"
        f"{identity}<address bus='{device.bus}' device='{device.number}'/>"
        f"</source><alias name='{alias}'/>{place}</hostdev>"
    )


@dataclass(frozen=True, slots=True)
class UsbAlias:
    """What an alias of ours says: whose, where it was plugged in, when it was attached (Unix), and
    to which run of the guest (`Guest.run`).
    """

    seat: str
    port: UsbPort
    since_s: int
    run: str | None = None

    def __str__(self) -> str:
        place = "_".join([str(self.port.controller), *map(str, self.port.ports)])
        place = place.replace(":", "_").replace(".", "_")
        run = "" if self.run is None else f"_{self.run}"
        return f"{ALIAS_PREFIX}{self.seat}-{self.port.speed}_{place}-{self.since_s}{run}"


def next_alias(guest: Guest, seat: str, port: UsbPort, now_s: float) -> str:
    """Return an alias for what the seat has at this port that no live device has.

    A device that was pulled out keeps its alias in the guest until it is detached, and libvirt
    refuses one that is there ("non unique alias"): each attach is a generation of its own.
    """
    taken = {hostdev.alias for hostdev in guest.hostdevs}
    generation = int(now_s)
    while (alias := str(UsbAlias(seat, port, generation, guest.run))) in taken:
        generation += 1
    return alias


def parse_alias(alias: str | None) -> UsbAlias | None:
    """Return what an alias of ours says, None for any other text."""
    if alias is None or not alias.startswith(ALIAS_PREFIX):
        return None
    parts = alias.removeprefix(ALIAS_PREFIX).rsplit("-", 2)
    if len(parts) != 3:
        return None
    since, _, run = parts[2].partition("_")
    if not (since.isascii() and since.isdigit()) or run.strip("0123456789abcdef_"):
        return None
    match parts[1].split("_"):
        case ["usb2" | "usb3" as speed, domain, bus, slot, function, *chain]:
            try:
                controller = PciAddress.parse(f"{domain}:{bus}:{slot}.{function}")
                port = UsbPort(controller, speed, parse_port_chain(".".join(chain)))
            except AddressError:
                return None
            return UsbAlias(parts[0], port, int(since), run or None)
    return None


def is_entry_of(hostdev: Hostdev, device: UsbDevice) -> bool:
    """Return whether a live entry means this device: number, identity, and place where it says."""
    said = parse_alias(hostdev.alias)
    return (
        (hostdev.usb_bus, hostdev.usb_number) == (device.bus, device.number)
        and hostdev.usb_id in (None, device.id)
        and (said is None or said.port == device.port)
    )


def has_usb(guest: Guest, device: UsbDevice) -> bool:
    """Return whether the running guest has the device that has this number at this moment."""
    return any(h.live and is_entry_of(h, device) for h in guest.hostdevs)


def has_alias(guest: Guest, alias: str) -> bool:
    """Return whether the running guest has a device under this alias."""
    return any(h.live and h.alias == alias for h in guest.hostdevs)


def why_not(device: UsbDevice) -> str | None:
    """Return why a device must not be attached, None when it may be.

    libvirt would attach a hub, and all behind it would vanish from the host.
    """
    if device.remembered:
        return "is not plugged in now"
    return "is a hub: what is behind it is attached, not the hub" if device.is_hub else None


def find_left_behind(
    guest: Guest,
    usb: Iterable[UsbDevice],
    guests: Iterable[Guest],
    seats: Collection[UsbDevice] = (),
) -> tuple[UsbDevice, ...]:
    """Return what we had given to a guest that has ended since, or is its seat's by the seat file,
    and none of these guests has.
    """
    ours = [hostdev for hostdev in guest.hostdevs if hostdev.live and parse_alias(hostdev.alias)]
    running = [other for other in guests if other.is_running]
    return tuple(
        device
        for device in usb
        if not device.remembered
        and (device in seats or any(is_entry_of(hostdev, device) for hostdev in ours))
        and not any(has_usb(other, device) for other in running)
    )
