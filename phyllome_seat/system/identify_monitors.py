"""Which monitor is it: each shows its number, by its card or by the desktop that has the card."""

from __future__ import annotations

import errno
from contextlib import ExitStack, contextmanager

from phyllome_seat.model.digits import draw_number
from phyllome_seat.model.monitors import HELD
from phyllome_seat.model.value import dataclass
from phyllome_seat.system.drm import Card
from phyllome_seat.system.numbers import find_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from phyllome_seat.model.address import PciAddress
    from phyllome_seat.model.devices import Connector
    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.wayland import Desktop

# Debian's python3-pywayland (0.4.18) has only the core of the protocol, and no windows.
_BINDING = "pywayland (`pip install pywayland`, where phyllome-seat is)"


@dataclass(frozen=True, slots=True)
class Shown:
    """Numbers that are shown: ``dark`` says why one is not, by number.

    ``desktops`` are those on which there are windows of ours, to be read while they are.
    """

    dark: dict[int, str]
    desktops: list[Desktop]


@contextmanager
def show_numbers(sysfs: Sysfs, numbers: tuple[tuple[int, Connector], ...]) -> Iterator[Shown]:
    """Show each number on its monitor during a ``with``; then what was shown before.

    On a card that nobody has as it is, on one that a Wayland desktop has by that.
    """
    nodes = _read_nodes(sysfs)
    shown = Shown({}, [])
    with ExitStack() as cleanup:
        for gpu in dict.fromkeys(connector.gpu for _, connector in numbers):
            wanted = {c.name: number for number, c in numbers if c.gpu == gpu}
            if gpu not in nodes:
                shown.dark.update(dict.fromkeys(wanted.values(), "its card is not the host's now"))
                continue
            try:
                card = cleanup.enter_context(Card(nodes[gpu]))
            except OSError as error:
                if error.errno in (errno.EBUSY, errno.EACCES):
                    _show_on_desktops(nodes[gpu], wanted, shown, cleanup)
                else:
                    shown.dark.update(dict.fromkeys(wanted.values(), error.strerror or str(error)))
                continue
            for name, number in wanted.items():
                try:
                    lit = card.light(name)
                except OSError as error:
                    shown.dark[number] = error.strerror or str(error)
                    continue
                if lit is None:
                    shown.dark[number] = "its card can show no picture of its own on it"
                else:
                    # Drawn after the CRTC shows the buffer: bochs-drm before 6.14 loses the rest.
                    draw_number(lit.pixels, number, lit.width, lit.height, lit.stride)
                    card.flush(lit)
        yield shown


def _show_on_desktops(node: str, wanted: dict[str, int], shown: Shown, cleanup: ExitStack) -> None:
    """Show numbers, by their connector's name, on the desktops whose users have a card's node."""
    from phyllome_seat.system.holders import find_owners
    from phyllome_seat.system.wayland import Desktop, NoWaylandError, find_desktops

    why = dict.fromkeys(wanted, HELD)
    for path in find_desktops(find_owners(node)):
        if not why:
            break
        try:
            desktop = cleanup.enter_context(Desktop(path))
        except NoWaylandError:
            why = dict.fromkeys(why, f"{HELD}: install {_BINDING}, or")
            break
        except OSError:  # of somebody who is logged in beside, or just gone
            continue
        shown.desktops.append(desktop)
        for name in [*why]:
            try:
                desktop.show(name, wanted[name])
                del why[name]
            except OSError as error:
                why[name] = f"{HELD}: {error};"
    for name, words in why.items():
        way_out = "run this on a text console (Ctrl+Alt+F3)"
        shown.dark[wanted[name]] = f"{words} {way_out}" if words != HELD else f"{HELD}: {way_out}"


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
