"""`identify`: which keyboard, mouse or gamepad is it, and what of it can a seat have."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager

from phyllome_seat.cli.inputs import DONE, on_this_machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from phyllome_seat.model.climb import Climb


def identify(args: argparse.Namespace) -> int:
    """Wait for a press, then climb from where it came."""
    from phyllome_seat.model.climb_text import climb_json, render_climb

    on_this_machine(args, "identify waits for a press")
    whose = f"of seat {args.seat}" if args.seat else "you want to identify"
    print(
        f"press a key on the keyboard {whose}, or click its mouse (Shift types nothing anywhere; "
        f"Esc ends, so do {args.timeout:g} s)",
        file=sys.stderr,
        flush=True,
    )
    with ended_by_signals():
        found = hear_and_climb(args.seat or "this", args.timeout)
    if args.json:
        import json

        json.dump({"phyllome_seat_identify": 1, **climb_json(found)}, sys.stdout, indent=1)
        print()
    else:
        sys.stdout.write(render_climb(found))
    return DONE


def hear_and_climb(seat: str, timeout_s: float) -> Climb:
    """Return the way up from what is pressed next. *errors*: NothingPressedError."""
    import os

    from phyllome_seat.model.climb import climb
    from phyllome_seat.system.identify import wait_press
    from phyllome_seat.system.scan import scan
    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.terminal import open_terminal
    from phyllome_seat.system.udev_events import NoUdevError, UdevEvents

    with ExitStack() as cleanup:
        terminal = open_terminal()
        if terminal is not None:
            cleanup.callback(os.close, terminal)
        try:
            changes = cleanup.enter_context(UdevEvents("input"))
        except NoUdevError as error:
            print(f"what is plugged in from now on is not heard: {error.hint}", file=sys.stderr)
            changes = None
        press = wait_press(timeout_s=timeout_s, terminal=terminal, changes=changes)
    return climb(scan(Sysfs("/")), press.node, seat)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """End in order where a signal would end at once: what was changed is put back on the way."""
    import signal

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
