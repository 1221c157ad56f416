"""What keeps VFIO from a card, and what the card will not do afterwards."""

from __future__ import annotations

from collections.abc import Collection

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.check_card_models import find_troubles, has_no_bus_reset
from phyllome_seat.model.check_settings import evicts_boot_picture
from phyllome_seat.model.check_slot import find_better_slots
from phyllome_seat.model.claim import Refusals, find_claim
from phyllome_seat.model.devices import Host, PciDevice
from phyllome_seat.model.finding import Finding
from phyllome_seat.model.groups import find_blockers
from phyllome_seat.model.platform import Platform
from phyllome_seat.model.seat import Wish

_VGA = 0x0300
_MIB, _GIB = 1 << 20, 1 << 30
_TRY = "start and stop its guest twice in a row before you rely on it"


def check_cards(host: Host, wish: Wish) -> list[Finding]:
    """Return what is to be said of each card, of those alone that the seats want where they do."""
    claimed = _find_claimed(host, wish)
    wanted = {seat.gpu.address for seat in wish.seats if seat.gpu}
    found = []
    for card in host.pci:
        if card.is_gpu and (not wanted or card.address in wanted):
            found += _check_group(host, card, claimed, "error" if wanted else "warning")
            found += _check_reset(host, card)
            found += _check_functions(card, "error" if wanted else "warning")
            if host.platform:
                found += _check_picture(host.platform, card, is_wanted=bool(wanted))
                found += _check_bars(host.platform, card)
    return found + _check_controllers(host, claimed, wanted)


def _find_claimed(host: Host, wish: Wish) -> frozenset[PciAddress]:
    """Return all that leaves with the cards, to whichever seat: `assign` says what is split."""
    unsaid = Refusals(wish.file)
    claims = (find_claim(host, seat, unsaid, plugged=False) for seat in wish.seats)
    return frozenset(address for claim in claims for address in claim.functions)


def _name(card: PciDevice) -> str:
    return f"{card.address} ({card.name})"


def _check_group(
    host: Host, card: PciDevice, claimed: Collection[PciAddress], severity: str
) -> list[Finding]:
    """Say which function stands in the way, and which slot would be better."""
    own = {function.address for function in host.functions_of(card.address)}
    group = card.iommu_group
    folder = f"/sys/kernel/iommu_groups/{group}"
    blockers = find_blockers(host, card.address, own.union(claimed))
    better = find_better_slots(host, card) if blockers else ""
    fix = f"put the card into another slot: {better or 'one wired to the processor'}"
    found = [
        Finding(
            severity,
            _name(card),
            f"shares IOMMU group {group} with {other.address} ({other.name})",
            f"{folder}/devices",
            fix,
        )
        for other in blockers
    ]
    return found + _check_regions(host, card, severity)


def _check_controllers(
    host: Host, claimed: Collection[PciAddress], cards: Collection[PciAddress]
) -> list[Finding]:
    """Say of USB controllers that seats want what is said of cards' groups, of each group once."""
    said = {host.by_address[card].iommu_group for card in cards if card in host.by_address}
    found = []
    for device in host.pci:
        is_wanted = device.is_usb_controller and device.address in claimed
        if is_wanted and device.iommu_group not in said:
            said.add(device.iommu_group)
            found += _check_regions(host, device, "error")
    return found


def _check_regions(host: Host, device: PciDevice, severity: str) -> list[Finding]:
    """Say that the kernel lets nobody else map the memory of its group: iommu.c, require_direct."""
    group = device.iommu_group
    if host.platform is None or group not in host.platform.direct_groups:
        return []
    words = "the firmware keeps memory for it, and VFIO will refuse it"
    fix = "look in the firmware's setup for a switch, or for its update"
    evidence = f"/sys/kernel/iommu_groups/{group}/reserved_regions: direct"
    return [Finding(severity, _name(device), words, evidence, fix)]


