"""The commands that lend a USB device and take it back."""

from __future__ import annotations

from phyllome_seat.cli.inputs import DONE, need_root, read_wish, say
from phyllome_seat.model.errors import PhyllomeSeatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_UNITS_S = {"s": 1, "m": 60, "h": 3600}


class _UntilError(PhyllomeSeatError):
    """An end of a lend that is none."""

    exit_status = 2


def attach(args: argparse.Namespace) -> int:
    """Lend a device to a seat."""
    from phyllome_seat.system.lending import attach_usb

    until, for_s = _parse_until(args.until)
    need_root(args, "attach hands a device to a guest")
    print(
        attach_usb(
            read_wish(args),
            args.device,
            args.seat,
            until=until,
            for_s=for_s,
            say=say,
            lock_wait_s=args.wait,
            uri=args.connect,
        )
    )
    return DONE


def detach(args: argparse.Namespace) -> int:
    """Take a device back."""
    from phyllome_seat.system.lending import detach_usb

    need_root(args, "detach takes a device from a guest")
    print(
        detach_usb(read_wish(args), args.device, say=say, lock_wait_s=args.wait, uri=args.connect)
    )
    return DONE


def _parse_until(text: str | None) -> tuple[str | None, float | None]:
    """Return how a lend ends and, for a time, after how many seconds."""
    if text in (None, "stop", "unplug"):
        return text, None
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS_S and number.isascii() and number.isdigit() and 0 < len(number) < 7:
        return "time", float(int(number) * _UNITS_S[unit])
    raise _UntilError(f"--until {text!r:.40}: stop, unplug, or a time like 90s, 30m, 2h")
