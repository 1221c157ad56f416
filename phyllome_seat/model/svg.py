"""A Host as a drawing: cards with monitors, USB with what is plugged in, groups as boxes, seats in
colours. What stays for the host is grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from phyllome_seat.model.assignment import Assignment
from phyllome_seat.model.devices import Host, PciDevice
from phyllome_seat.model.svg_draw import (
    HOST_FILL,
    HOST_LINE,
    LINE,
    MUTED,
    PAPER,
    box,
    document,
    moved,
    text,
)
from phyllome_seat.model.svg_owners import Owners
from phyllome_seat.model.svg_parts import (
    WIDTH,
    Part,
    draw_card,
    draw_controller,
    draw_function,
    draw_more,
)

_PAD, _GAP, _MARGIN, _HEAD = 16, 18, 28, 128
_CORE, _CORES_IN_ROW = 11, 24


def render_svg(host: Host, assignment: Assignment | None = None) -> str:
    """Return the PC as one SVG document, with the seats of `assignment`; without one, with those
    that functions are bound for now.
    """
    owners = Owners(host, assignment)
    groups = list(_groups(host))
    boxes = [
        _draw_group(owners, title, members)
        for title, members in groups
        if any(_is_told(owners, device) for device in members)
    ]
    rest = [m for _, m in groups if not any(_is_told(owners, device) for device in m)]
    if rest:
        boxes.append((2, _draw_rest(rest)))
    columns = _in_columns(boxes)
    cores_height, cores = _draw_cores(host)
    head = max(_HEAD, 40 + cores_height)
    outer = WIDTH + 2 * _PAD + _GAP
    width = 2 * _MARGIN + len(columns) * outer - _GAP
    parts = [*_draw_head(owners, width), moved(width - _MARGIN, 24, cores)]
    bottom = float(head)
    for number, column in enumerate(columns):
        y = float(head)
        for height, shapes in column:
            parts.append(moved(_MARGIN + number * outer, y, shapes))
            y += height + _GAP
        bottom = max(bottom, y)
    return document(width, bottom + _MARGIN - _GAP, "This PC and its seats", parts)


def _groups(host: Host) -> Iterator[tuple[str, list[PciDevice]]]:
    """Yield what is drawn in one box, with its title: an IOMMU group, else a device; those with
    cards first, then those with USB, then the rest.
    """
    members: dict[object, list[PciDevice]] = {}
    titles: dict[object, str] = {}
    for device in host.pci:
        if device.is_bridge:
            continue
        place = (device.address.domain, device.address.bus, device.address.device)
        group = device.iommu_group
        key: object = place if group is None else group
        members.setdefault(key, []).append(device)
        titles[key] = "no IOMMU group" if group is None else f"IOMMU group {group}"
    for key in sorted(members, key=lambda key: _rank(members[key])):
        yield titles[key], members[key]


def _rank(members: list[PciDevice]) -> tuple[int, object]:
    if any(device.is_gpu for device in members):
        return 0, members[0].address
    return 1 if any(device.is_usb_controller for device in members) else 2, members[0].address


_TOLD = (0x01, 0x02, 0x03)  # PCI base classes: storage, network, display


def _is_told(owners: Owners, device: PciDevice) -> bool:
    """Whether a function is drawn by itself: people know it, or it is somebody's."""
    is_known = device.class_code >> 16 in _TOLD or device.is_usb_controller
    return is_known or owners.has_part(device.address)


def _draw_rest(groups: list[list[PciDevice]]) -> Part:
    """Draw one box for the groups of the board that nobody asks for."""
    count = sum(map(len, groups))
    frame = box(0, 0, WIDTH + 2 * _PAD, 44, fill="#fbfcfe", radius=12, is_dashed=True)
    words = f"{count} more function{'s' if count > 1 else ''} of the board, in {len(groups)} groups"
    return 44, [frame, text(_PAD, 27, words, size=12, fill=MUTED)]


def _draw_group(owners: Owners, title: str, members: list[PciDevice]) -> tuple[int, Part]:
    """Return the rank of a group and its box."""
    y, shapes = 30.0, []
    for height, parts in _draw_members(owners, members):
        shapes.append(moved(_PAD, y, parts))
        y += height + 10
    height = y - 10 + _PAD
    seats = {owners.seat_of(device.address) for device in members} - {None}
    line = owners.of_seat(seats.pop())[0] if len(seats) == 1 else LINE
    frame = box(
        0, 0, WIDTH + 2 * _PAD, height, fill="#fbfcfe", stroke=line, radius=12, is_dashed=True
    )
    head = text(_PAD, 20, title, size=11, fill=MUTED)
    return _rank(members)[0], (height, [frame, head, *shapes])


