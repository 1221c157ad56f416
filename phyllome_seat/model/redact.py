"""A `Host` that can be posted in public: what names a person, a network or one device is a token.

The same text gives the same token, so twins stay twins and what matched still does. What is not
known to be harmless goes: of mount points, interfaces, kernel arguments only the common are kept,
and a device's own name only where its maker wrote it. Guests and our own files are left out whole:
a domain's XML has too much in it.
"""

from __future__ import annotations

import re

from phyllome_seat.model.devices import (
    BlockDevice,
    Host,
    Mount,
    NetworkInterface,
    NetworkUse,
)
from phyllome_seat.model.platform import Platform, Setting
from phyllome_seat.model.redact_devices import (
    Tokens,
    redact_connector,
    redact_input,
    redact_seat,
    redact_usb,
)
from phyllome_seat.model.value import replace

_BLOCK = re.compile(  # Documentation/admin-guide/devices.txt; not md_alice: md(4), named arrays
    r"(sd|hd|vd|xvd)[a-z]{1,3}\d*|nvme\d+(c\d+)?n\d+(p\d+)?|mmcblk\d+(boot\d|rpmb|p\d+)?"
    r"|(dm-|md|loop|zram|ram|sr|fd|bcache|zd|rbd|nbd|pmem|drbd)\d+(p\d+)?|\?"
)
_POINTS = re.compile(r"/(boot(/efi)?|efi|home|usr|var|srv|opt|tmp)?|swap|EFI system partition")
_POINT_WORDS = (
    *("an active volume", "a file system mounted out of sight", "the journal of a file system"),
    "the partition the BIOS starts",
)
_POOL = "the ZFS pool "
# systemd.net-naming-scheme(7); not enx and wlx, which have the MAC in them
_INTERFACE = re.compile(r"lo|(eth|wlan|br|bond|virbr|vnet)\d+|(en|wl)([ops]\d+)+(f\d+)?(np\d+)?")
_FILE = re.compile(
    r"/proc/((self|1)/mountinfo|swaps|cmdline|net/(tcp6?|route|ipv6_route))|/sys/class/(block|net|drm|input)"
    r"|/sys/firmware/efi|/run/udev/data|/etc/fstab"
)
_TERMINAL = re.compile(r"tty(S|USB|AMA|ACM)?\d+|hvc\d+|:\d+|console")
_FILESYSTEM = re.compile(r"[a-z]+\d?|hfsplus|9p|nfs4|xfs_external_log")  # a driver's own word
_WHYS = ("default route", "root file system")
_SESSION = "session from "
_BOOL = r"(?:[01yntfYNTF]|[oO]n|[oO]ff|yes|no|true|false)"
_MODULE = r"(?:vfio[-_a-z0-9]*|kvmgt|pci[-_]stub)"
_WORD = re.compile(
    r"quiet|splash|nomodeset|ro|rw|iommu(\.\w+)?=\w+|(intel|amd)_iommu=[\w,]+"
    r"|(vfio[-_]pci|pci[-_]stub)\.ids=[0-9a-fA-F:,]+|video=efifb:off|i915\.\w+=\d+"
    r"|pcie_acs_override=[\w,]+|intremap=(on|off|nosid|nopost|no_x2apic_optout|,)+|nointremap|noapic"
    rf"|(i915\.enable_gvt|vfio[-_]iommu[-_]type1\.allow_unsafe_interrupts)(={_BOOL})?"
    rf"|(rd\.driver\.(pre|post)|(rd\.)?modules[-_]load)={_MODULE}(,{_MODULE})*"
)
_SETTING = re.compile(
    r"options|softdep|blacklist|pre:|vfio[-_a-z0-9]*|kvmgt|i915|amdgpu|nouveau|nvidia|pci[-_]stub"
    r"|ids=[0-9a-fA-F:,]+|disable_vga=\d"
    rf"|(enable_gvt|allow_unsafe_interrupts)(={_BOOL})?"
    r"|install|/(usr/)?bin/(true|false)|kvm\w*|IdleAction=[a-z-]+|vm\.nr_hugepages|=|\d+|deny"
    r"|cgroup_device_acl|\[?\"/dev/kvm\",?|/dev/(kvm|vfio|bus/usb)[/*]*"
)

_CONFIGS = frozenset(
    f"/etc/{name}"
    for name in (
        *("modules", "mkinitcpio.conf", "dracut.conf", "initramfs-tools/modules", "sysctl.conf"),
        *("default/grub", "kernel/cmdline", "systemd/logind.conf", "libvirt/qemu.conf"),
        "apparmor.d/local/abstractions/libvirt-qemu",
    )
)


