"""What still draws the boot picture, and how much of their memory cards show: for `check`.

Sources: /proc/iomem, whose names anybody may read and whose lines are indented by what is inside
what (kernel/resource.c); Documentation/ABI/testing/sysfs-bus-pci, ``resource<N>_resize``.
"""

from __future__ import annotations

from phyllome_seat.model.devices import PciDevice
from phyllome_seat.model.platform import Bar, BootFramebuffer
from phyllome_seat.system.numbers import find_address, read_number
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# as drivers/video/fbdev/{efifb,vesafb,simplefb}.c, drivers/gpu/drm/sysfb/ and
# drivers/firmware/sysfb_simplefb.c name the memory they take
_BOOT_DRIVERS = ("efifb", "vesafb", "simplefb", "simpledrm", "efidrm", "vesadrm", "BOOTFB")
_BARS = range(6)
_MIB_BITS = 20  # bit n of the sizes is 2^(n+20) bytes: Documentation/ABI/testing/sysfs-bus-pci


def read_framebuffers(sysfs: Sysfs) -> tuple[BootFramebuffer, ...]:
    """Return the cards in whose memory a driver of the firmware's picture is."""
    found: dict[object, BootFramebuffer] = {}
    above: list[tuple[int, str]] = []
    for line in (sysfs.read("proc/iomem") or "").split("\n"):
        depth = len(line) - len(line.lstrip())
        name = line.partition(" : ")[2].strip()
        above = [(d, n) for d, n in above if d < depth]
        if name in _BOOT_DRIVERS:
            cards = [a for _, n in above if (a := find_address(n)) is not None]
            if cards:  # the inner name is that of the driver, BOOTFB only the memory's
                found[cards[-1]] = BootFramebuffer(cards[-1], name)
        above.append((depth, name))
    return tuple(found.values())


def read_bars(sysfs: Sysfs, cards: Iterable[PciDevice]) -> tuple[Bar, ...]:
    """Return the resizable BARs of `cards`; of one that sleeps none, since reading would wake it.

    ``resource_resize_show`` resumes the device: drivers/pci/pci-sysfs.c.
    """
    found = []
    for card in cards:
        path = f"sys/bus/pci/devices/{card.address}"
        if sysfs.read(f"{path}/power/runtime_status") in ("suspended", "suspending"):
            continue
        lines = (sysfs.read(f"{path}/resource") or "").split("\n")
        for number in _BARS:
            sizes = read_number(sysfs.read(f"{path}/resource{number}_resize"), 16)
            if sizes and sizes > 0 and number < len(lines):
                size = _size(lines[number])
                largest = 1 << (sizes.bit_length() - 1 + _MIB_BITS)
                if size:
                    found.append(Bar(card.address, number, size, largest))
    return tuple(found)


def _size(line: str) -> int:
    """Return the bytes of a line of ``resource``: first, last, flags; 0 where nothing is."""
    first, last = ([read_number(word, 16) for word in line.split()] + [None, None])[:2]
    return last - first + 1 if first and last and last > first else 0
