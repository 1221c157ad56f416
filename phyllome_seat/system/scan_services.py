"""Which of libvirt's daemons run and listen, what is masked, who confines: for `check`.

Sources: proc_net_unix(5); systemd.unit(5) for masks; the kernel's
Documentation/admin-guide/cgroup-v2.rst, security/selinux/selinuxfs.c, security/apparmor/lsm.c.
"""

from __future__ import annotations

import stat

from phyllome_seat.model.platform import Node
from phyllome_seat.system.sysfs import Sysfs

_DAEMONS = ("libvirtd", "virtqemud")
_SOCKETS = ("libvirt-sock", "virtqemud-sock")
_LISTENS = "00010000"  # __SO_ACCEPTCON: include/linux/net.h, unix_seq_show in net/unix/af_unix.c
_UNITS = (
    *(f"libvirtd{kind}" for kind in (".service", ".socket", "-ro.socket", "-admin.socket")),
    *(f"virtqemud{kind}" for kind in (".service", ".socket", "-ro.socket", "-admin.socket")),
    *("sleep.target", "suspend.target"),
)
_NODES = ("dev/kvm", "dev/vfio/vfio")
_BOOLEANS = ("virt_use_usb",)


def read_listening(sysfs: Sysfs) -> tuple[str, ...] | None:
    """Return the sockets of libvirt somebody listens on, systemd too; None where nobody says."""
    table = sysfs.read("proc/net/unix")
    if table is None:
        return None
    fields = [line.split() for line in table.splitlines()]
    paths = {f[7].removeprefix("/var") for f in fields if len(f) == 8 and f[3] == _LISTENS}
    return tuple(name for name in _SOCKETS if f"/run/libvirt/{name}" in paths)


def read_daemons(sysfs: Sysfs) -> tuple[str, ...]:
    """Return the daemons of libvirt that run as services now."""
    folder = "sys/fs/cgroup/system.slice"
    return tuple(
        name for name in _DAEMONS if sysfs.read(f"{folder}/{name}.service/cgroup.procs") or ""
    )


def read_masked(sysfs: Sysfs) -> tuple[str, ...]:
    """Return the units that lead to /dev/null, for good or for this boot."""
    folders = ("etc/systemd/system", "run/systemd/system")
    return tuple(
        unit
        for unit in _UNITS
        if any(sysfs.target(f"{folder}/{unit}") == "dev/null" for folder in folders)
    )


def read_security(sysfs: Sysfs) -> tuple[str, ...]:
    """Return what confines guests here, as it is."""
    found = []
    if sysfs.read("sys/module/apparmor/parameters/enabled") == "Y":
        found.append("apparmor")
    enforces = sysfs.read("sys/fs/selinux/enforce")
    if enforces is not None:
        found.append("selinux enforcing" if enforces == "1" else "selinux permissive")
    return tuple(found)


def read_booleans_off(sysfs: Sysfs) -> tuple[str, ...]:
    """Return SELinux's booleans that are off now: the first of the two numbers in each file."""
    texts = {name: sysfs.read(f"sys/fs/selinux/booleans/{name}") for name in _BOOLEANS}
    return tuple(name for name, text in texts.items() if text and text.split()[0] == "0")


def read_nodes(sysfs: Sysfs) -> tuple[Node, ...]:
    """Return the device nodes that QEMU opens, whatever its guest."""
    found = []
    for path in _NODES:
        status = sysfs.status(path)
        if status is not None and stat.S_ISCHR(status.st_mode):
            found.append(Node(f"/{path}", stat.S_IMODE(status.st_mode), status.st_gid))
    return tuple(found)