def _check_reset(host: Host, card: PciDevice) -> list[Finding]:
    """Say what is known of its reset: what the kernel found, and what others report.

    A function of several is not reset by its bus alone, since that resets its neighbours
    (``pci_parent_bus_reset``); VFIO resets them together where it has them all
    (``vfio_pci_dev_set_try_reset``), so no method of its own is no trouble on a bus of its own.
    """
    found = []
    evidence = f"/sys/bus/pci/devices/{card.address}/reset_method"
    if card.reset_methods is not None and host.iommu.groups and not _is_reset(host, card):
        words = "cannot be reset: its guest may start once for each boot of the host"
        held = " ".join(card.reset_methods) or "empty"
        found.append(Finding("warning", _name(card), words, f"{evidence}: {held}", _TRY))
    elif card.reset_methods in ((), ("bus",)) and host.iommu.groups:
        words = "is reset with its whole bus only, which not every card survives"
        found.append(Finding("note", _name(card), words, evidence, _TRY))
    return found + [
        Finding("note", _name(card), trouble.words, trouble.source, trouble.fix)
        for trouble in find_troubles(card.id)
    ]


def _is_reset(host: Host, card: PciDevice) -> bool:
    methods = [method for method in card.reset_methods or () if method != "bus"]
    if methods:
        return True
    own = {function.address for function in host.functions_of(card.address)}
    neighbours = {d.address for d in host.pci if d.parent == card.parent}
    return card.parent is not None and neighbours <= own and not has_no_bus_reset(card.id)


def _check_functions(card: PciDevice, severity: str) -> list[Finding]:
    """Say that a card has parts given away: its driver would take them back with the card."""
    if not card.vfs:
        return []
    path = f"/sys/bus/pci/devices/{card.address}/sriov_numvfs"
    words = f"{card.vfs} virtual functions of it are on, and go when the card goes to a seat"
    fix = f"echo 0 | sudo tee {path}"
    return [Finding(severity, _name(card), words, f"{path}: {card.vfs}", fix)]


def _check_picture(platform: Platform, card: PciDevice, *, is_wanted: bool) -> list[Finding]:
    """Say that the firmware's picture is still in its memory, where VFIO does not take it out.

    Of a VGA card the kernel's vfio-pci does, since Linux 6.0: drivers/vfio/pci/vfio_pci_core.c.
    """
    drivers = [frame.driver for frame in platform.framebuffers if frame.address == card.address]
    if not drivers:
        return []
    evidence, subject = f"/proc/iomem: {drivers[0]}", _name(card)
    fix = "choose another card for the boot picture in the firmware's setup"
    if card.class_code >> 8 == _VGA and evicts_boot_picture(platform) and card.driver is None:
        words = "shows the boot picture, and goes dark when its seat takes it"
        return [Finding("note", subject, words, evidence, fix)]
    if card.driver == "vfio-pci" or (is_wanted and card.class_code >> 8 != _VGA):
        words = "the boot framebuffer keeps its memory, and its guest will not get all of it"
        return [Finding("warning", subject, words, evidence, fix)]
    return []


def _check_bars(platform: Platform, card: PciDevice) -> list[Finding]:
    found = []
    for bar in platform.bars:
        if bar.address == card.address and bar.size_bytes < bar.largest_bytes:
            now, most = _size(bar.size_bytes), _size(bar.largest_bytes)
            words = f"shows {now} of its memory at a time and could show {most} (resizable BAR)"
            evidence = f"/sys/bus/pci/devices/{card.address}/resource{bar.number}_resize"
            fix = "for games that want it, switch Above 4G Decoding and Re-Size BAR on in the "
            fix += "firmware's setup: guests see what the host sees"
            found.append(Finding("note", _name(card), words, evidence, fix))
    return found


def _size(size_bytes: int) -> str:
    if size_bytes >= _GIB:
        return f"{size_bytes // _GIB} GiB"
    return f"{size_bytes // _MIB} MiB"