def redact(host: Host) -> Host:
    """Return `host` without what names anyone; a plan can still be made for it."""
    tokens = Tokens(host)
    return replace(
        host,
        connectors=tuple(redact_connector(c, tokens) for c in host.connectors),
        usb=tuple(redact_usb(device, tokens) for device in host.usb),
        inputs=tuple(redact_input(device, tokens) for device in host.inputs),
        blocks=tuple(_block(block, tokens) for block in host.blocks),
        mounts=tuple(_mount(mount, tokens) for mount in host.mounts),
        networks=tuple(_network(network, tokens) for network in host.networks),
        network_uses=tuple(_use(use, tokens) for use in host.network_uses),
        console=replace(
            host.console,
            serial=tuple(
                t if _TERMINAL.fullmatch(t) else tokens.of("terminal", t)
                for t in host.console.serial
            ),
            sessions=tuple(_session(s, tokens) for s in host.console.sessions),
        ),
        guests=None,
        before=tuple(replace(b, seat=tokens.of("seat", b.seat)) for b in host.before),
        pending=tuple(replace(write, holders=()) for write in host.pending),
        files=(),
        kept_guests=(),
        platform=_platform(host.platform, tokens) if host.platform else None,
    )


def _block_name(name: str, tokens: Tokens) -> str:
    return name if _BLOCK.fullmatch(name) else tokens.of("source", name)


def _block(block: BlockDevice, tokens: Tokens) -> BlockDevice:
    return replace(
        block,
        name=_block_name(block.name, tokens),
        below=tuple(_block_name(name, tokens) for name in block.below),
        label=tokens.maybe("volume", block.label),
        partition_uuid=tokens.maybe("partition", block.partition_uuid),
    )


def _mount(mount: Mount, tokens: Tokens) -> Mount:
    point = mount.point
    if point.startswith(_POOL):
        point = _POOL + tokens.of("pool", point.removeprefix(_POOL))
    elif point not in _POINT_WORDS and not _POINTS.fullmatch(point):
        point = "/" + tokens.of("folder", point)
    filesystem = mount.filesystem.partition(".")[0]  # fuse.NAME: whoever mounts it says that
    if mount.filesystem == mount.point:
        filesystem = point
    elif filesystem and not _FILESYSTEM.fullmatch(filesystem):
        filesystem = tokens.of("filesystem", filesystem)
    return replace(
        mount,
        device=_block_name(mount.device, tokens),
        point=point,
        filesystem=filesystem,
        evidence=_evidence(mount.evidence, tokens),
    )


def _evidence(evidence: str, tokens: Tokens) -> str:
    return evidence if _FILE.fullmatch(evidence) else tokens.of("file", evidence)


def _interface(name: str, tokens: Tokens) -> str:
    return name if _INTERFACE.fullmatch(name) else tokens.of("net", name)


def _network(network: NetworkInterface, tokens: Tokens) -> NetworkInterface:
    below = tuple(_interface(name, tokens) for name in network.below)
    return replace(network, name=_interface(network.name, tokens), below=below)


def _use(use: NetworkUse, tokens: Tokens) -> NetworkUse:
    why = use.why
    kind, session, peer = why.partition(_SESSION)
    if session:
        why = ("SSH " if kind else "") + session + tokens.of("address", peer)
    elif why not in _WHYS:
        why = tokens.of("use", why)
    interface = _interface(use.interface, tokens)
    return replace(use, interface=interface, why=why, evidence=_evidence(use.evidence, tokens))


def _session(session: str, tokens: Tokens) -> str:
    """Return "seat0: alice on tty2" without Alice, and without the name of a seat of ours."""
    seat, _, rest = session.partition(": ")
    user, _, terminal = rest.rpartition(" on ")
    terminal = terminal if _TERMINAL.fullmatch(terminal) else "?"
    return f"{redact_seat(seat, tokens)}: {tokens.of('user', user or rest)} on {terminal}"


def _platform(platform: Platform, tokens: Tokens) -> Platform:
    version = re.match(r"\d+(\.\d+)*", platform.kernel)
    settings = tuple(
        replace(
            line,
            file=_config(line.file, tokens),
            text=" ".join(word for word in line.text.split() if _SETTING.fullmatch(word)),
        )
        for line in platform.settings
    )
    return replace(
        platform,
        cmdline=_arguments(platform.cmdline),
        kernel=version[0] if version else "",
        settings=settings,
        boot_lines=tuple(_boot_line(line, tokens) for line in platform.boot_lines),
    )


def _arguments(text: str) -> str:
    """Return those of the kernel's arguments that are known to name nobody."""
    return " ".join(word for word in text.split() if _WORD.fullmatch(word))


def _boot_line(line: Setting, tokens: Tokens) -> Setting:
    name, equals, text = line.text.partition("=")
    is_variable = equals and re.fullmatch(r"GRUB_CMDLINE_LINUX(_DEFAULT)?", name)
    text = _arguments((text if is_variable else line.text).replace('"', " ").replace("'", " "))
    text = f'{name}="{text}"' if is_variable else text
    return replace(line, file=_config(line.file, tokens), text=text)


def _config(path: str, tokens: Tokens) -> str:
    """Return a file of the system's by its name, one of its owner's by its folder and a token."""
    folder = path.rpartition("/")[0]
    return path if path in _CONFIGS else f"{folder}/{tokens.of('file', path)}"
