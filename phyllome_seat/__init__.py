"""Several people share one PC, each with a guest of their own.

The whole library, from the machine to the plan and back::

    host = scan(Sysfs("/"))                         # read the machine
    wish = parse_wish(text, "seats.yaml")           # read what people want
    steps = plan(assign(wish, host), host)          # what is to be done; print it, nothing is done

Names are imported when they are used, so that ``import phyllome_seat`` costs nothing. Everything
raises `phyllome_seat.model.errors.PhyllomeSeatError` and nothing prints.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.assign import assign
    from phyllome_seat.model.climb import climb
    from phyllome_seat.model.devices import Host
    from phyllome_seat.model.edid import Monitor, parse_edid
    from phyllome_seat.model.errors import PhyllomeSeatError
    from phyllome_seat.model.host_json import parse_host, render_host
    from phyllome_seat.model.lend import Lend
    from phyllome_seat.model.lost import list_lost
    from phyllome_seat.model.plan import plan, plan_revert
    from phyllome_seat.model.protect import protect
    from phyllome_seat.model.reconcile import reconcile
    from phyllome_seat.model.remap import remap
    from phyllome_seat.model.seat import Seat, Wish
    from phyllome_seat.model.seat_file import parse_wish, render_wish
    from phyllome_seat.system.identify import wait_press
    from phyllome_seat.system.scan import scan
    from phyllome_seat.system.seating import apply_wish, revert, start_seats, stop_seats
    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.watch import Watch, watch_forever

__version__ = "0.1.0"

_HOMES = {
    "assign": "model.assign",
    "climb": "model.climb",
    "Host": "model.devices",
    "Monitor": "model.edid",
    "parse_edid": "model.edid",
    "PhyllomeSeatError": "model.errors",
    "parse_host": "model.host_json",
    "render_host": "model.host_json",
    "Lend": "model.lend",
    "list_lost": "model.lost",
    "plan": "model.plan",
    "plan_revert": "model.plan",
    "protect": "model.protect",
    "reconcile": "model.reconcile",
    "remap": "model.remap",
    "Seat": "model.seat",
    "Wish": "model.seat",
    "parse_wish": "model.seat_file",
    "render_wish": "model.seat_file",
    "wait_press": "system.identify",
    "scan": "system.scan",
    "apply_wish": "system.seating",
    "revert": "system.seating",
    "start_seats": "system.seating",
    "stop_seats": "system.seating",
    "Sysfs": "system.sysfs",
    "Watch": "system.watch",
    "watch_forever": "system.watch",
}

__all__ = [
    "Host",
    "Lend",
    "Monitor",
    "PhyllomeSeatError",
    "Seat",
    "Sysfs",
    "Watch",
    "Wish",
    "apply_wish",
    "assign",
    "climb",
    "list_lost",
    "parse_edid",
    "parse_host",
    "parse_wish",
    "plan",
    "plan_revert",
    "protect",
    "reconcile",
    "remap",
    "render_host",
    "render_wish",
    "revert",
    "scan",
    "start_seats",
    "stop_seats",
    "wait_press",
    "watch_forever",
]


def __getattr__(name: str) -> object:
    """Import a public name from its home when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
