"""A PC whose guests are libvirt's own QEMU daemon's, as on Fedora, instead of libvirtd's.

No Debian package has that daemon: `build_virtqemud.sh` makes it of Debian's source.
"""

from __future__ import annotations

from pathlib import Path

# Debian's library asks libvirtd unless it is told otherwise (remote_default_mode, debian/rules).
_INSTALL = r"""
systemctl -q mask --now libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket
tar -C / --no-overwrite-dir -xf /root/virtqemud.tar
apparmor_parser -r /etc/apparmor.d/usr.sbin.virtqemud
printf 'remote_mode = "direct"\nuri_default = "qemu:///system"\n' >>/etc/libvirt/libvirt.conf
systemctl daemon-reload
systemctl -q enable --now virtqemud.socket virtqemud-ro.socket virtqemud-admin.socket
virsh -q -c qemu:///system list >/dev/null
systemctl is-active -q virtqemud.service
"""


def install_virtqemud(pc, tar):
    """Puts libvirtd away, and its QEMU daemon in its place."""
    pc.put("/root/virtqemud.tar", Path(tar).read_bytes())
    pc.put("/root/virtqemud.sh", "set -e\n" + _INSTALL)
    pc.run("sh /root/virtqemud.sh", timeout_s=120)
