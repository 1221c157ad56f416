"""`phyllome-seat lab`: build, boot and use the lab's PC from a shell."""

from __future__ import annotations

import argparse
import base64
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from phyllome_seat.lab import control
from phyllome_seat.lab.boot import KINDS
from phyllome_seat.lab.describe import read_description
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.image import image
from phyllome_seat.lab.packages import RELEASES
from phyllome_seat.lab.pc import Pc
from phyllome_seat.lab.progress import Progress
from phyllome_seat.lab.terminal import join_terminal

_AT_A_PC = {
    "run": ("run a command in the PC; its output and exit status are this command's", "COMMAND"),
    "picture": ("write what a card's monitor shows to a PNG file", "CARD FILE.png"),
    "plug": ("plug something in: CONTROLLER '{id: stick, kind: storage, port: \"3\"}'", ""),
    "unplug": ("pull something out", "ID"),
    "plugged": ("list what is in the USB ports", ""),
    "press": ("press keys together on one keyboard, or buttons of a gamepad", "KEYBOARD KEY..."),
    "change": ("have a changing or modem device come back as another", "ID"),
    "reset": ("have a gamepad or odd device go and come back, once a second", "ID [TIMES]"),
    "type": ("type a text on one keyboard", "KEYBOARD TEXT"),
    "point": ("move a tablet's pointer; from 0 to 1", "TABLET X Y"),
    "move": ("move a relative mouse by steps", "MOUSE RIGHT DOWN"),
    "click": ("press a button of a tablet or mouse", "POINTER [left|middle|right]"),
    "journal": ("print the PC's journal", ""),
    "console": ("print what the PC said on its serial console", ""),
    "address": ("print the PCI address of a part, by its id", "ID"),
    "power-cycle": ("turn the PC off and on", ""),
    "restore": ("go back to the PC as it was when ready", ""),
}


def main(arguments: Sequence[str]) -> int:
    """Runs one `lab` command and returns its exit status."""
    # What follows `--` is the PC's, and argparse must not look into it.
    before, _, after = "\0".join(arguments).partition("\0--\0")
    args = _parser().parse_args(before.split("\0") if before else [])
    args.arguments = [*getattr(args, "arguments", []), *(after.split("\0") if after else [])]
    signal.signal(signal.SIGTERM, _stop)  # in order: the PC goes, and what it left on this machine
    signal.signal(signal.SIGHUP, _stop)
    status: int = args.run(args)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="phyllome-seat lab",
        description="A whole PC in software. `boot` keeps one up until Ctrl-C; the commands below "
        "it are done at the PC that is up, or with -f at one that is up just for that.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build the PC's system image, if it is not there")
    _add_kind(build)
    build.set_defaults(run=_build)
    boot = commands.add_parser("boot", help="boot a PC and keep it up until Ctrl-C")
    boot.add_argument("description", metavar="PC.yaml", type=Path)
    _add_kind(boot)
    boot.set_defaults(run=_boot)
    for name, (text, arguments) in _AT_A_PC.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("-f", "--file", metavar="PC.yaml", type=Path)
        _add_kind(command)
        command.add_argument("arguments", nargs="*", metavar=arguments or "ARGUMENT")
        command.set_defaults(run=_at_a_pc, name=name)
    shell = commands.add_parser("shell", help="a root shell on the PC that is up")
    shell.set_defaults(run=_shell)
    down = commands.add_parser("down", help="end the PC that is up")
    down.set_defaults(run=_down)
    return parser


def _add_kind(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--release", choices=RELEASES, default="trixie", help="Debian's name of it")
    parser.add_argument("--boot", choices=KINDS, default="direct", help="default: %(default)s")


def _build(args: argparse.Namespace) -> int:
    loader = "systemd-boot" if args.boot == "systemd-boot" else "grub"
    with Progress() as say:
        built = image(args.release, loader, say)
    print(built.directory)
    return 0


def _boot(args: argparse.Namespace) -> int:
    with _open(args, args.description) as pc:
        print(f"up; its sockets and logs are in {pc.directory}; Ctrl-C ends it", flush=True)
        try:
            control.serve(pc, control.control_socket())
        except KeyboardInterrupt:
            print("ending the PC", file=sys.stderr)
    return 0


def _at_a_pc(args: argparse.Namespace) -> int:
    arguments: list[str] = args.arguments
    if args.name == "run" and not args.file and arguments and _is_description(arguments[0]):
        args.file = Path(arguments.pop(0))
    file = Path(arguments.pop()) if args.name == "picture" and len(arguments) == 2 else None
    if args.name == "picture" and file is None:
        raise LabError("picture: expected CARD FILE.png")
    if args.file is None:
        said = control.ask(args.name, arguments)
    else:
        with _open(args, args.file) as pc:
            said = control.do(pc, args.name, arguments)
    return _show(said, file)


def _is_description(word: str) -> bool:
    return word.endswith((".yaml", ".yml")) and Path(word).is_file()


def _show(said: Any, file: Path | None) -> int:  # noqa: ANN401  whatever a command said
    """Prints what a command said, and returns the exit status for it."""
    if file is not None:
        file.write_bytes(base64.b64decode(said))
    elif isinstance(said, dict) and "status" in said:
        sys.stdout.write(said["stdout"])
        sys.stderr.write(said["stderr"])
        return int(said["status"])
    elif isinstance(said, dict):
        for name, what in said.items():
            print(f"{name}\t{what}")
    elif said is not None:
        print(str(said).rstrip("\n"))
    return 0


def _shell(args: argparse.Namespace) -> int:
    directory = control.ask("where", ())
    print("the PC's shell; Ctrl-] leaves it", file=sys.stderr)
    join_terminal(Path(directory) / "shell.sock")
    return 0


def _down(args: argparse.Namespace) -> int:
    control.ask(control.DOWN, ())
    return 0


def _open(args: argparse.Namespace, description: Path) -> Pc:
    with Progress() as say:
        return Pc.open(
            read_description(description),
            release=args.release,
            boot=args.boot,
            may_restart=True,
            say=say,
        )


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