def _draw_members(owners: Owners, members: list[PciDevice]) -> Iterator[Part]:
    """Draw each card with what of its board is in the group, each controller, and the rest."""
    drawn: set[object] = set()
    gpus = [device for device in members if device.is_gpu]
    for gpu in gpus:
        board = owners.host.functions_of(gpu.address)
        others = tuple(d for d in members if d in board and not d.is_gpu and d not in drawn)
        aside = tuple(d for d in others if not d.is_usb_controller)
        drawn.update((gpu, *aside))
        yield draw_card(owners, gpu, aside)
    for device in members:
        if device.is_usb_controller:
            drawn.add(device)
            yield draw_controller(owners, device)
    left = [device for device in members if device not in drawn]
    for device in left:
        if _is_told(owners, device):
            yield draw_function(owners, device)
    more = sum(not _is_told(owners, device) for device in left)
    if more:
        yield draw_more(more)


def _in_columns(boxes: Iterable[tuple[int, Part]]) -> list[list[Part]]:
    """Return the boxes in columns: cards left, USB right, the rest where there is room; three or
    more columns where two would be a tower.
    """
    all_boxes = list(boxes)
    total = sum(height + _GAP for _, (height, _) in all_boxes)
    count = max(2, min(6, round((total / 900) ** 0.5) + 1)) if total > 2400 else 2
    columns: list[list[Part]] = [[] for _ in range(count)]
    heights = [0.0] * count
    for rank, part in all_boxes:
        at = rank if count == 2 and rank < 2 else heights.index(min(heights))
        columns[at].append(part)
        heights[at] += part[0] + _GAP
    return [column for column in columns if column] or [[]]


def _draw_head(owners: Owners, width: float) -> list[str]:
    """Draw the title, what the PC is, and the legend."""
    host = owners.host
    parts = [text(_MARGIN, 46, "This PC and its seats", size=24, is_bold=True)]
    words = []
    online = [cpu for cpu in host.cpus if cpu.online]
    if online:
        words.append(f"{len({c.core or c.number for c in online})} cores, {len(online)} threads")
    if host.memory:
        words.append(f"{host.memory.total_kib / 2**20:.0f} GiB of memory")
    words.append(f"{len(host.groups)} IOMMU groups" if host.groups else "IOMMU off")
    parts.append(text(_MARGIN, 70, " · ".join(words), size=13, fill=MUTED))
    guests = {seat.seat.name: seat.seat.guest_name for seat in owners.seats}
    entries = []
    for name in owners.names:
        guest = guests.get(name)
        entries.append(
            (f"seat {name}" + (f": guest {guest}" if guest else ""), *owners.of_seat(name))
        )
    entries += [("the host needs it", HOST_LINE, HOST_FILL), ("free", LINE, PAPER)]
    x, y = float(_MARGIN), 88.0
    for label, line, fill in entries:
        parts.append(box(x, y, 18, 18, fill=fill, stroke=line, radius=5, line=2.5))
        parts.append(text(x + 26, y + 14, label, size=13, width=260))
        x += 26 + min(260.0, 7.6 * len(label)) + 26
        if x > width - 300:
            break
    return parts


def _draw_cores(host: Host) -> Part:
    """Draw the cores to the left of 0, those of one L3 together, efficiency cores smaller."""
    islands: dict[object, dict[object, str | None]] = {}
    for cpu in host.cpus:
        if cpu.online:
            islands.setdefault(cpu.l3 or cpu.package, {})[cpu.core or cpu.number] = cpu.kind
    parts, y = [], 0.0
    x = 0.0
    for cores in islands.values():
        in_row = min(len(cores), _CORES_IN_ROW)
        rows = -(-len(cores) // _CORES_IN_ROW)
        wide, high = in_row * (_CORE + 3) + 9, rows * (_CORE + 3) + 9
        if x - wide < -420:
            x, y = 0.0, y + high + 6
        parts.append(box(x - wide, y, wide, high, fill=PAPER, stroke=LINE, radius=5))
        for number, kind in enumerate(cores.values()):
            at = x - wide + 6 + number % _CORES_IN_ROW * (_CORE + 3)
            top = y + 6 + number // _CORES_IN_ROW * (_CORE + 3)
            less = 3 if kind == "atom" else 0
            side = _CORE - less
            parts.append(box(at, top, side, side, fill="#7c89a3", stroke="none", radius=2))
        x -= wide + 8
        if y > 400:
            break
    return y + 60, parts
