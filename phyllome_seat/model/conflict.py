"""What does not go together: seats with seats, a seat with its IOMMU groups or with the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.claim import Claim, Refusals
from phyllome_seat.model.devices import Host, PciDevice
from phyllome_seat.model.groups import find_blockers
from phyllome_seat.model.match import label
from phyllome_seat.model.match_usb import name_usb
from phyllome_seat.model.protect import Protected, Reason, protect

_WAYS_OUT = {
    "disk": "name another controller, or move the disk",
    "network": "name another, or let the host use another network card",
    "console": "name another, or give the host's screen up by `console: none`",
    "keyboard": "name another, or give the host's last keyboard up by `console: none`",
    "guest": "stop that guest and take the device out of it",
}


def refuse_shared(host: Host, claims: tuple[Claim, ...], refusals: Refusals) -> None:
    """Note every function, port and device that two seats claim."""
    functions: dict[PciAddress, Claim] = {}
    ports: dict[UsbPort, Claim] = {}
    for claim in claims:
        for address, line in claim.functions.items():
            other = functions.setdefault(address, claim)
            if other is not claim:
                place = label(host.by_address[address])
                refusals.add(f"{place} {_both(other, claim)}: give it to one of them", line)
        for port, line in claim.ports.items():
            other = ports.setdefault(port, claim)
            if other is not claim:
                refusals.add(f"{port} {_both(other, claim)}: give it to one of them", line)
    for claim in claims:
        _refuse_nested(claim, functions, ports, refusals)
    _refuse_shared_devices(claims, functions, ports, refusals)


def _both(one: Claim, other: Claim) -> str:
    return f"is named by seat {one.seat.name} and by seat {other.seat.name}"


def _refuse_nested(
    claim: Claim,
    functions: dict[PciAddress, Claim],
    ports: dict[UsbPort, Claim],
    refusals: Refusals,
) -> None:
    """Note every port of a seat that lies inside what another seat claims."""
    for port, line in claim.ports.items():
        around = functions.get(port.controller)
        if around not in (None, claim):
            what = f"is on {port.controller}, which goes whole to seat {_name(around)}"
            refusals.add(f"{port} of seat {claim.seat.name} {what}: name another port", line)
        hub = _find_around(port, ports, claim)
        if hub:
            what = f"is behind {hub}, which goes to seat {ports[hub].seat.name} with all behind it"
            refusals.add(f"{port} of seat {claim.seat.name} {what}: name another port", line)


def _name(claim: Claim | None) -> str:
    return claim.seat.name if claim else ""


def _find_around(port: UsbPort, ports: dict[UsbPort, Claim], claim: Claim) -> UsbPort | None:
    """Return the nearest hub's port above `port` that another seat than `claim`'s has."""
    above = port.parent
    while above:
        if above in ports and ports[above] is not claim:
            return above
        above = above.parent
    return None


def _refuse_shared_devices(
    claims: tuple[Claim, ...],
    functions: dict[PciAddress, Claim],
    ports: dict[UsbPort, Claim],
    refusals: Refusals,
) -> None:
    """Note every device that two seats name, or that is plugged in where another seat is."""
    named: dict[str, Claim] = {}
    for claim in claims:
        for match, device in claim.devices:
            other = named.setdefault(device.sysname, claim)
            what = name_usb(device)
            if other is not claim:
                refusals.add(f"{what} {_both(other, claim)}: give it to one of them", match.line)
            if device.port is None:
                continue
            there = ports.get(device.port) or functions.get(device.port.controller)
            around = _find_around(device.port, ports, claim)
            there = there or (ports[around] if around else None)
            if there not in (None, claim):
                sentence = f"{what} of seat {claim.seat.name} is plugged in at seat {_name(there)}"
                refusals.add(
                    f"{sentence}: plug it in elsewhere, or give it to that seat", match.line
                )


def refuse_groups(
    host: Host, claims: tuple[Claim, ...], protected: Protected, refusals: Refusals
) -> None:
    """Note every IOMMU group that does not leave as one, to one seat."""
    owners = {address: claim for claim in claims for address in claim.functions}
    if owners and not host.groups:
        refusals.add(
            "this PC has no IOMMU group, so no PCI device can go to a seat: turn on VT-d or AMD-Vi "
            "in the firmware, and the IOMMU on the kernel's command line"
        )
        return
    for claim in claims:
        done: set[int] = set()
        for address, line in claim.functions.items():
            device = host.by_address[address]
            group = device.iommu_group
            if group is None:
                sentence = f"{label(device)} has no IOMMU group, so it cannot go to seat"
                refusals.add(f"{sentence} {claim.seat.name}: name another", line)
            elif group not in done and claim.is_whole:
                done.add(group)
                _refuse_group(host, device, claim, owners, protected=protected, refusals=refusals)


def _refuse_group(
    host: Host,
    device: PciDevice,
    claim: Claim,
    owners: dict[PciAddress, Claim],
    *,
    protected: Protected,
    refusals: Refusals,
) -> None:
    line = claim.functions[device.address]
    shares = f"{label(device)} shares IOMMU group {device.iommu_group} with"
    blockers = find_blockers(host, device.address, owners)
    if blockers:
        way_out = _group_way_out(host, blockers, claim.seat.name, protected)
        refusals.add(f"{shares} {_listed(map(label, blockers))}: {way_out}", line)
    # A group is opened by one guest at a time: vfio_group_open() answers -EBUSY to a second.
    elsewhere = [
        f"{label(member)} of seat {owners[member.address].seat.name}"
        for member in host.group_of(device.address)
        if member.address not in claim.functions and member.address in owners
    ]
    if elsewhere:
        refusals.add(f"{shares} {_listed(elsewhere)}: give all of them to one seat", line)


def _group_way_out(
    host: Host, blockers: tuple[PciDevice, ...], seat: str, protected: Protected
) -> str:
    reasons = [reason for b in blockers for reason in protected.pci.get(b.address, ())]
    if any(not reason.waivable for reason in reasons):
        return "the host needs that, so both stay: name another"
    if others := [str(b.address) for b in blockers if not _can_go(host, b)]:
        which = _listed(others)
        return f"no seat can have {which}: name another, or take {which} from its driver first"
    if len(blockers) == 1:
        return f"both go to seat {seat}, or neither"
    return f"all go to seat {seat}, or none"


def _can_go(host: Host, device: PciDevice) -> bool:
    """Whether a seat file can name a function: a USB controller, or what is on a GPU's board."""
    return device.is_usb_controller or any(d.is_gpu for d in host.functions_of(device.address))


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def find_protected(host: Host, claims: tuple[Claim, ...]) -> Protected:
    """Return what the host needs, seen together with all that the seats claim."""
    leaving = tuple(address for claim in claims for address in claim.functions)
    ports = tuple(port for claim in claims for port in claim.all_ports)
    return protect(host, leaving, ports)


