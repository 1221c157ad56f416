"""What must never leave the host, and why, from the Host alone.

The reasons follow the block graph down from every mount, the network graph down from every use,
and are united over IOMMU groups: a function is as untouchable as the most needed one in its group.
Where a graph cannot be followed to its end, everything it could end in is needed.
"""

from __future__ import annotations

from collections.abc import Collection

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import Host, PciDevice
from phyllome_seat.model.keyboards import find_last_keyboards, placed_inputs
from phyllome_seat.model.need import Needs, Protected, Reason, has_left
from phyllome_seat.model.need_uses import need_disks, need_guests, need_networks
from phyllome_seat.model.value import replace

__all__ = ["Protected", "Reason", "can_show", "protect"]

# The chipset's functions, base and sub class: PCI Code and ID Assignment Specification 1.11,
# section 1
_CHIPSET = {
    0x0800: "an interrupt controller",
    0x0801: "a DMA controller",
    0x0802: "a timer",
    0x0803: "a clock",
    0x0806: "the IOMMU",
    0x0C05: "the SMBus",
}


def protect(
    host: Host, leaving: tuple[PciAddress, ...] = (), ports: tuple[UsbPort, ...] = ()
) -> Protected:
    """Return what `host` needs, seen together with what is about to leave it.

    The last keyboard and the last screen depend on what leaves: with nothing leaving, no keyboard
    but an only one is the last.
    """
    needs = Needs(host)
    need_disks(host, needs)
    need_networks(host, needs)
    _need_screen(host, frozenset(leaving), needs)
    _need_keyboards(host, leaving, ports, needs)
    need_guests(host, needs)
    _need_groups(host, needs)
    _need_bridges(host, needs)
    return Protected(
        {address: tuple(needs.pci[address]) for address in sorted(needs.pci)},
        {port: tuple(needs.usb[port]) for port in sorted(needs.usb)},
    )


def _need_screen(host: Host, leaving: Collection[PciAddress], needs: Needs) -> None:
    """Need the card that shows the console, and the last that could in its stead.

    A console that moves to another card when its own leaves is one that nobody may find: the
    person at the PC says so by `console: none`, or lets the firmware start on the other card.
    """
    cards = [device for device in host.pci if device.is_gpu and can_show(host, device)]
    kept = [card for card in cards if card.address not in leaving]
    last = kept or cards if len(kept) < 2 else []
    for card in cards:
        if card.address == host.console.gpu:
            words, lost = "shows the host's console", "the screen its console is on"
        elif card in last:
            words = "is the last card that can show the host's console"
            lost = "the last screen it could have"
        else:
            continue
        evidence = f"/sys/bus/pci/devices/{card.address}/boot_vga"
        evidence = evidence if card.boot_vga else "/sys/class/drm"
        reason = Reason("console", words, evidence, lost, waivable=True, by_name=True)
        needs.add((card.address,), None, reason)


def can_show(host: Host, card: PciDevice) -> bool:
    """Whether a card shows the host's console, or has a driver of the host and a connector."""
    if has_left(card):
        return False
    if card.address == host.console.gpu:
        return True
    return card.driver is not None and card.address in host.with_connectors


def _need_keyboards(
    host: Host, leaving: Collection[PciAddress], ports: Collection[UsbPort], needs: Needs
) -> None:
    """Need every place whose leaving would leave no keyboard to type on."""
    keyboards, pci, usb = find_last_keyboards(placed_inputs(host), leaving, ports)
    if not (pci or usb):
        return
    names = list(dict.fromkeys(f"{keyboard.name} ({keyboard.node})" for keyboard in keyboards))
    lost = f"last keyboard, {names[0]}"
    words = f"has the host's {lost}"
    if len(names) > 1:
        lost = f"last keyboards, {', '.join(names)}"
        words = f"has one of the host's {lost}"
    evidence = f"/sys/class/input/{keyboards[0].node}"
    reason = Reason("keyboard", words, evidence, f"its {lost}", waivable=True, by_name=True)
    for address in pci:
        needs.add((address,), None, reason)
    for port in usb:
        needs.usb.setdefault(port, {})[reason] = None


def _need_groups(host: Host, needs: Needs) -> None:
    """Need what shares an IOMMU group with something needed: a group leaves as one or not at all.

    A bridge is no reason: its driver, pcieport, leaves its group free (see `groups`).
    """
    direct = {address: tuple(reasons) for address, reasons in needs.pci.items()}
    for group, members in host.groups.items():
        functions = [member for member in members if not member.is_bridge]
        for needed in functions:
            for reason in direct.get(needed.address, ()):
                place = f"{needed.address} ({needed.name})"
                words = f"shares IOMMU group {group} with {place}, which {reason.words}"
                shared = replace(reason, words=words, about=needed.address)
                for member in functions:
                    if member is not needed:
                        needs.pci.setdefault(member.address, {})[shared] = None


def _need_bridges(host: Host, needs: Needs) -> None:
    """Need what the board itself is made of; no reason for its group, whose rule looks at drivers.

    An SMBus or a timer counts on a root bus only: behind a port it is a card's own.
    """
    for device in host.pci:
        path = f"/sys/bus/pci/devices/{device.address}"
        part = _CHIPSET.get(device.class_code >> 8) if device.parent is None else None
        if device.is_bridge:
            # vfio-pci takes no function with a bridge's header: vfio_pci_core_register_device
            words, lost = "is a bridge, which other devices hang on", "all that hangs on it"
            reason = Reason("bridge", words, path + "/class", lost)
        elif part:
            words = f"is {part}, a part of the board itself"
            reason = Reason("bridge", words, path + "/class", part)
        elif device.driver == "thunderbolt":
            words, lost = "tunnels PCI Express to docks and disks", "its docks"
            reason = Reason("bridge", words, path + "/driver", lost)
        else:
            continue
        needs.pci.setdefault(device.address, {})[reason] = None
