"""What commands are given: a machine to look at, a seat file, root's rights; and the statuses."""

from __future__ import annotations

import sys

from phyllome_seat.model.errors import PhyllomeSeatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from phyllome_seat.model.devices import Host
    from phyllome_seat.model.seat import Wish

SEAT_FILE = "etc/phyllome-seat/seats.yaml"
DONE, MACHINE_SAYS_NO, INPUT_IS_WRONG = 0, 1, 2


def read_host(args: argparse.Namespace, *, guests: bool = False) -> Host:
    """Return the PC a command is about: this one, one below a folder, or one from a file."""
    if getattr(args, "host", None) is not None:
        from phyllome_seat.model.errors import HostFileError
        from phyllome_seat.model.host_json import parse_host

        try:
            return parse_host(read_text(args.host))
        except HostFileError as error:
            raise HostFileError(f"{args.host}: {error}", hint=error.hint) from error
    from phyllome_seat.system.scan import scan
    from phyllome_seat.system.sysfs import Sysfs

    asked = guests or getattr(args, "guests", False)
    if not asked or args.sysroot != "/":
        return scan(Sysfs(args.sysroot))
    from phyllome_seat.system.guests import read_guests

    return scan(Sysfs("/"), guests=lambda: read_guests(args.connect))


def read_wish(args: argparse.Namespace, *, missing_is_empty: bool = False) -> Wish:
    """Return the seat file; with `missing_is_empty`, no seats where the usual one is not there."""
    from phyllome_seat.model.seat import Wish
    from phyllome_seat.model.seat_file import parse_wish

    usual = args.sysroot.rstrip("/") + "/" + SEAT_FILE
    path = usual if args.file is None else args.file
    try:
        return parse_wish(read_text(path, "surrogateescape"), path)
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


def read_text(path: str, errors: str = "backslashreplace") -> str:
    """Return a file's text, standard input's for ``-``; `errors` is of what is not UTF-8."""
    try:
        with open(0 if path == "-" else path, "rb") as file:  # noqa: PTH123 - a start without pathlib
            return file.read().decode("utf-8", errors)
    except OSError as error:
        hint = "name another with -f" if path.endswith(".yaml") else ""
        raise _NoSuchFileError(f"{path}: {error.strerror}", hint=hint) from error


def on_this_machine(args: argparse.Namespace, why: str) -> None:
    """Refuse what has to do with the machine itself below another root."""
    if args.sysroot != "/":
        raise _SysrootError(f"{why}: only on this machine, not below {args.sysroot}")


def need_root(args: argparse.Namespace, why: str) -> None:
    """Refuse what changes the machine to who may not, and below another root."""
    import os

    on_this_machine(args, why)
    if os.geteuid() != 0:
        raise PhyllomeSeatError(f"{why}: only root may", hint="run it with sudo")


def say(line: str) -> None:
    """Print a line at once, one whatever is in it."""
    from phyllome_seat.model.printable import one_line

    print(one_line(line), flush=True)


def agree(question: str) -> bool:
    """Ask for a typed yes; without a terminal there is nobody to ask, which is a no."""
    if not sys.stdin.isatty():
        return False
    return input(f"{question} Type yes to go on: ").strip() == "yes"
