"""The commands that only look, and print what they saw."""

from __future__ import annotations

import os
import sys

from phyllome_seat.cli.inputs import DONE, read_host, read_wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from phyllome_seat.model.step import Step


_TOGETHER_S = 0.2  # a plug is several events
_CLEAR = "\033[H\033[2J"


def scan(args: argparse.Namespace) -> int:
    """Show the PC."""
    host = read_host(args)
    if args.svg:
        from phyllome_seat.cli.output import write_picture
        from phyllome_seat.model.svg import render_svg

        write_picture(args.svg, render_svg(host))
    elif args.json:
        from phyllome_seat.model.host_json import render_host
        from phyllome_seat.model.lost import list_lost
        from phyllome_seat.model.protect import protect

        sys.stdout.write(render_host(host, list_lost(protect(host))))
    else:
        from phyllome_seat.model.lost import name_session
        from phyllome_seat.model.picture import render_picture
        from phyllome_seat.model.protect import protect

        # sudo keeps it where its configuration says so; without it the session is somebody's
        peer = os.environ.get("SSH_CONNECTION", "").partition(" ")[0] if args.sysroot == "/" else ""
        sys.stdout.write(render_picture(host, name_session(protect(host), peer)))
        if args.guests and not host.guests:
            why = "there are none" if host.guests is not None else "libvirt does not answer"
            print(f"\nguests  {why}")
    return DONE


def plan(args: argparse.Namespace) -> int:
    """Say what apply would do."""
    from phyllome_seat.model.assign import assign
    from phyllome_seat.model.plan import plan
    from phyllome_seat.model.printable import one_line

    wish = read_wish(args)
    host = read_host(args, guests=True)
    assignment = assign(wish, host)
    steps = plan(assignment, host)
    if args.svg:
        from phyllome_seat.cli.output import write_picture
        from phyllome_seat.model.svg import render_svg

        write_picture(args.svg, render_svg(host, assignment))
        return DONE
    if args.json:
        _print_json_steps(steps)
        return DONE
    for seat in assignment.seats:
        for note in seat.notes:
            print(one_line(f"seat {seat.seat.name}: {note}"))
    _print_steps(steps)
    if host.guests is None:
        print("guests were not asked: libvirt did not answer, or the plan is for another machine")
    return DONE


def _print_steps(steps: tuple[Step, ...]) -> None:
    from phyllome_seat.model.printable import one_line

    for number, step in enumerate(steps, 1):
        print(f"{number:3}. {one_line(str(step))}")
    if not steps:
        print("nothing to do: the machine is as the seat file wants it")


def _print_json_steps(steps: tuple[Step, ...]) -> None:
    import json

    from phyllome_seat.model.value import find_defaults

    listed = [
        {
            "step": type(step).__name__,
            "words": str(step),
            **{name: _plain(getattr(step, name)) for name in find_defaults(type(step))},
        }
        for step in steps
    ]
    json.dump({"phyllome_seat_plan": 1, "steps": listed}, sys.stdout, indent=1)
    print()


def _plain(value: object) -> object:
    """Return a step's field as JSON has it: lists for tuples, text for what is not JSON's."""
    if isinstance(value, (str, int, float, type(None))):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value)


def status(args: argparse.Namespace) -> int:
    """Show which seat has what now."""
    if args.follow:
        return _follow(args)
    _show_status(args)
    return DONE


def _show_status(args: argparse.Namespace) -> None:
    from time import time

    from phyllome_seat.model.status import find_status, render_status
    from phyllome_seat.system.state import read_lending
    from phyllome_seat.system.sysfs import Sysfs

    wish = read_wish(args, missing_is_empty=True)
    lending = read_lending(Sysfs(args.sysroot))
    status = find_status(wish, read_host(args, guests=True), lending, time())
    if args.json:
        import json

        json.dump(status, sys.stdout, indent=None if args.follow else 1)
        print()
    else:
        sys.stdout.write(render_status(status))


def _follow(args: argparse.Namespace) -> int:
    """Show it again whenever udev, libvirt, the seat file or a lend has news."""
    import asyncio

    from phyllome_seat.cli.inputs import SEAT_FILE, on_this_machine
    from phyllome_seat.system.listen import Listening
    from phyllome_seat.system.state import LENDS

    on_this_machine(args, "status --follow listens to udev and libvirt")

    async def follow() -> None:
        files = (args.file or f"/{SEAT_FILE}", f"/{LENDS}")
        async with Listening(args.connect, files, read_only=True) as listening:
            listening.wake()
            while True:
                await listening.wait(None)
                await asyncio.sleep(_TOGETHER_S)
                await listening.wait(0)  # what came meanwhile is in the same picture
                if not args.json:
                    sys.stdout.write(_CLEAR if sys.stdout.isatty() else "\n")
                await asyncio.to_thread(_show_status, args)
                sys.stdout.flush()

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        print()
    return DONE
