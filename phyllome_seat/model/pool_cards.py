"""The cards of a PC that a seat could have, and why it cannot have the others."""

from __future__ import annotations

from collections.abc import Iterator

from phyllome_seat.model.climb import plain_id
from phyllome_seat.model.devices import Connector, Host, PciDevice
from phyllome_seat.model.match import gpu_functions, is_sound, name_monitor
from phyllome_seat.model.pool import Choice, Pool, choice
from phyllome_seat.model.preference import Drawback, drawback
from phyllome_seat.model.seat import MonitorMatch, PciMatch, Seat
from phyllome_seat.model.seat_value import is_readable

_3D_CONTROLLER = 0x0302  # PCI Code and ID Assignment Specification 1.11, section 1
# Remote screens of servers: ASPEED's AST and Matrox's G200 in iDRAC and iLO, by PCI vendor id.
_MANAGEMENT = frozenset({0x1A03, 0x102B})
_ENCRYPTION = 0x1080


def find_cards(pool: Pool, seat: Seat) -> tuple[tuple[Choice, ...], tuple[str, ...]]:
    """Return the cards that `seat` could have, best first, and why not for each other one."""
    cards, refused = [], []
    for device in pool.host.pci:
        if not device.is_gpu:
            continue
        wish = Seat(seat.name, gpu=PciMatch(device.address, plain_id(device)), domain=seat.domain)
        closed, claim = pool.close(wish)
        sentences = pool.judge(claim, closed)
        functions = tuple(claim.functions)
        if sentences:
            refused.append(pool.refusal(claim, device, sentences))
        elif words := pool.costs_console(device, functions):
            refused.append(words)
        else:
            card = choice(
                gpu=device,
                usb=closed.usb,
                functions=functions,
                takes=pool.function_bits(functions),
                node=device.numa_node,
                drawbacks=_drawbacks(pool, device, len(closed.usb)),
                gets=(_words(pool.host, device),),
            )
            cards.append(card)
    return tuple(sorted(cards, key=lambda card: card.cost)), tuple(refused)


def is_weak(card: Choice) -> bool:
    """Whether nobody would choose a card for a seat who is not asked to: it has no output, or is a
    server's remote screen.
    """
    return card.gpu is not None and (_is_management(card.gpu) or _is_3d(card.gpu))


def _is_management(gpu: PciDevice) -> bool:
    return gpu.id.vendor in _MANAGEMENT


def _is_3d(gpu: PciDevice) -> bool:
    return gpu.class_code >> 8 == _3D_CONTROLLER


def _drawbacks(pool: Pool, gpu: PciDevice, along: int) -> Iterator[Drawback]:
    host = pool.host
    outputs = [c for c in host.connectors if c.gpu == gpu.address]
    if gpu.address == host.console.gpu:
        yield drawback("the host's screen", "its card shows the host's console now")
    if _is_3d(gpu) and not outputs:
        yield drawback("no output", f"{gpu.address} is a 3D controller without an output")
    elif _is_management(gpu):
        yield drawback("management", f"{gpu.address} is a server's remote screen")
    if not any(c.connected or c.monitor for c in outputs):
        yield drawback("no monitor", f"no monitor is seen on {gpu.address}: plug one in")
    yield from _in_use(host, gpu)
    if is_processors(host, gpu):
        yield drawback("processor", f"{gpu.address} is the processor's own graphics")
    if gpu.link and gpu.link.width < min(gpu.link.max_width, 8):
        lanes = f"{gpu.link.width} of its {gpu.link.max_width} lanes"
        yield drawback("narrow", f"{gpu.address} is in a slot with {lanes}")
    if along:
        words = "takes USB controllers of its IOMMU group along"
        yield drawback("along", f"{gpu.address} {words}", along)


def _in_use(host: Host, gpu: PciDevice) -> Iterator[Drawback]:
    """Yield that a desktop may have a card: it shows something, and somebody is logged in.

    A connector is enabled while a picture is led to it (drivers/gpu/drm/drm_sysfs.c), whose it is
    does no file say; who has the card open is for `apply` to find out.
    """
    lit = [c.name for c in host.connectors if c.gpu == gpu.address and c.enabled]
    if lit and host.console.sessions:
        shows = f"{gpu.address} shows a picture on {', '.join(lit)}"
        who = f"somebody is logged in ({', '.join(host.console.sessions)})"
        way_out = "log out of that desktop before `apply`, which refuses a card that is in use"
        yield drawback("in use", f"{shows} and {who}: if it is a desktop's, {way_out}")


def is_processors(host: Host, gpu: PciDevice) -> bool:
    """Whether this is a processor's own graphics: on the root bus, or beside its security unit."""
    on_board = gpu.parent is None and gpu.address.bus == 0 and not _is_management(gpu)
    return on_board or any(d.class_code >> 8 == _ENCRYPTION for d in host.functions_of(gpu.address))


def _words(host: Host, gpu: PciDevice) -> str:
    sound = any(is_sound(d) for d in gpu_functions(host, gpu))
    words = f"card {gpu.address} ({gpu.name})" + (" with its sound" if sound else "")
    seen = [c for c in host.connectors if c.gpu == gpu.address and c.monitor]
    monitors = [f"{name_monitor(c.monitor)} on {c.name}" for c in seen if c.monitor]
    return words + (f"; monitor: {', '.join(monitors)}" if monitors else "")


def find_monitor(host: Host, gpu: PciDevice) -> MonitorMatch | None:
    """Return how a seat file names the first monitor of a card, None where none has a name that
    can be written.
    """
    for connector in host.connectors:
        match = match_monitor(connector) if connector.gpu == gpu.address else None
        if match:
            return match
    return None


def match_monitor(connector: Connector) -> MonitorMatch | None:
    """Return how a seat file names a monitor: its name and serial number."""
    monitor = connector.monitor
    if monitor is None:
        return None
    number = None if monitor.serial_number is None else str(monitor.serial_number)
    name = monitor.name if is_readable(monitor.name or "") else None
    serial = monitor.serial if is_readable(monitor.serial or "") else number
    if name is None and serial is None:
        return None
    return MonitorMatch(name=name, serial=serial)
