"""The service of systemd that runs `watch`: its unit, and what it tells systemd."""

from __future__ import annotations

import os
import socket

from phyllome_seat.system.files import read_file, remove_file, write_file
from phyllome_seat.system.run import run
from phyllome_seat.system.state import HEADER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "phyllome-seat-watch.service"
_UNIT = f"etc/systemd/system/{NAME}"
_COMMAND = "ExecStart=/usr/bin/phyllome-seat watch\n"


def notify(words: str) -> None:
    """Tell systemd something, sd_notify(3): "READY=1". Nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as own:
        own.sendto(words.encode(), "\0" + address[1:] if address[0] == "@" else address)


def find_watchdog_s() -> float | None:
    """Return how often systemd is to be told that we live; None: never.

    Three quarters of what it allows: sd_watchdog_enabled(3) advises half, which wakes us up more.
    """
    allowed = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(allowed) * 0.75e-6 if allowed.isdigit() and is_ours else None


def install_service(command: Sequence[str]) -> bool:
    """Write the unit with this command, enable and start it; return whether that was to do.

    *errors*: OSError; ProgramError where systemd says no.
    """
    from importlib.resources import files

    text = files("phyllome_seat.data.udev").joinpath(NAME).read_text()
    text = text.replace(_COMMAND, f"ExecStart={' '.join(map(_quote, command))}\n")
    is_new = read_file("/" + _UNIT) != text.encode()
    if is_new:
        write_file("/" + _UNIT, text.encode())
        run(("systemctl", "daemon-reload"))
    run(("systemctl", "enable", "--quiet", NAME))
    run(("systemctl", "restart" if is_new else "start", NAME), timeout_s=120)
    return is_new


def remove_service() -> bool:
    """Stop and remove the service if it is ours; return whether it was there."""
    content = read_file("/" + _UNIT)
    if content is None or not content.decode("utf-8", "replace").startswith(HEADER):
        return False
    run(("systemctl", "disable", "--quiet", "--now", NAME), timeout_s=120)
    remove_file("/" + _UNIT)
    run(("systemctl", "daemon-reload"))
    return True


def _quote(word: str) -> str:
    """Return a word as it stands in a unit, systemd.service(5), "Command lines"."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or " " in word else word
