"""Which other slot of this PC would give a card an IOMMU group of its own."""

from __future__ import annotations

from phyllome_seat.model.devices import Host, PciDevice

_PORT = 0x0604  # a bridge from PCI to PCI: PCI Code and ID Assignment Specification 1.11, 1.7
_LANES = 4  # where fewer lead to, no graphics card is put
_MOST = 2


def find_better_slots(host: Host, card: PciDevice) -> str:
    """Return where the card could go, as words after "put it": empty slots first, the widest first.

    A port with nothing behind it is a slot, or a place on the board that firmware left visible:
    nothing in sysfs says which, so it is called a port. Empty text where no port is better.
    """
    own = {function.address for function in host.functions_of(card.address)}
    free, swaps = [], []
    for port in host.pci:
        if port.class_code >> 8 != _PORT or port.link is None or port.link.max_width < _LANES:
            continue
        behind = [device for device in host.pci if device.parent == port.address]
        if any(device.address in own for device in behind):
            continue
        group = host.group_of(behind[0].address if behind else port.address)
        guests = {device.address for device in group if not device.is_bridge}
        if not behind and not guests:
            words = f"behind port {port.address} (nothing there now, {port.link.max_width} lanes)"
            free.append((port.link.max_width, words))
        elif any(device.is_gpu for device in behind) and guests <= {d.address for d in behind}:
            other = next(device for device in behind if device.is_gpu)
            words = f"in the place of {other.address} ({other.name}), whose group is its own"
            swaps.append((port.link.max_width, words))
    free.sort(key=lambda found: -found[0])
    swaps.sort(key=lambda found: -found[0])
    return " or ".join(words for _, words in (free + swaps)[:_MOST])
