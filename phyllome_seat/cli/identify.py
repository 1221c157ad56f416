"""`identify`: which keyboard, mouse or gamepad is it, and what of it can a seat have."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing, contextmanager

from phyllome_seat.cli.inputs import DONE, MACHINE_SAYS_NO, need_root, on_this_machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def identify(args: argparse.Namespace) -> int:
    """Wait for a press, then climb from where it came."""
    on_this_machine(args, "identify waits for a press")
    if args.monitors:
        return _monitors(args)
    return _sockets(args) if args.ports else _press(args)


def _press(args: argparse.Namespace) -> int:
    from phyllome_seat.model.climb import climb
    from phyllome_seat.model.climb_text import climb_json, render_climb
    from phyllome_seat.system.scan import scan
    from phyllome_seat.system.sysfs import Sysfs

    whose = f"of seat {args.seat}" if args.seat else "you want to identify"
    print(
        f"press a key on the keyboard {whose}, or click its mouse (Shift types nothing anywhere; "
        f"Esc ends, so do {args.timeout:g} s)",
        file=sys.stderr,
        flush=True,
    )
    with ended_by_signals():
        node = hear(args.timeout)
    found = climb(scan(Sysfs("/")), node, args.seat or "this")
    if args.json:
        _print_json(climb_json(found))
    else:
        sys.stdout.write(render_climb(found))
    return DONE


def _print_json(found: dict[str, object]) -> None:
    import json

    json.dump({"phyllome_seat_identify": 1, **found}, sys.stdout, indent=1)
    print()


def _sockets(args: argparse.Namespace) -> int:
    """Learn sockets until Enter, each said at once."""
    from phyllome_seat.model.sockets import render_socket, socket_json
    from phyllome_seat.system.identify_ports import watch_sockets
    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.udev_events import UdevEvents

    whose = f"seat {args.seat}" if args.seat else "a seat"
    learned = []
    with ended_by_signals(), ExitStack() as cleanup:
        terminal = cleanup.enter_context(terminal_of_this())
        changes = cleanup.enter_context(UdevEvents("usb"))
        print(
            f"plug a stick, or anything, into each socket that {whose} is to have, one after the "
            f"other; what is in one already, pull out and plug again (Enter ends, so do "
            f"{args.timeout:g} s without a plug)",
            file=sys.stderr,
            flush=True,
        )
        sockets = cleanup.enter_context(
            closing(
                watch_sockets(
                    Sysfs("/"),
                    changes,
                    timeout_s=args.timeout,
                    terminal=terminal,
                    seat=args.seat or "this",
                )
            )
        )
        for socket in sockets:
            learned.append(socket)
            if not args.json:
                print(render_socket(socket), end="", flush=True)
    if args.json:
        _print_json({"sockets": [socket_json(socket) for socket in learned]})
    if not learned:
        print("nothing was plugged in", file=sys.stderr)
    return DONE if learned else MACHINE_SAYS_NO


def _monitors(args: argparse.Namespace) -> int:
    """Show each monitor's number on it, for a while."""
    from phyllome_seat.model.monitors import monitor_json, numbered, render_monitor
    from phyllome_seat.system.identify_monitors import show_numbers
    from phyllome_seat.system.scan import scan
    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.terminal import wait_enter

    need_root(args, "identify --monitors draws on the cards")
    host = scan(Sysfs("/"))
    monitors = numbered(host)
    with ended_by_signals(), terminal_of_this() as terminal:
        print(
            f"each monitor shows its number (Enter ends, so do {args.timeout:g} s)",
            file=sys.stderr,
            flush=True,
        )
        with show_numbers(Sysfs("/"), monitors) as shown:
            dark = shown.dark
            if not args.json:
                for number, connector in monitors:
                    print(render_monitor(number, connector, host, dark.get(number, "")), flush=True)
            if len(dark) < len(monitors):
                wait_enter(terminal, args.timeout, shown.desktops)
    if not monitors:
        print("no monitor is seen on any card", file=sys.stderr)
    if args.json:
        _print_json({"monitors": [monitor_json(n, c, dark.get(n)) for n, c in monitors]})
    return DONE if len(dark) < len(monitors) else MACHINE_SAYS_NO


@contextmanager
def terminal_of_this() -> Iterator[int | None]:
    """The terminal this was started from, for a ``with``; None without one."""
    import os

    from phyllome_seat.system.terminal import open_terminal

    terminal = open_terminal()
    try:
        yield terminal
    finally:
        if terminal is not None:
            os.close(terminal)


def hear(timeout_s: float) -> str:
    """Return the node of what is pressed next. *errors*: NothingPressedError."""
    from phyllome_seat.system.identify import wait_press
    from phyllome_seat.system.udev_events import NoUdevError, UdevEvents

    with ExitStack() as cleanup:
        terminal = cleanup.enter_context(terminal_of_this())
        try:
            changes = cleanup.enter_context(UdevEvents("input"))
        except NoUdevError as error:
            print(f"what is plugged in from now on is not heard: {error.hint}", file=sys.stderr)
            changes = None
        return wait_press(timeout_s=timeout_s, terminal=terminal, changes=changes)


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
