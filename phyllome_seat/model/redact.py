"""A `Host` that can be posted in public: what names a person, a network or one device is a token.

The same text gives the same token, so twins stay twins and what matched still does. What is not
known to be harmless goes: of mount points, interfaces, kernel arguments only the common are kept.
Guests and our own files are left out whole: a domain's XML has too much in it.
"""

from __future__ import annotations

import re

from phyllome_seat.model.devices import (
    BlockDevice,
    Connector,
    Host,
    InputDevice,
    Mount,
    NetworkInterface,
    NetworkUse,
    UsbDevice,
)
from phyllome_seat.model.platform import Platform, Setting
from phyllome_seat.model.value import replace

_BLUETOOTH = 0x05  # BUS_BLUETOOTH: include/uapi/linux/input.h
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_POINTS = re.compile(r"/(boot(/efi)?|efi|home|usr|var|srv|opt|tmp)?|swap|EFI system partition")
_VOLUME = "an active volume"
# systemd.net-naming-scheme(7); not enx and wlx, which have the MAC in them
_INTERFACE = re.compile(r"lo|(eth|wlan|br|bond|virbr|vnet)\d+|(en|wl)([ops]\d+)+(f\d+)?(np\d+)?")
_FILE = re.compile(r"/proc/[a-z/]+|/proc/net/\w+|/sys/class/(block|net|drm|input)")
_WHYS = ("default route", "root file system")
_SSH = "SSH session from "
_WORD = re.compile(
    r"quiet|splash|nomodeset|ro|rw|iommu(\.\w+)?=\w+|(intel|amd)_iommu=[\w,]+"
    r"|vfio[-_]pci\.ids=[0-9a-fA-F:,]+|video=efifb:off|i915\.\w+=\d+|pcie_acs_override=[\w,]+"
)
_SETTING = re.compile(
    r"options|softdep|blacklist|pre:|vfio[-_a-z0-9]*|kvmgt|i915|amdgpu|nouveau|nvidia|pci-stub"
    r"|ids=[0-9a-fA-F:,]+|enable_gvt=\d|disable_vga=\d|allow_unsafe_interrupts=\w"
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
    tokens = _Tokens(host)
    return replace(
        host,
        connectors=tuple(_connector(c, tokens) for c in host.connectors),
        usb=tuple(_usb(device, tokens) for device in host.usb),
        inputs=tuple(_input(device, tokens) for device in host.inputs),
        blocks=tuple(_block(block, tokens) for block in host.blocks),
        mounts=tuple(_mount(mount, tokens) for mount in host.mounts),
        networks=tuple(_network(network, tokens) for network in host.networks),
        network_uses=tuple(_use(use, tokens) for use in host.network_uses),
        console=replace(
            host.console, sessions=tuple(_session(s, tokens) for s in host.console.sessions)
        ),
        guests=None,
        before=tuple(replace(b, seat=tokens.of("seat", b.seat)) for b in host.before),
        pending=tuple(replace(write, holders=()) for write in host.pending),
        files=(),
        kept_guests=(),
        platform=_platform(host.platform, tokens) if host.platform else None,
    )


class _Tokens:
    """Tokens by kind and text, numbered in the order of asking."""

    def __init__(self, host: Host) -> None:
        self._known: dict[str, dict[str, str]] = {}
        self.blocks = frozenset(block.name for block in host.blocks)

    def of(self, kind: str, text: str) -> str:
        """Return the token of a text; of an empty one, itself."""
        known = self._known.setdefault(kind, {})
        return known.setdefault(text, f"{kind}-{len(known) + 1}") if text else text

    def maybe(self, kind: str, text: str | None) -> str | None:
        """Return the token of a text that may not be there."""
        return None if text is None else self.of(kind, text)

    def scrub(self, text: str) -> str:
        """Return a name without the addresses and serials that some devices have in it."""
        text = _MAC.sub(lambda found: self.of("mac", found[0]), text)
        for serial, token in self._known.get("serial", {}).items():
            if len(serial) > 3:
                text = text.replace(serial, token)
        return text


def _connector(connector: Connector, tokens: _Tokens) -> Connector:
    monitor = connector.monitor
    if monitor is None:
        return connector
    number = monitor.serial_number
    if number:
        number = int(tokens.of("number", str(number)).rpartition("-")[2])
    serial = tokens.maybe("serial", monitor.serial)
    name = tokens.scrub(monitor.name) if monitor.name else monitor.name
    return replace(
        connector,
        monitor=replace(monitor, serial=serial, serial_number=number, name=name, week=None),
    )


def _usb(device: UsbDevice, tokens: _Tokens) -> UsbDevice:
    serial = tokens.maybe("serial", device.serial)
    maker = tokens.scrub(device.manufacturer) if device.manufacturer else device.manufacturer
    product = tokens.scrub(device.product) if device.product else device.product
    return replace(device, serial=serial, manufacturer=maker, product=product)


def _input(device: InputDevice, tokens: _Tokens) -> InputDevice:
    uniq = tokens.maybe("serial", device.uniq)
    if device.bus_type == _BLUETOOTH:  # people name these, and phys is the adapter's address
        name, phys = tokens.of("device", device.name), tokens.maybe("mac", device.phys)
    else:
        name, phys = tokens.scrub(device.name), tokens.scrub(device.phys or "") or device.phys
    seat = device.seat and _seat(device.seat, tokens)
    return replace(device, uniq=uniq, name=name, phys=phys, seat=seat)


def _seat(name: str, tokens: _Tokens) -> str:
    return name if name == "seat0" else tokens.of("seat", name)


def _block_name(name: str, tokens: _Tokens) -> str:
    return name if name in tokens.blocks else tokens.of("source", name)


def _block(block: BlockDevice, tokens: _Tokens) -> BlockDevice:
    return replace(
        block,
        below=tuple(_block_name(name, tokens) for name in block.below),
        label=tokens.maybe("volume", block.label),
        partition_uuid=tokens.maybe("partition", block.partition_uuid),
    )


def _mount(mount: Mount, tokens: _Tokens) -> Mount:
    is_common = mount.point == _VOLUME or _POINTS.fullmatch(mount.point)
    point = mount.point if is_common else "/" + tokens.of("folder", mount.point)
    filesystem = mount.filesystem if mount.filesystem != mount.point else point
    return replace(
        mount,
        device=_block_name(mount.device, tokens),
        point=point,
        filesystem=filesystem,
        evidence=_evidence(mount.evidence, tokens),
    )


def _evidence(evidence: str, tokens: _Tokens) -> str:
    return evidence if _FILE.fullmatch(evidence) else tokens.of("file", evidence)


def _interface(name: str, tokens: _Tokens) -> str:
    return name if _INTERFACE.fullmatch(name) else tokens.of("net", name)


def _network(network: NetworkInterface, tokens: _Tokens) -> NetworkInterface:
    below = tuple(_interface(name, tokens) for name in network.below)
    return replace(network, name=_interface(network.name, tokens), below=below)


def _use(use: NetworkUse, tokens: _Tokens) -> NetworkUse:
    why = use.why
    if why.startswith(_SSH):
        why = _SSH + tokens.of("address", why.removeprefix(_SSH))
    elif why not in _WHYS:
        why = tokens.of("use", why)
    interface = _interface(use.interface, tokens)
    return replace(use, interface=interface, why=why, evidence=_evidence(use.evidence, tokens))


def _session(session: str, tokens: _Tokens) -> str:
    """Return "seat0: alice on tty2" without Alice, and without the name of a seat of ours."""
    seat, _, rest = session.partition(": ")
    user, _, terminal = rest.rpartition(" on ")
    terminal = terminal if re.fullmatch(r"tty\d+|:\d+", terminal) else "?"
    return f"{_seat(seat, tokens)}: {tokens.of('user', user or rest)} on {terminal}"


def _platform(platform: Platform, tokens: _Tokens) -> Platform:
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


def _boot_line(line: Setting, tokens: _Tokens) -> Setting:
    name, equals, text = line.text.partition("=")
    is_variable = equals and re.fullmatch(r"GRUB_CMDLINE_LINUX(_DEFAULT)?", name)
    text = _arguments((text if is_variable else line.text).replace('"', " ").replace("'", " "))
    text = f'{name}="{text}"' if is_variable else text
    return replace(line, file=_config(line.file, tokens), text=text)


def _config(path: str, tokens: _Tokens) -> str:
    """Return a file of the system's by its name, one of its owner's by its folder and a token."""
    folder = path.rpartition("/")[0]
    return path if path in _CONFIGS else f"{folder}/{tokens.of('file', path)}"
