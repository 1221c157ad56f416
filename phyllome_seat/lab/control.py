"""One running PC, many commands: the process that runs it answers others over a socket.

A request is one line of JSON, ``{"do": NAME, "with": [ARGUMENT, ...]}``; the answer is one line,
``{"said": ...}`` or ``{"error": TEXT, "hint": TEXT}``.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phyllome_seat.lab import places
from phyllome_seat.lab.describe import parse_thing
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.pc import Pc
from phyllome_seat.lab.picture import render_png
from phyllome_seat.model.errors import PhyllomeSeatError

DOWN = "down"


def _run(pc: Pc, *argv: str) -> dict[str, Any]:
    # One word is a line for the shell, as with ssh(1).
    done = pc.run(argv[0] if len(argv) == 1 else argv, check=False, timeout_s=600)
    return {"status": done.status, "stdout": done.stdout, "stderr": done.stderr}


def _picture(pc: Pc, card: str) -> str:
    return base64.b64encode(render_png(pc.picture(card))).decode()


def _plug(pc: Pc, controller: str, thing: str) -> None:
    pc.plug(parse_thing(thing), controller)


def _unplug(pc: Pc, thing: str) -> None:
    pc.unplug(thing)


def _power(pc: Pc) -> None:
    pc.power_cycle()


def _plugged(pc: Pc) -> dict[str, str]:
    return {name: f"{thing.kind} {at}:{thing.port}" for name, (at, thing) in pc.plugged.items()}


# What can be asked of a running PC; every argument is a text.
COMMANDS: Mapping[str, Callable[..., Any]] = {
    "run": _run,
    "picture": _picture,
    "plug": _plug,
    "unplug": _unplug,
    "plugged": _plugged,
    "press": lambda pc, keyboard, *keys: pc.press(keyboard, *keys),
    "change": lambda pc, thing: pc.device(thing).change(),
    "reset": lambda pc, thing, times="1": pc.device(thing).reset_loop(int(times)),
    "type": lambda pc, keyboard, text: pc.type(keyboard, text),
    "point": lambda pc, tablet, x, y: pc.point(tablet, float(x), float(y)),
    "move": lambda pc, mouse, right, down: pc.move(mouse, int(right), int(down)),
    "click": lambda pc, pointer, button="left": pc.click(pointer, button),
    "journal": lambda pc: pc.journal(),
    "console": lambda pc: pc.serial_log(),
    "address": lambda pc, part: pc.address(part),
    "power-cycle": _power,
    "restore": lambda pc: pc.restore(),
}


def do(pc: Pc, name: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401  JSON, by command
    """Does one command at a PC and returns what it says, fit for JSON."""
    if name not in COMMANDS:
        raise LabError(f"{name}: no such command; there are {', '.join(COMMANDS)}")
    try:
        return COMMANDS[name](pc, *arguments)
    except (TypeError, ValueError, KeyError) as error:
        raise LabError(f"{name} {' '.join(arguments)}: {error}") from error


def control_socket() -> Path:
    """Returns where the running PC of this user is asked."""
    return places.run_directory() / "control.sock"


def serve(pc: Pc, path: Path) -> None:
    """Answers requests, one at a time, until one says down or the PC has ended."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(1)
        try:
            while pc.machine.alive():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(None)
                    if _answer(pc, connection) == DOWN:
                        return
        finally:
            path.unlink(missing_ok=True)


def ask(name: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401  JSON, by command
    """Has the running PC do one command and returns what it says."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(control_socket()))
        except OSError:
            raise LabError(
                "no PC is running", hint="`phyllome-seat lab boot PC.yaml` starts one"
            ) from None
        connection.sendall(json.dumps({"do": name, "with": list(arguments)}).encode() + b"\n")
        with connection.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise LabError(f"{name}: the PC went down before it answered")
    answer = json.loads(line)
    if "error" in answer:
        raise LabError(answer["error"], hint=answer["hint"])
    return answer["said"]


def _answer(pc: Pc, connection: socket.socket) -> str:
    """Answers one request; returns its name."""
    with connection.makefile("rwb") as stream:
        request = json.loads(stream.readline() or b"{}")
        name = str(request.get("do", ""))
        answer: dict[str, Any]
        try:
            said = str(pc.directory) if name in (DOWN, "where") else None
            answer = {"said": said or do(pc, name, request.get("with", ()))}
        except PhyllomeSeatError as error:
            answer = {"error": str(error), "hint": error.hint}
        stream.write(json.dumps(answer).encode() + b"\n")
    return name
