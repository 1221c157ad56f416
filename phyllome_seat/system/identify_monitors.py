"""Which monitor is it: each shows its number, as long as nobody else has its card."""

from __future__ import annotations

import errno
from contextlib import ExitStack, contextmanager

from phyllome_seat.model.digits import number_rectangles
from phyllome_seat.model.monitors import HELD
from phyllome_seat.system.drm import Card, Lit
from phyllome_seat.system.numbers import find_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from phyllome_seat.model.address import PciAddress
    from phyllome_seat.model.devices import Connector
    from phyllome_seat.system.sysfs import Sysfs

_INK, _GROUND = b"\xff\xff\xff\x00", b"\x50\x28\x10\x00"  # XRGB8888, little-endian: blue first


@contextmanager
def show_numbers(
    sysfs: Sysfs, numbers: tuple[tuple[int, Connector], ...]
) -> Iterator[dict[int, str]]:
    """Show each number on its monitor during a ``with``; then what was shown before.

    Gives why a number is not shown, by number: nothing for those that are.
    """
    nodes = _read_nodes(sysfs)
    dark: dict[int, str] = {}
    with ExitStack() as cleanup:
        for gpu in dict.fromkeys(connector.gpu for _, connector in numbers):
            wanted = {c.name: number for number, c in numbers if c.gpu == gpu}
            try:
                if gpu not in nodes:
                    raise FileNotFoundError(errno.ENOENT, "its card is not the host's now")
                card = cleanup.enter_context(Card(nodes[gpu]))
            except OSError as error:
                dark |= dict.fromkeys(wanted.values(), _why(error))
                continue
            for name, number in wanted.items():
                try:
                    lit = card.light(name)
                except OSError as error:
                    dark[number] = _why(error)
                    continue
                if lit is None:
                    dark[number] = "its card can show no picture of its own on it"
                else:
                    _paint(lit, number)
                    card.flush(lit)
        yield dark


def _why(error: OSError) -> str:
    if error.errno in (errno.EBUSY, errno.EACCES):
        return f"{HELD}: run this on a text console (Ctrl+Alt+F3)"
    return error.strerror or str(error)


def _read_nodes(sysfs: Sysfs) -> dict[PciAddress, str]:
    """Return the node of each card on PCI."""
    nodes = {}
    for name in sysfs.list("sys/class/drm"):
        if name.startswith("card") and "-" not in name:
            path = sysfs.target(f"sys/class/drm/{name}")
            addresses = find_addresses(path) if path else ()
            if addresses:
                nodes[addresses[-1]] = f"/dev/dri/{name}"
    return nodes


def _paint(lit: Lit, number: int) -> None:
    """Draw after the CRTC shows the buffer: bochs-drm before 6.14 loses what was drawn earlier."""
    line = (_GROUND * lit.width).ljust(lit.stride, b"\0")
    lit.pixels[: lit.stride * lit.height] = line * lit.height
    for left, top, width, height in number_rectangles(number, lit.width, lit.height):
        for row in range(top, top + height):
            start = row * lit.stride + left * 4
            lit.pixels[start : start + width * 4] = _INK * width
