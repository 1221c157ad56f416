"""Network interfaces, from ``/sys/class/net``, and what the host uses them for."""

from __future__ import annotations

from phyllome_seat.model.devices import NetworkInterface, NetworkUse
from phyllome_seat.model.printable import printable
from phyllome_seat.system.ip import is_loopback, parse_address, render_address
from phyllome_seat.system.numbers import find_nearest
from phyllome_seat.system.place import find_usb
from phyllome_seat.system.routes import Route, find_ways, read_owners, read_routes
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.tcp import TcpSocket, read_ssh_ports

_CLASS = "sys/class/net/"
_LOWER = "lower_"
_NETWORK_MOUNTS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "glusterfs", "fuse.glusterfs", "fuse.ceph"}
)
# nbd is there without a server, the others are not; AoE's names have a slash, written "!"
_NETWORK_DISKS = ("nbd", "rbd", "etherd!")
_SESSIONS = "run/systemd/sessions/"
_NO_INTERFACE = ("?",)  # a name that no interface has: a use of an interface nobody knows


def read_networks(
    sysfs: Sysfs, tcp: tuple[TcpSocket, ...]
) -> tuple[tuple[NetworkInterface, ...], tuple[NetworkUse, ...]]:
    """Return every interface but the loopback, and every use the host makes of one.

    Used are default routes, SSH sessions, and disks and file systems of other machines. A use
    whose interface is not known names one that is not there: whoever protects must then fear for
    all of them.
    """
    # bonding_masters is a file among the links: Documentation/networking/bonding.rst
    networks = tuple(
        _read_interface(sysfs, name, path)
        for name in sysfs.list(_CLASS)
        if name != "lo" and (path := sysfs.target(_CLASS + name)) is not None
    )
    routes = read_routes(sysfs)
    uses = [*_find_default_routes(routes), *_read_sessions(sysfs, tcp, routes)]
    uses += _read_logins(sysfs, routes, {use.why for use in uses})
    for address, why, evidence in (*_read_disks(sysfs), *_read_mounts(sysfs)):
        ways = find_ways(routes, address) if address else ()
        uses += [NetworkUse(way, why, evidence) for way in ways or _NO_INTERFACE]
    return networks, tuple(sorted(set(uses), key=lambda use: (use.interface, use.why)))


def _read_interface(sysfs: Sysfs, name: str, path: str) -> NetworkInterface:
    """Return the interface whose own folder is `path`."""
    names = sysfs.list(path)  # lower_eth0: Documentation/ABI/testing/sysfs-class-net
    return NetworkInterface(
        name=name,
        below=tuple(n.removeprefix(_LOWER) for n in names if n.startswith(_LOWER)),
        pci=find_nearest(path),
        usb=find_usb(sysfs, path),
        up=_read_up(sysfs.read(path + "/operstate")),
    )


def _read_up(state: str | None) -> bool | None:
    """Return whether it carries packets; "unknown" is said by drivers that do not track it."""
    return None if state in (None, "unknown") else state == "up"


def _find_default_routes(routes: tuple[Route, ...]) -> list[NetworkUse]:
    return [
        NetworkUse(route.interface, "default route", route.evidence)
        for route in routes
        if route.length == 0
    ]


def _read_sessions(
    sysfs: Sysfs, tcp: tuple[TcpSocket, ...], routes: tuple[Route, ...]
) -> list[NetworkUse]:
    """Return the SSH sessions from elsewhere, by the interface that has the address called, or
    that answers leave by: several where that is open.
    """
    sockets = [socket for socket in tcp if not (socket.listening or socket.is_local)]
    ports = read_ssh_ports(sysfs) if sockets else frozenset()
    uses = []
    owners: dict[bytes, str] | None = None
    for socket in sockets:
        if socket.port in ports:
            owners = read_owners(sysfs) if owners is None else owners
            why = f"SSH session from {render_address(socket.remote)}"
            for name in _find_carriers(socket, routes, owners):
                uses.append(NetworkUse(name, why, socket.evidence))
    return uses


