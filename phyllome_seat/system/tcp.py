"""TCP sockets of the host, from ``/proc/net/tcp`` and ``tcp6``: proc_pid_net(5)."""

from __future__ import annotations

from phyllome_seat.model.value import dataclass
from phyllome_seat.system.ip import is_loopback, parse_kernel_address
from phyllome_seat.system.sysfs import Sysfs

_ESTABLISHED, _LISTEN = "01", "0A"  # include/net/tcp_states.h
_SSH = 22


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """One TCP socket that listens or is connected."""

    local: bytes
    port: int
    remote: bytes
    listening: bool
    evidence: str

    @property
    def is_local(self) -> bool:
        """Whether only this host itself can be at the other end."""
        return is_loopback(self.local)


def read_tcp(sysfs: Sysfs) -> tuple[TcpSocket, ...]:
    """Return the TCP sockets that listen or are connected, IPv4 first."""
    sockets = []
    for path in ("proc/net/tcp", "proc/net/tcp6"):
        for line in (sysfs.read(path) or "").split("\n")[1:]:
            fields = line.split()
            if len(fields) < 4 or fields[3] not in (_ESTABLISHED, _LISTEN):
                continue
            try:
                local, port = _parse_end(fields[1])
                remote, _ = _parse_end(fields[2])
            except ValueError:
                continue
            sockets.append(TcpSocket(local, port, remote, fields[3] == _LISTEN, "/" + path))
    return tuple(sockets)


def read_ssh_ports(sysfs: Sysfs) -> frozenset[int]:
    """Return the ports an SSH server may listen on: those configured, and 22. sshd_config(5)."""
    texts = []
    folder = "etc/ssh/sshd_config.d"
    for path in ("etc/ssh/sshd_config", *(f"{folder}/{name}" for name in sysfs.list(folder))):
        for line in (sysfs.read(path) or "").split("\n"):
            if line[:1] in "#":  # most are, or empty
                continue
            match line.lower().replace("=", " ").split():
                case ["port", port, *_]:
                    texts.append(port)
                case ["listenaddress", address, *_] if address.count(":") == 1 or "]:" in address:
                    texts.append(address.rpartition(":")[2])
    return frozenset({_SSH, *(int(text) for text in texts if text.isdecimal() and len(text) < 6)})


def _parse_end(text: str) -> tuple[bytes, int]:
    """Return address and port of one end; ValueError for a text that is none."""
    address, _, port = text.partition(":")
    return parse_kernel_address(address), int(port, 16)
