"""Whether libvirt answers, and whether its QEMU may open what it needs: who confines stays on.

Sources: libvirt.org/daemons.html for the two ways it runs; libvirt's qemu.conf; systemd's
50-udev-default.rules for the permissions of the nodes; libvirt's TEMPLATE.qemu and abstractions for
AppArmor; selinux-policy for ``virt_use_usb``, without which a guest's QEMU gets no USB device.
"""

from __future__ import annotations

from phyllome_seat.model.check_fix import find_family, line_fix
from phyllome_seat.model.devices import Host
from phyllome_seat.model.finding import Finding
from phyllome_seat.model.platform import Node, Platform

_SOCKETS = {"libvirtd": "libvirt-sock", "virtqemud": "virtqemud-sock"}
_KINDS = {"libvirtd": "monolithic", "virtqemud": "modular"}
_UNITS = (".service", ".socket", "-ro.socket", "-admin.socket")
_OPENED = ("/dev/kvm", "/dev/vfio", "/dev/bus/usb", "/sys/bus/pci", "/sys/devices/pci")


def check_libvirt(host: Host) -> list[Finding]:
    """Return what keeps guests from starting once all is installed."""
    platform = host.platform
    if platform is None or not platform.kernel:
        return []
    return [
        *_check_daemon(platform),
        *_check_nodes(platform),
        *_check_devices(platform),
        *_check_confinement(platform),
    ]


def _check_daemon(platform: Platform) -> list[Finding]:
    names = [path.rpartition("/")[2] for path in platform.programs]
    there = [name for name in _SOCKETS if name in names]
    if platform.listening is None or not there:
        return []
    if len(platform.daemons) > 1:
        loser = "libvirtd" if find_family(platform) == "fedora" else "virtqemud"
        words = "libvirtd and virtqemud run both, and neither knows the other's guests"
        units = " ".join(loser + kind for kind in _UNITS)
        evidence = "/sys/fs/cgroup/system.slice"
        fix = f"sudo systemctl disable --now {units}"
        return [Finding("warning", "libvirt", words, evidence, fix)]
    answers = [name for name in there if _SOCKETS[name] in platform.listening]
    if answers or platform.listening:
        name = answers[-1] if answers else there[0]
        words = f"{_KINDS[name]}: {name} answers"
        return [Finding("note", "libvirt", words, f"/run/libvirt/{_SOCKETS[name]}", "")]
    # Fedora has moved to the modular daemons, Debian and Arch start libvirtd
    name = there[-1] if find_family(platform) == "fedora" else there[0]
    masked = [unit for unit in platform.masked if unit.startswith(name)]
    steps = [f"sudo systemctl unmask {' '.join(masked)}"] if masked else []
    steps.append(f"sudo systemctl enable --now {name}.service")
    evidence = f"/proc/net/unix: nobody listens on /run/libvirt/{_SOCKETS[name]}"
    evidence += f"; /etc/systemd/system/{masked[0]} leads to /dev/null" if masked else ""
    words = f"is installed ({_KINDS[name]}) and does not answer"
    return [Finding("error", "libvirt", words, evidence, "; ".join(steps))]


def _check_nodes(platform: Platform) -> list[Finding]:
    """Find nodes that QEMU, which is not root, cannot open.

    A group other than root's is taken for one that QEMU's user is in: kvm, qemu, libvirt-qemu.
    """
    return [
        Finding(
            "error",
            node.path,
            "QEMU may not open it, since libvirt does not run it as root",
            f"{node.path}: mode {node.mode:04o}, group {node.group}",
            # udev sets what its rules say for a node that is added again: udevadm(8)
            f"sudo udevadm trigger --settle --action=add {node.path}",
        )
        for node in platform.nodes
        if not _may_open(node)
    ]


def _may_open(node: Node) -> bool:
    return node.mode & 0o006 == 0o006 or (node.mode & 0o060 == 0o060 and node.group != 0)


def _check_devices(platform: Platform) -> list[Finding]:
    """Find a list of devices that its owner wrote, and that leaves out what every guest needs."""
    return [
        Finding(
            "error",
            "cgroup_device_acl",
            "its list has no /dev/kvm, so no guest gets it",
            f"{line.file}:{line.line}",
            f'add "/dev/kvm", after the [ of line {line.line} of {line.file}; '
            f"sudo systemctl restart {platform.daemons[0] if platform.daemons else 'libvirtd'}",
        )
        for line in platform.settings
        if line.text.startswith("cgroup_device_acl") and '"/dev/kvm"' not in line.text
    ]


def _check_confinement(platform: Platform) -> list[Finding]:
    found = []
    for line in platform.settings:
        paths = [path for path in _OPENED if path in line.text]
        if "apparmor" in platform.security and "/apparmor.d/" in line.file and paths:
            words = f"keeps guests from {paths[0]}, which they need"
            evidence = f"{line.file}:{line.line}: {line.text}"
            # each guest's profile is made, and includes the file, when it starts: virt-aa-helper
            fix = line_fix(platform, line)
            found.append(Finding("error", "AppArmor", words, evidence, fix))
    if "selinux enforcing" in platform.security and "virt_use_usb" in platform.booleans_off:
        words = "keeps guests from USB devices"
        evidence = "/sys/fs/selinux/booleans/virt_use_usb: 0"
        fix = "sudo setsebool -P virt_use_usb on"
        found.append(Finding("warning", "SELinux", words, evidence, fix))
    if platform.security and not found:
        names = " and ".join(_NAMES.get(name, name) for name in platform.security)
        words = f"{names}: guests stay confined, and nothing here needs that off"
        found.append(
            Finding("note", "confinement", words, "/sys/module/apparmor, /sys/fs/selinux", "")
        )
    return found


_NAMES = {
    "apparmor": "AppArmor is on",
    "selinux enforcing": "SELinux is enforcing",
    "selinux permissive": "SELinux is permissive",
}