def _read_logins(sysfs: Sysfs, routes: tuple[Route, ...], known: set[str]) -> list[NetworkUse]:
    """Return the sessions from elsewhere that logind knows of and no socket showed.

    A server may listen on a port that sshd_config does not say, as one started by a systemd socket
    does. Format: the files logind keeps, src/login/logind-session.c, ``REMOTE``.
    """
    uses = []
    for name in sysfs.list(_SESSIONS):
        if name.endswith(".ref"):
            continue
        path = _SESSIONS + name
        lines = (line.partition("=") for line in (sysfs.read(path) or "").split("\n"))
        said = {key: value for key, _, value in lines}
        if said.get("REMOTE") != "1" or said.get("STATE") == "closing":
            continue
        host = said.get("REMOTE_HOST", "")
        address = parse_address(host.partition("%")[0])
        kind = "SSH session" if said.get("SERVICE") == "sshd" else "session"
        there = render_address(address) if address else printable(host) or "elsewhere"
        if is_loopback(address) or f"SSH session from {there}" in known:
            continue
        ways = find_ways(routes, address) if address else ()
        uses += [NetworkUse(w, f"{kind} from {there}", "/" + path) for w in ways or _NO_INTERFACE]
    return uses


def _find_carriers(
    socket: TcpSocket, routes: tuple[Route, ...], owners: dict[bytes, str]
) -> tuple[str, ...]:
    if socket.local in owners:
        return (owners[socket.local],)
    links = [r.interface for r in routes if r.direct and r.length and r.leads_to(socket.local)]
    return tuple(dict.fromkeys((*links, *find_ways(routes, socket.remote)))) or _NO_INTERFACE


def _read_disks(sysfs: Sysfs) -> list[tuple[bytes, str, str]]:
    """Return the address of each machine that serves a disk here, why it counts, and who says so.

    The address is empty where it is not known. Sources: Documentation/ABI/testing/
    sysfs-class-iscsi_connection is missing, so drivers/scsi/scsi_transport_iscsi.c; drivers/nvme/
    host/sysfs.c ``address``; Documentation/admin-guide/blockdev/nbd.rst; drivers/block/rbd.c;
    Documentation/admin-guide/aoe/aoe.rst.
    """
    disks = []
    for name in sysfs.list("sys/class/iscsi_connection"):
        path = f"sys/class/iscsi_connection/{name}/persistent_address"
        disks.append((parse_address(sysfs.read(path) or ""), "disk by iSCSI", "/" + path))
    for name in sysfs.list("sys/class/nvme"):
        path = f"sys/class/nvme/{name}/address"
        for part in (sysfs.read(path) or "").split(","):
            key, _, value = part.partition("=")
            if key == "traddr" and (address := parse_address(value)):
                disks.append((address, "disk by NVMe over network", "/" + path))
    for name in sysfs.list("sys/class/block"):
        if not name.startswith(_NETWORK_DISKS):
            continue
        path = f"sys/class/block/{name}"
        if name.startswith("nbd"):
            path += "/pid"
        if sysfs.exists(path):
            disks.append((b"", f"disk {printable(name)}", "/" + path))
    return disks


def _read_mounts(sysfs: Sysfs) -> list[tuple[bytes, str, str]]:
    """Return the same for each network file system that is mounted."""
    path = "proc/self/mountinfo"
    mounts = []
    for line in (sysfs.read(path) or "").split("\n"):
        before, _, after = line.partition(" - ")
        filesystem, _, rest = after.partition(" ")
        if filesystem not in _NETWORK_MOUNTS:
            continue
        options = rest.rpartition(" ")[2].split(",")
        server = next((o.removeprefix("addr=") for o in options if o.startswith("addr=")), "")
        point = printable((before.split(" ") + [""] * 5)[4]) or "?"
        why = "root file system" if point == "/" else f"{filesystem} mount at {point}"
        mounts.append((parse_address(server), why, "/" + path))
    return mounts