def refuse_protected(
    host: Host,
    claims: tuple[Claim, ...],
    protected: Protected,
    console: str,
    refusals: Refusals,
) -> dict[str, tuple[str, ...]]:
    """Note all that the host needs; return by seat what `console: none` gives up, in sentences."""
    given_up: dict[str, tuple[str, ...]] = {}
    for claim in claims:
        name = claim.seat.name
        for place, line, reason in _needed(host, claim, protected):
            what = str(place) if isinstance(place, UsbPort) else label(host.by_address[place])
            if reason.waivable and console == "none":
                given_up[name] = (*given_up.get(name, ()), f"{what} is given up: {_words(reason)}")
            else:
                way_out = _way_out(host, place, reason, protected)
                sentence = f"{what} cannot go to seat {name}: {_words(reason)}"
                refusals.add(f"{sentence}: {way_out}", line)
    return given_up


def _way_out(host: Host, place: PciAddress | UsbPort, reason: Reason, protected: Protected) -> str:
    """Return what to do instead; of a controller that a keyboard keeps, other sockets may go."""
    way_out = _WAYS_OUT.get(reason.kind, "name another")
    if reason.kind != "keyboard" or isinstance(place, UsbPort):
        return way_out
    free = [
        port.ports[0]
        for socket in host.sockets
        if not any(n == port or n.is_below(port) for n in protected.usb for port in socket.ports)
        for port in socket.ports
        if (port.controller, port.speed, len(port.ports)) == (place, "usb2", 1)
    ]
    return f"name ports of it (usb2: {_listed(map(str, free))}), or {way_out}" if free else way_out


def _needed(
    host: Host, claim: Claim, protected: Protected
) -> Iterator[tuple[PciAddress | UsbPort, int, Reason]]:
    """Yield what a seat claims although the host needs it: its place, its line, a reason.

    What the seat's own guest holds already is adopted.
    """
    own = {f"domain {g.uuid}" for g in host.guests_known if g.name == claim.seat.guest_name}
    said: set[tuple[int | None, Reason]] = set()
    for address, line in claim.functions.items():
        device = host.by_address[address]
        for reason in protected.pci.get(address, ()):
            # What one member of a group is needed for, all are: once is enough.
            once = device.iommu_group, reason
            if reason.evidence not in own and once not in said:
                said.add(once)
                yield address, line, reason
    for port in claim.all_ports:
        line = claim.ports.get(port, claim.seat.line)
        for place, reasons in protected.usb.items():
            if place == port or place.is_below(port):
                yield from ((place, line, r) for r in reasons if r.evidence not in own)


def _words(reason: Reason) -> str:
    return f"{reason.words} ({reason.evidence})" if reason.evidence else reason.words
