"""The command: reads its line, calls the library, prints, exits. The only module that does.

Everything but argparse is imported where a command needs it: ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys

from phyllome_seat import __version__
from phyllome_seat.model.errors import PhyllomeSeatError, SeatFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from phyllome_seat.model.devices import Host
    from phyllome_seat.model.seat import Wish
    from phyllome_seat.model.step import Step

    Run = Callable[[argparse.Namespace], int]
    Command = tuple[str, Run, tuple[Callable[[argparse.ArgumentParser], None], ...]]

SEAT_FILE = "etc/phyllome-seat/seats.yaml"
UNATTENDED_STOP_S = 20.0
DONE, MACHINE_SAYS_NO, INPUT_IS_WRONG = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 the machine said no, 2 wrong input."""
    args = parse_line(arguments)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except SeatFileError as error:
        for problem in error.problems:
            _complain(problem)
        return error.exit_status
    except PhyllomeSeatError as error:
        _complain(error)
        return error.exit_status
    except BrokenPipeError:
        sys.stderr.close()  # else Python complains about standard output once more at exit
        return DONE
    except KeyboardInterrupt:
        return 130


def _complain(error: PhyllomeSeatError) -> None:
    for line in str(error).splitlines():
        print(f"phyllome-seat: {line}", file=sys.stderr)
    if error.hint:
        print(f"  ({error.hint})", file=sys.stderr)


# -- the commands ----------------------------------------------------------------------------------


def _scan(args: argparse.Namespace) -> int:
    host = _host(args)
    if args.json:
        from phyllome_seat.model.host_json import render_host

        sys.stdout.write(render_host(host))
    else:
        from phyllome_seat.model.picture import render_picture
        from phyllome_seat.model.protect import protect

        sys.stdout.write(render_picture(host, protect(host)))
    return DONE


def _plan(args: argparse.Namespace) -> int:
    from phyllome_seat.model.assign import assign
    from phyllome_seat.model.plan import plan

    wish = _wish(args)
    host = _host(args, guests=True)
    assignment = assign(wish, host)
    steps = plan(assignment, host)
    if args.json:
        _print_json_steps(steps)
        return DONE
    for seat in assignment.seats:
        for note in seat.notes:
            print(f"seat {seat.seat.name}: {note}")
    _print_steps(steps)
    if host.guests is None:
        print("guests were not asked: libvirt did not answer, or the plan is for another machine")
    return DONE


def _print_steps(steps: tuple[Step, ...]) -> None:
    for number, step in enumerate(steps, 1):
        print(f"{number:3}. {step}")
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


def _apply(args: argparse.Namespace) -> int:
    from phyllome_seat.system.seating import apply_wish

    _need_root(args, "apply binds drivers and writes rules")
    done = apply_wish(_wish(args), say=_say, agree=_agree, lock_wait_s=args.wait, uri=args.connect)
    print(f"done: {done} steps" if done else "nothing to do: the machine is as the file wants it")
    return DONE


def _revert(args: argparse.Namespace) -> int:
    from phyllome_seat.system.seating import revert

    _need_root(args, "revert gives devices back")
    done, left = revert(
        say=_say,
        lock_wait_s=args.wait,
        stop_first_s=UNATTENDED_STOP_S if args.unattended else None,
        uri=args.connect,
    )
    print(f"done: {done} steps" if done else "nothing to do: no seat is set up here")
    for line in left:
        print(f"left: {line}", file=sys.stderr)
    return MACHINE_SAYS_NO if left else DONE


def _start(args: argparse.Namespace) -> int:
    from phyllome_seat.system.seating import start_seats

    _need_root(args, "start hands devices to guests")
    start_seats(_wish(args), args.seats, say=_say, lock_wait_s=args.wait, uri=args.connect)
    return DONE


def _stop(args: argparse.Namespace) -> int:
    from phyllome_seat.system.seating import stop_seats

    _need_root(args, "stop ends guests")
    still = stop_seats(
        _wish(args),
        args.seats,
        say=_say,
        timeout_s=args.timeout,
        force=args.force,
        uri=args.connect,
    )
    return MACHINE_SAYS_NO if still else DONE


def _status(args: argparse.Namespace) -> int:
    from phyllome_seat.model.status import find_status, render_status

    wish = _wish(args, missing_is_empty=True)
    status = find_status(wish, _host(args, guests=True))
    if args.json:
        import json

        json.dump(status, sys.stdout, indent=1)
        print()
    else:
        sys.stdout.write(render_status(status))
    return DONE


def _confirm(args: argparse.Namespace) -> int:
    from phyllome_seat.system.console_return import confirm

    _need_root(args, "confirm stops the timer that gives the console back")
    armed = confirm()
    print("confirmed: the seats stay" if armed else "nothing to confirm: no timer is armed")
    return DONE


# -- what the commands share -----------------------------------------------------------------------


def _host(args: argparse.Namespace, *, guests: bool = False) -> Host:
    if getattr(args, "host", None):
        from phyllome_seat.model.host_json import parse_host

        return parse_host(_read_text(args.host))
    from phyllome_seat.system.scan import scan
    from phyllome_seat.system.sysfs import Sysfs

    asked = guests or getattr(args, "guests", False)
    if not asked or args.sysroot != "/":
        return scan(Sysfs(args.sysroot))
    from phyllome_seat.system.guests import read_guests

    return scan(Sysfs("/"), guests=lambda: read_guests(args.connect))


