"""How a person reaches the host: its screen, serial terminals, SSH and who is logged in."""

from __future__ import annotations

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import Console, PciDevice
from phyllome_seat.model.printable import printable
from phyllome_seat.system.numbers import find_nearest
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.tcp import TcpSocket, read_ssh_ports

_DRM = "sys/class/drm/"
_SESSIONS = "run/systemd/sessions/"
# systemd keeps a link named so while a unit runs: src/core/unit.c, unit_export_invocation_id
_SERIAL_LOGIN = "invocation:serial-getty@"


def read_console(sysfs: Sysfs, pci: tuple[PciDevice, ...], tcp: tuple[TcpSocket, ...]) -> Console:
    """Return what shows the host's console and every other way in."""
    return Console(
        gpu=_find_gpu(sysfs, pci),
        serial=_read_serial(sysfs),
        ssh=_find_ssh(sysfs, tcp),
        sessions=_read_sessions(sysfs),
    )


def _find_gpu(sysfs: Sysfs, pci: tuple[PciDevice, ...]) -> PciAddress | None:
    """Return the GPU that shows the console, the surest sign first; None where nothing says.

    The first sign is new in 2026, the second the firmware's choice among VGA cards, which no
    longer shows the host anything once it has left it; the last is where the kernel draws its
    text. Sources: Documentation/ABI/testing/sysfs-class-drm ``boot_display``, sysfs-bus-pci
    ``boot_vga``, Documentation/fb/fbcon.rst.
    """
    for name in sysfs.list(_DRM):
        if "-" not in name and sysfs.read(f"{_DRM}{name}/boot_display") == "1":
            return _find_function(sysfs, _DRM + name)
    for device in pci:
        if device.boot_vga and device.is_gpu and not (device.driver or "").startswith("vfio"):
            return device.address
    return _find_function(sysfs, "sys/class/graphics/fb0")


def _find_function(sysfs: Sysfs, path: str) -> PciAddress | None:
    return find_nearest(sysfs.target(path) or "")


def _read_serial(sysfs: Sysfs) -> tuple[str, ...]:
    """Return the terminals on which systemd offers a login: ttyS0, hvc0."""
    return tuple(
        name.removeprefix(_SERIAL_LOGIN).removesuffix(".service")
        for name in sysfs.list("run/systemd/units")
        if name.startswith(_SERIAL_LOGIN)
    )


def _find_ssh(sysfs: Sysfs, tcp: tuple[TcpSocket, ...]) -> bool | None:
    """Return whether something listens where an SSH server does, for others than this host."""
    listening = {socket.port for socket in tcp if socket.listening and not socket.is_local}
    if not listening:
        return False if sysfs.exists("proc/net/tcp") else None
    return not listening.isdisjoint(read_ssh_ports(sysfs))


def _read_sessions(sysfs: Sysfs) -> tuple[str, ...]:
    """Return the logins at a seat as "seat0: alice on tty2", a login screen's too.

    Format: the files logind keeps and sd-login(3) reads, src/login/logind-session.c.
    """
    sessions = []
    for name in sysfs.list(_SESSIONS):
        if name.endswith(".ref"):  # a pipe, by which logind knows that the session lives
            continue
        lines = (line.partition("=") for line in (sysfs.read(_SESSIONS + name) or "").split("\n"))
        known = {key: printable(value) for key, _, value in lines}
        seat, user = known.get("SEAT"), known.get("USER") or known.get("UID")
        if seat and user and known.get("STATE") != "closing":
            terminal = known.get("TTY") or known.get("DISPLAY") or known.get("TYPE") or "?"
            sessions.append(f"{seat}: {user} on {terminal}")
    return tuple(sorted(sessions))
