"""What does not go together with guests: their names, what other guests hold, memory and CPUs."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from functools import cached_property

from phyllome_seat.model.address import PciAddress, UsbId, UsbPort
from phyllome_seat.model.claim import Claim, Refusals
from phyllome_seat.model.devices import Guest, Host, Hostdev, UsbDevice
from phyllome_seat.model.follow import Followed
from phyllome_seat.model.guest_holds import find_block
from phyllome_seat.model.match import label
from phyllome_seat.model.match_usb import name_usb
from phyllome_seat.model.seat import Seat, Wish

_OURS = "ua-phyllome-"
_IN_USE = ("/", "swap", "EFI")  # of `Mount.point`; a volume that is active is free to be given


def refuse_names(host: Host, wish: Wish, refusals: Refusals) -> None:
    """Note guests that two seats share, that do not exist, or that exist and are not ours."""
    seats: dict[str, Seat] = {}
    disks: dict[str, Seat] = {}
    known = {guest.name: guest for guest in host.guests_known}
    for seat in wish.seats:
        name = seat.guest_name
        if name is None:
            continue
        other = seats.setdefault(name, seat)
        if other is not seat:
            both = f"is the guest of seat {other.name} and of seat {seat.name}"
            refusals.add(f"{name} {both}: give each its own", seat.guest_line or seat.line)
        elif host.guests is not None:
            _refuse_name(seat, name, known, refusals)
        path = seat.create.disk_path if seat.create else None
        if path:
            _refuse_disk_in_use(host, seat, path, refusals)
        if path and disks.setdefault(path, seat) is not seat:
            both = f"is the disk of seat {disks[path].name} and of seat {seat.name}"
            refusals.add(f"{path} {both}: give each its own", seat.guest_line or seat.line)


def _refuse_disk_in_use(host: Host, seat: Seat, path: str, refusals: Refusals) -> None:
    """Note a disk of the host's, named by the kernel's or the volume's name, that it uses.

    Where a link leads is not known here: `apply` looks at that, and whoever has it open.
    """
    block = find_block(path, host)
    if block is None:
        return
    below = {each.name: each.below for each in host.blocks}
    for mount in host.mounts:
        is_volume = block.name == mount.device and not mount.point.startswith(_IN_USE)
        if not is_volume and block.name in Followed(mount.device, below).found:
            words = f"{path} holds {mount.point} ({mount.evidence}), so it can be no guest's disk"
            line = seat.guest_line or seat.line
            refusals.add(f"{words}: name another for seat {seat.name}", line)
            return


def _refuse_name(seat: Seat, name: str, known: dict[str, Guest], refusals: Refusals) -> None:
    line = seat.guest_line or seat.line
    if seat.create is None and name not in known:
        near = get_close_matches(name, known, n=1) or sorted(known)[:5]
        there = f"did you mean {' or '.join(near)}?" if near else "there is none at all"
        refusals.add(
            f"{name} is no libvirt domain, so seat {seat.name} has no guest: {there}", line
        )
    if seat.create and name in known and not known[name].created:
        way_out = f"choose another name, or write guest: {{domain: {name}}}"
        refusals.add(f"{name} is a libvirt domain that is not ours to create: {way_out}", line)
    if seat.create and name in known and known[name].created and known[name].xml:
        from phyllome_seat.model.guest_size import find_unchangeable

        for sentence in find_unchangeable(known[name].xml, seat.create):
            refusals.add(sentence, line)


def refuse_held(
    host: Host, claims: tuple[Claim, ...], refusals: Refusals, *, plugged: bool = True
) -> None:
    """Note every function and USB device that another domain has: libvirt would accept both.

    What a running domain of somebody else holds is among what `protect` finds.
    """
    functions = {address: claim for claim in claims for address in claim.functions}
    ports = {port: claim for claim in claims for port in claim.all_ports}
    there = _Plugged(host)
    for guest in host.guests_known:
        for hostdev in guest.hostdevs:
            if not _counts(guest, hostdev):
                continue
            if hostdev.pci is not None:
                _refuse_function(host, functions.get(hostdev.pci), guest, hostdev, refusals)
                continue
            for device in there.meant_by(hostdev) if plugged else ():
                _refuse_usb(ports, device, guest, hostdev, refusals)


def _counts(guest: Guest, hostdev: Hostdev) -> bool:
    """Whether a hostdev is in the way: ours only while its guest runs, else we take it out."""
    return _is_ours(hostdev) == (hostdev.live and guest.is_running)


def _is_ours(hostdev: Hostdev) -> bool:
    return (hostdev.alias or "").startswith(_OURS)


def _refuse_function(
    host: Host, claim: Claim | None, guest: Guest, hostdev: Hostdev, refusals: Refusals
) -> None:
    if claim is None or hostdev.pci is None:
        return
    line = claim.functions[hostdev.pci]
    what = f"{label(host.by_address[hostdev.pci])} of seat {claim.seat.name}"
    if claim.seat.guest_name != guest.name:
        refusals.add(f"{what} {_way_out(guest, hostdev)}", line)
    elif not hostdev.live and (element := _not_adopted(guest, hostdev.pci)):
        there = f"is in the definition of its guest {guest.name} as {element}"
        way_out = f"take it out there (virsh edit {guest.name}), `apply` puts it in"
        refusals.add(f"{what} {there}, which is not taken over: {way_out}", line)


def _not_adopted(guest: Guest, address: PciAddress) -> str | None:
    """Return the element, as XML begins it, that gives the guest a function in another way than a
    ``hostdev``: it has its own addresses, driver and boot order, which a ``hostdev`` has not.
    """
    from phyllome_seat.model.domain_xml import parse_domain
    from phyllome_seat.model.guest import pci_source

    devices = parse_domain(guest.xml).findall("devices/*") if guest.xml else []
    found = (d for d in devices if d.tag != "hostdev" and pci_source(d) == address)
    device = next(found, None)
    return None if device is None else f"<{device.tag} type='{device.get('type', '')}'>"


class _Plugged:
    """The USB devices plugged in now, by both ways in which a domain names one."""

    def __init__(self, host: Host) -> None:
        self._now = [device for device in host.usb if not device.remembered]

    @cached_property  # most domains name no USB device: nothing is sorted for them
    def by_number(self) -> dict[tuple[int, int], UsbDevice]:
        return {(device.bus, device.number): device for device in self._now}

    @cached_property
    def by_id(self) -> dict[UsbId, list[UsbDevice]]:
        by_id: dict[UsbId, list[UsbDevice]] = {}
        for device in self._now:
            by_id.setdefault(device.id, []).append(device)
        return by_id

    def meant_by(self, hostdev: Hostdev) -> list[UsbDevice]:
        """Return the devices that a hostdev may be; by id, any of the same."""
        if hostdev.usb_bus is None or hostdev.usb_number is None:
            return self.by_id.get(hostdev.usb_id, []) if hostdev.usb_id else []
        device = self.by_number.get((hostdev.usb_bus, hostdev.usb_number))
        return [device] if device else []


def _refuse_usb(
    ports: dict[UsbPort, Claim],
    device: UsbDevice,
    guest: Guest,
    hostdev: Hostdev,
    refusals: Refusals,
) -> None:
    place = device.port
    while place and place not in ports:
        place = place.parent
    claim = ports[place] if place else None
    if place and claim and claim.seat.guest_name != guest.name:
        what = f"{name_usb(device)} of seat {claim.seat.name} {_way_out(guest, hostdev)}"
        refusals.add(what, claim.ports.get(place, claim.seat.line))


def _way_out(guest: Guest, hostdev: Hostdev) -> str:
    if _is_ours(hostdev):
        return f"is in guest {guest.name}, which is running: `phyllome-seat stop {guest.seat}`"
    return f"is in the definition of guest {guest.name}: take it out (virsh edit {guest.name})"


def refuse_shortage(host: Host, wish: Wish, refusals: Refusals) -> None:
    """Note where the guests to create are larger than this PC."""
    created = [(seat, seat.create) for seat in wish.seats if seat.create]
    asked = sum(guest.memory_bytes for _, guest in created)
    kept = wish.host_memory_bytes or 0
    if host.memory and asked + kept > host.memory.total_kib * 1024:
        words = f"the guests are to have {_gib(asked)} GiB"
        words += f" and the host {_gib(kept)} GiB" if kept else ""
        there = f"this PC has {_gib(host.memory.total_kib * 1024)} GiB"
        refusals.add(
            f"{words}, but {there}: make `memory` smaller", created[0][0].line if created else 0
        )
    cpus = Counter(cpu.online for cpu in host.cpus)[True]
    free = cpus - (wish.host_cpus or 0)
    for seat, guest in created:
        if host.cpus and guest.cpus > free:
            kept_words = f", of which the host keeps {wish.host_cpus}" if wish.host_cpus else ""
            sentence = f"guest {guest.name} is to have {guest.cpus} CPUs, but this PC has {cpus}"
            refusals.add(f"{sentence}{kept_words}: make `cpus` smaller", seat.line)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.3g}"
