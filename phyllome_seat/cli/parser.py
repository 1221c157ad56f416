"""What argparse makes of the command line, once there is more on it than ``--help``."""

from __future__ import annotations

import argparse
from importlib import import_module
from os.path import isdir

from phyllome_seat import __version__
from phyllome_seat.cli.line import COMMANDS, CONNECT, USAGE, render_help

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def parse(line: Sequence[str]) -> argparse.Namespace:
    """Return what the command line says, with the function to call for it as ``run``.

    Two parsers, the second made for the one command that is used: argparse looks up a translation
    for each parser and each argument, and ten commands would take longer than a scan of a PC.
    """
    args = _main_parser().parse_args(line)
    args.run = _find(COMMANDS[args.command][1])
    return (
        args if args.command == "lab" else command_parser(args.command).parse_args(args.rest, args)
    )


def _find(place: str) -> Callable[[argparse.Namespace], int]:
    """Return the function of a command, for whose module only the command that is used waits."""
    module, _, name = place.partition(".")
    found: Callable[[argparse.Namespace], int] = getattr(
        import_module(f"phyllome_seat.cli.{module}"), name
    )
    return found


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
    parser = _Main(prog="phyllome-seat", usage=USAGE, formatter_class=_Words)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--sysroot", type=folder, default="/", metavar="DIR")
    parser.add_argument("--connect", default=CONNECT, metavar="URI")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS)
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER)
    return parser


def folder(text: str) -> str:
    """Return a path that is a folder's; ValueError for another: nothing is below it to be read."""
    if not isdir(text):  # noqa: PTH112 - a start without pathlib
        raise ValueError(text)
    return text


class _Main(argparse.ArgumentParser):
    """The parser before a command, whose help is the one that is there without argparse."""

    def format_help(self) -> str:
        """Return the help of the whole command."""
        return render_help()


class _Words(argparse.RawTextHelpFormatter):
    """Help laid out here, for 80 columns.

    argparse would ask shutil for the terminal's width, which imports all archive formats, and
    break lines by textwrap: together a fifth of the time of help.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)
