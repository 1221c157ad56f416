"""The command that watches, for systemd to run or a person to look at."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from phyllome_seat.cli.inputs import DONE, need_root, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from phyllome_seat.system.watch import Watch


def watch(args: argparse.Namespace) -> int:
    """Let USB follow its seats until it is told to stop, or set up the service that does."""
    from phyllome_seat.system.watch import SEAT_FILE, Watch

    need_root(args, "watch hands devices to guests")
    if args.install or args.remove:
        return _set_up(args)
    try:
        asyncio.run(_watch(Watch(args.file or SEAT_FILE, uri=args.connect)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped: what guests have, they keep", flush=True)
    return DONE


async def _watch(watch: Watch) -> None:
    from phyllome_seat.model.watch_event import Watching
    from phyllome_seat.system.service import find_watchdog_s, notify

    loop = asyncio.get_running_loop()
    own = asyncio.current_task()
    assert own is not None
    loop.add_signal_handler(signal.SIGTERM, own.cancel)
    loop.add_signal_handler(signal.SIGHUP, watch.reread)
    alive = loop.create_task(_say_alive(watch, find_watchdog_s()))
    try:
        async for event in watch:
            say(str(event))
            if isinstance(event, Watching):
                notify("READY=1")
    finally:
        notify("STOPPING=1")
        alive.cancel()


async def _say_alive(watch: Watch, every_s: float | None) -> None:
    """Tell systemd so, for ever; not while a comparison does not end: systemd then begins anew."""
    from phyllome_seat.system.service import notify

    while every_s is not None:
        await asyncio.sleep(every_s)
        if not watch.is_stuck:
            notify("WATCHDOG=1")


def _set_up(args: argparse.Namespace) -> int:
    from phyllome_seat.system.service import NAME, install_service, remove_service

    if args.remove:
        print(
            f"{NAME} removed" if remove_service() else f"nothing to do: no {NAME} of ours is here"
        )
        return DONE
    command = [os.path.abspath(sys.argv[0]), "watch"]  # noqa: PTH100 - a start without pathlib
    if sys.argv[0].endswith("__main__.py"):
        command = [sys.executable, "-m", "phyllome_seat.cli", "watch"]
    if args.file:
        command += ["-f", os.path.abspath(args.file)]  # noqa: PTH100 - as above
    is_new = install_service(command)
    print(f"{NAME} {'installed and started' if is_new else 'is there and runs'}")
    return DONE
