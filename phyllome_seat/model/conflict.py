"""What does not go together: seats with seats, a seat with its IOMMU groups or with the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.claim import Claim, Refusals
from phyllome_seat.model.consent import Consent, render_consent
from phyllome_seat.model.devices import Host, PciDevice
from phyllome_seat.model.groups import find_blockers
from phyllome_seat.model.match import label
from phyllome_seat.model.protect import Protected, Reason, protect
from phyllome_seat.model.seat import DeviceMatch
from phyllome_seat.model.value import replace

_WAYS_OUT = {
    "disk": "name another controller, or move the disk: no word gives it up",
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
                both = _both(other, other.functions[address], claim, refusals.file)
                refusals.add(f"{place} {both}: give it to one of them", line)
        for port, line in claim.ports.items():
            other = ports.setdefault(port, claim)
            if other is not claim:
                both = _both(other, other.ports[port], claim, refusals.file)
                refusals.add(f"{port} {both}: give it to one of them", line)
    for claim in claims:
        _refuse_nested(claim, functions, refusals)
    _refuse_shared_devices(claims, refusals)


def _both(one: Claim, line: int, other: Claim, file: str) -> str:
    where = f" ({file}:{line})" if line else ""
    return f"is named by seat {one.seat.name}{where} and by seat {other.seat.name}"


def _refuse_nested(claim: Claim, functions: dict[PciAddress, Claim], refusals: Refusals) -> None:
    """Note every port of a seat on a controller that another seat gets whole.

    A port behind another seat's hub is that seat's own: the nearer rule wins, as `owner` says.
    """
    for port, line in claim.ports.items():
        around = functions.get(port.controller)
        if around is not None and around is not claim:
            what = f"is on {port.controller}, which goes whole to seat {around.seat.name}"
            refusals.add(f"{port} of seat {claim.seat.name} {what}: name another port", line)


def _refuse_shared_devices(claims: tuple[Claim, ...], refusals: Refusals) -> None:
    """Note every identity that two seats name alike, plugged in or not."""
    named: dict[DeviceMatch, tuple[Claim, DeviceMatch]] = {}
    for claim in claims:
        for match in (m for m in claim.seat.usb if isinstance(m, DeviceMatch)):
            other, first = named.setdefault(replace(match, line=0), (claim, match))
            if other is not claim:
                serial = f" (serial {match.serial})" if match.serial else ""
                both = _both(other, first.line, claim, refusals.file)
                refusals.add(f"{match.id}{serial} {both}: give it to one of them", match.line)


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
    consent: Consent,
    refusals: Refusals,
    *,
    plugged: bool = True,
) -> dict[str, tuple[str, ...]]:
    """Note all that the host needs; return by seat what `consent` gives up, in sentences.

    With `plugged` false, what is plugged into a seat's ports is not looked at.
    """
    given_up: dict[str, tuple[str, ...]] = {}
    for claim in claims:
        name = claim.seat.name
        for place, line, reason in find_needed(host, claim, protected):
            if isinstance(place, UsbPort) and not plugged:
                continue
            what = str(place) if isinstance(place, UsbPort) else label(host.by_address[place])
            if consent.covers(host, place, reason):
                given_up[name] = (*given_up.get(name, ()), f"{what} is given up: {_words(reason)}")
            else:
                way_out = _way_out(host, place, reason, protected)
                if line_of := render_consent(host, place, reason):
                    way_out += f", or write `{line_of}` under `host: gives-up:`"
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


def find_needed(
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