def _wish(args: argparse.Namespace, *, missing_is_empty: bool = False) -> Wish:
    from phyllome_seat.model.seat import Wish
    from phyllome_seat.model.seat_file import parse_wish

    path = args.file or args.sysroot.rstrip("/") + "/" + SEAT_FILE
    try:
        return parse_wish(_read_text(path), path)
    except _NoSuchFileError:
        if missing_is_empty and args.file is None:
            return Wish(file=path)
        raise


class _NoSuchFileError(PhyllomeSeatError):
    """A file named on the command line that cannot be read."""

    exit_status = INPUT_IS_WRONG


class _SysrootError(PhyllomeSeatError):
    """A command that changes the machine, asked to do so below a folder."""

    exit_status = INPUT_IS_WRONG


def _read_text(path: str) -> str:
    try:
        with open(0 if path == "-" else path, "rb") as file:  # noqa: PTH123 - a start without pathlib
            return file.read().decode("utf-8", "backslashreplace")
    except OSError as error:
        hint = "name another with -f" if path.endswith(".yaml") else ""
        raise _NoSuchFileError(f"{path}: {error.strerror}", hint=hint) from error


def _need_root(args: argparse.Namespace, why: str) -> None:
    import os

    if args.sysroot != "/":
        raise _SysrootError(f"{why}: only on this machine, not below {args.sysroot}")
    if os.geteuid() != 0:
        raise PhyllomeSeatError(f"{why}: only root may", hint="run it with sudo")


def _say(line: str) -> None:
    print(line, flush=True)


def _agree(question: str) -> bool:
    """Ask for a typed yes; without a terminal there is nobody to ask, which is a no."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} Type yes to go on: ").strip() == "yes"


# -- the command line ------------------------------------------------------------------------------


def parse_line(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line says, with the function to call for it as ``run``.

    Two parsers, the second made for the one command that is used: argparse looks up a translation
    for each parser and each argument, and ten commands would take longer than a scan of a PC.
    """
    args = _main_parser().parse_args(arguments)
    args.run = COMMANDS[args.command][1]
    return (
        args if args.command == "lab" else command_parser(args.command).parse_args(args.rest, args)
    )


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of what comes after the name of a command."""
    words, _, add_arguments = COMMANDS[name]
    parser = argparse.ArgumentParser(
        prog=f"phyllome-seat {name}",
        description=words[0].upper() + words[1:] + ".",
        formatter_class=_Words,
    )
    for add in add_arguments:
        add(parser)
    return parser


def _main_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="phyllome-seat",
        usage="%(prog)s [-h] [--version] [--sysroot DIR] [--connect URI]\n"
        "                     COMMAND ...",
        description="Several people share one PC, each with a guest that feels like a whole one.",
        epilog="exit status: 0 done, also when there was nothing to do; 1 the machine said no;\n"
        "2 the command line or the seat file is wrong",
        formatter_class=_Words,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--sysroot", default="/", metavar="DIR", help="read below DIR, not /")
    parser.add_argument(
        "--connect", default="qemu:///system", metavar="URI", help="libvirt to ask (%(default)s)"
    )
    listed = "\n".join(f"{name:10}{words}" for name, (words, _, _) in COMMANDS.items())
    commands = parser.add_argument_group("commands", listed)
    commands.add_argument("command", metavar="COMMAND", choices=COMMANDS, help=argparse.SUPPRESS)
    commands.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


class _Words(argparse.RawTextHelpFormatter):
    """Help laid out here, for 80 columns.

    argparse would ask shutil for the terminal's width, which imports all archive formats, and
    break lines by textwrap: together a fifth of ``--help``.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


def _takes_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def _takes_guests(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--guests", action="store_true", help="ask libvirt for its domains too")


def _takes_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="FILE", help="plan for the Host that `scan --json` wrote")


def _takes_seat_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--file", metavar="FILE", help=f"the seat file (/{SEAT_FILE})")


def _takes_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="S", help="wait for the lock (%(default)s s)"
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
        "--timeout", type=float, default=60.0, metavar="S", help="seconds to wait (%(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="then pull the plug")


def _lab(args: argparse.Namespace) -> int:
    from phyllome_seat.lab.cli import main as lab_main

    return lab_main(args.rest)


# name: what it does, in words; the function that does it; what may follow the name
COMMANDS: dict[str, Command] = {
    "scan": ("show the PC: cards, monitors, USB, groups", _scan, (_takes_json, _takes_guests)),
    "plan": (
        "say what apply would do, and do nothing",
        _plan,
        (_takes_seat_file, _takes_host, _takes_json),
    ),
    "apply": ("set the seats up as the seat file says", _apply, (_takes_seat_file, _takes_wait)),
    "revert": ("give everything back to the host", _revert, (_takes_wait, _takes_unattended)),
    "start": (
        "start the guests of the seats",
        _start,
        (_takes_seat_file, _takes_wait, _takes_seats),
    ),
    "stop": (
        "stop the guests of the seats",
        _stop,
        (_takes_seat_file, _takes_seats, _takes_force),
    ),
    "status": ("show which seat has what now", _status, (_takes_seat_file, _takes_json)),
    "confirm": ("keep the seats: stop the timer that gives them back", _confirm, ()),
    "lab": ("a whole PC in software", _lab, ()),
}


if __name__ == "__main__":
    sys.exit(main())
