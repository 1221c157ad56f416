"""The commands that change the machine: each is one call of the library, said aloud."""

from __future__ import annotations

import sys

from phyllome_seat.cli.inputs import DONE, MACHINE_SAYS_NO, agree, need_root, read_wish, say
from phyllome_seat.cli.line import UNATTENDED_STOP_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def apply(args: argparse.Namespace) -> int:
    """Set the machine up as the seat file says."""
    from phyllome_seat.system.seating import apply_wish

    need_root(args, "apply binds drivers and writes rules")
    done = apply_wish(
        read_wish(args), say=say, agree=agree, lock_wait_s=args.wait, uri=args.connect
    )
    print(f"done: {done} steps" if done else "nothing to do: the machine is as the file wants it")
    return DONE


def revert(args: argparse.Namespace) -> int:
    """Give everything back."""
    from phyllome_seat.system.seating import revert

    need_root(args, "revert gives devices back")
    done, left = revert(
        say=say,
        lock_wait_s=args.wait,
        stop_first_s=UNATTENDED_STOP_S if args.unattended else None,
        uri=args.connect,
    )
    print(f"done: {done} steps" if done else "nothing to do: no seat is set up here")
    for line in left:
        print(f"left: {line}", file=sys.stderr)
    return MACHINE_SAYS_NO if left else DONE


def start(args: argparse.Namespace) -> int:
    """Start guests of seats."""
    from phyllome_seat.system.seating import start_seats

    need_root(args, "start hands devices to guests")
    start_seats(read_wish(args), args.seats, say=say, lock_wait_s=args.wait, uri=args.connect)
    return DONE


def stop(args: argparse.Namespace) -> int:
    """Stop guests of seats."""
    from phyllome_seat.system.seating import stop_seats

    need_root(args, "stop ends guests")
    still = stop_seats(
        read_wish(args),
        args.seats,
        say=say,
        timeout_s=args.timeout,
        force=args.force,
        uri=args.connect,
    )
    return MACHINE_SAYS_NO if still else DONE


def confirm(args: argparse.Namespace) -> int:
    """Keep the seats: stop the timer."""
    from phyllome_seat.system.console_return import confirm

    need_root(args, "confirm stops the timer that gives the console back")
    armed = confirm()
    print("confirmed: the seats stay" if armed else "nothing to confirm: no timer is armed")
    return DONE
