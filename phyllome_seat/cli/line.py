"""The command line: which commands there are, what may follow each, and its help."""

from __future__ import annotations

import sys

from phyllome_seat import __version__
from phyllome_seat.cli.inputs import SEAT_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    Command = tuple[str, str, tuple[Callable[[argparse.ArgumentParser], None], ...]]

UNATTENDED_STOP_S = 20.0
CONNECT = "qemu:///system"
USAGE = """phyllome-seat [-h] [--version] [--sysroot DIR] [--connect URI]
                     COMMAND ..."""


_LONGEST_S = 1e6


def parse_line(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line says, with the function to call for it as ``run``.

    What argparse needs takes longer to import than Python to start: help is there without it.
    """
    line = sys.argv[1:] if arguments is None else [*arguments]
    if line in (["-h"], ["--help"]):
        print(render_help(), end="")
        sys.exit()
    from phyllome_seat.cli.parser import parse

    return parse(line)


def render_help() -> str:
    """Return what ``--help`` prints, for 80 columns."""
    listed = "\n".join(f"  {name:10}{words}" for name, (words, _, _) in COMMANDS.items())
    return f"""usage: {USAGE}

Several people share one PC, each with a guest that feels like a whole one.

options:
  -h, --help     show this help message and exit
  --version      show the version ({__version__}) and exit
  --sysroot DIR  read below DIR, not /
  --connect URI  libvirt to ask ({CONNECT})

commands:
{listed}

exit status: 0 done, also when there was nothing to do; 1 the machine said no;
2 the command line or the seat file is wrong
"""


def _takes_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def _takes_svg(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--svg", nargs="?", const="-", metavar="FILE", help="as a drawing, to FILE or to the screen"
    )


def _takes_guests(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--guests", action="store_true", help="ask libvirt for its domains too")


def _takes_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="FILE", help="plan for the Host that `scan --json` wrote")


def _takes_seat_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--file", metavar="FILE", help=f"the seat file (/{SEAT_FILE})")


def _takes_seat_file_alone(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="SEATFILE", help=f"(/{SEAT_FILE})")


def _takes_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report",
        nargs="?",
        const="-",
        metavar="FILE",
        help="the PC without names and serials, to post it",
    )


def seconds(text: str) -> float:
    """Return a time to wait, eleven days at most; ValueError for another text."""
    number = float(text)
    if not 0 <= number <= _LONGEST_S:  # NaN too
        raise ValueError(text)
    return number


def _takes_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait", type=seconds, default=10.0, metavar="S", help="wait for the lock (%(default)s s)"
    )


def _takes_seats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("seats", nargs="*", metavar="SEAT", help="which seats; all without")


def _takes_unattended(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unattended",
        action="store_true",
        help=f"stop the seats' guests first, by force after {UNATTENDED_STOP_S:.0f} s",
    )


def _takes_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="S", help="seconds to wait (%(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="then pull the plug")


def _takes_press(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("seat", nargs="?", metavar="SEAT", help="whose device it is to be")
    parser.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="S", help="seconds to wait (%(default)s)"
    )
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--ports", action="store_true", help="learn sockets: plug something into each"
    )
    kinds.add_argument(
        "--monitors", action="store_true", help="show each monitor's number large on it"
    )


def _takes_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "device",
        metavar="DEVICE",
        help="its port as scan has it, id, id/serial,\nor the kernel's name like 1-2",
    )


def _takes_seat_and_until(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("seat", metavar="SEAT", help="the seat it goes to")
    parser.add_argument(
        "--until",
        metavar="END",
        help="stop (of the guest: the usual), unplug,\nor a time: 90s, 30m, 2h",
    )


def _takes_answers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seats", metavar="NAMES", help="the seats' names: left,right")
    parser.add_argument(
        "--seat",
        action="append",
        default=[],
        metavar="ANSWER",
        help="NAME:KEY=VALUE; keys: keyboard, mouse (USB place, none),\n"
        "monitor (number, serial, none), guest (domain, create,\n"
        "none), cpus, memory, disk, firmware",
    )
    parser.add_argument(
        "--console", choices=("keep", "none"), help="what becomes of the host's screen"
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing; take what is proposed")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=120.0,
        metavar="S",
        help="seconds for a press (%(default)s)",
    )


def _takes_follow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--follow", action="store_true", help="again at each change, until Ctrl-C")


def _takes_service(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--install", action="store_true", help="have systemd do it, from now on")
    what.add_argument("--remove", action="store_true", help="have systemd do it no more")


def _takes_wishes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seats", type=int, metavar="N", help="how many; without, all that fit")
    parser.add_argument(
        "--seat",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE]",
        help="what is known of a seat, as often as needed; keys:\n"
        "gpu, monitor, keyboard, mouse, port, controller,\n"
        "virtio, domain, cpus, memory, firmware, disk",
    )
    parser.add_argument(
        "--console", choices=("keep", "none"), default="keep", help="the host's own screen (keep)"
    )
    parser.add_argument("--host-cpus", type=int, metavar="N", help="CPUs that stay for the host")
    parser.add_argument("--host-memory", metavar="SIZE", help="memory that stays for the host")


def _takes_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="all proposals, not only the best")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the best to FILE, which must be new"
    )


# name: what it does, in words; where beside this module it is done; what may follow the name
COMMANDS: dict[str, Command] = {
    "scan": (
        "show the PC: cards, monitors, USB, groups",
        "look.scan",
        (_takes_json, _takes_svg, _takes_guests),
    ),
    "check": (
        "say what stands in the way of seats, and the fix",
        "check.check",
        (_takes_seat_file_alone, _takes_host, _takes_json, _takes_report),
    ),
    "identify": (
        "say which keyboard or mouse it is: press it",
        "identify.identify",
        (_takes_press, _takes_json),
    ),
    "init": (
        "ask who sits where, and write the seat file",
        "init.init",
        (_takes_seat_file, _takes_answers),
    ),
    "propose": (
        "propose who could get what: whole seat files, best first",
        "propose.propose",
        (_takes_wishes, _takes_host, _takes_json, _takes_output),
    ),
    "plan": (
        "say what apply would do, and do nothing",
        "look.plan",
        (_takes_seat_file, _takes_host, _takes_json, _takes_svg),
    ),
    "apply": (
        "set the seats up as the seat file says",
        "change.apply",
        (_takes_seat_file, _takes_wait),
    ),
    "revert": (
        "give everything back to the host",
        "change.revert",
        (_takes_wait, _takes_unattended),
    ),
    "start": (
        "start the guests of the seats",
        "change.start",
        (_takes_seat_file, _takes_wait, _takes_seats),
    ),
    "stop": (
        "stop the guests of the seats",
        "change.stop",
        (_takes_seat_file, _takes_seats, _takes_force),
    ),
    "attach": (
        "lend a USB device to a seat's running guest",
        "lend.attach",
        (_takes_seat_file, _takes_wait, _takes_device, _takes_seat_and_until),
    ),
    "detach": (
        "take a USB device back from a guest",
        "lend.detach",
        (_takes_seat_file, _takes_wait, _takes_device),
    ),
    "watch": (
        "let USB follow its seats while guests run",
        "watch.watch",
        (_takes_seat_file, _takes_service),
    ),
    "status": (
        "show which seat has what now",
        "look.status",
        (_takes_seat_file, _takes_json, _takes_follow),
    ),
    "confirm": ("keep the seats: stop the timer that gives them back", "change.confirm", ()),
    "lab": ("a whole PC in software", "lab.lab", ()),
}
