"""The nouns: what one PC has, as one immutable value.

A `Host` is everything a decision needs and nothing that changes by looking: devices, where they
hang, who uses them. It is made by `phyllome_seat.system.scan`, or read back from JSON, so that a
plan can be made for a machine one is not sitting at. Tuples are sorted by address or name unless
said otherwise; ``None`` means the machine does not say, which is never the same as "no".
"""

from __future__ import annotations

from functools import cached_property

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.edid import Monitor
from phyllome_seat.model.platform import Platform
from phyllome_seat.model.value import dataclass

# PCI class codes, base and sub class: PCI Code and ID Assignment Specification 1.11, section 1.
_DISPLAY = 0x03
_BRIDGE = 0x06
_USB = 0x0C03
_KINDS = {
    0x01: "disk controller",
    0x02: "NIC",
    0x03: "graphics card",
    0x04: "sound",
    0x06: "bridge",
    _USB: "USB controller",
    0x0C05: "SMBus",
}
_USB_HOST_INTERFACES = frozenset({0x00, 0x10, 0x20, 0x30})  # UHCI, OHCI, EHCI, xHCI


@dataclass(frozen=True, slots=True)
class Link:
    """A PCI Express link as negotiated now and as the device could do.

    Speeds in GT/s, widths in lanes. Source: Documentation/ABI/testing/sysfs-bus-pci,
    ``current_link_speed`` and its three companions.
    """

    speed_gts: float
    width: int
    max_speed_gts: float
    max_width: int


@dataclass(frozen=True, slots=True)
class PciDevice:
    """One PCI *function*.

    ``override`` is None where nothing is set. ``iommu_group`` is None without an IOMMU.
    ``parent`` is the bridge it sits behind, None on a root bus. ``reset_methods`` in the order the
    kernel tries them. ``vfs`` and ``vfs_max`` are SR-IOV's, None where the device has none.
    """

    address: PciAddress
    id: PciId
    class_code: int  # 24 bit: base class, sub class, programming interface
    revision: int | None = None
    vendor_name: str | None = None
    device_name: str | None = None
    driver: str | None = None
    override: str | None = None
    iommu_group: int | None = None
    boot_vga: bool | None = None
    reset_methods: tuple[str, ...] | None = None
    vfs: int | None = None
    vfs_max: int | None = None
    physical_function: PciAddress | None = None
    numa_node: int | None = None
    link: Link | None = None
    parent: PciAddress | None = None

    @property
    def is_gpu(self) -> bool:
        """Whether this is a display controller of any kind (VGA, 3D, other)."""
        return self.class_code >> 16 == _DISPLAY

    @property
    def is_bridge(self) -> bool:
        """Whether this is a bridge: never given away, never in the way of a group."""
        return self.class_code >> 16 == _BRIDGE

    @property
    def is_usb_controller(self) -> bool:
        """Whether this is a USB host controller (not a USB4 host interface or a device)."""
        return self.class_code >> 8 == _USB and self.class_code & 0xFF in _USB_HOST_INTERFACES

    @property
    def name(self) -> str:
        """Return what a person calls it: the hardware database's name, else its kind and id."""
        if self.device_name:
            return (
                f"{self.vendor_name} {self.device_name}" if self.vendor_name else self.device_name
            )
        kinds = (_KINDS.get(self.class_code >> bits) for bits in (8, 16))  # the closer word first
        kind = next(filter(None, kinds), "device")
        return f"{kind} {self.id.vendor:04x}:{self.id.device:04x}"


@dataclass(frozen=True, slots=True)
class Connector:
    """One socket for a monitor on a GPU (``DP-1``), with the monitor seen or remembered on it.

    ``name`` is unique within the GPU. ``remembered`` says that the GPU is out of the host's sight
    and that this is what was there before.
    """

    gpu: PciAddress
    name: str
    connected: bool | None = None
    enabled: bool | None = None
    monitor: Monitor | None = None
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class UsbSocket:
    """One hole in the case: the logical ports (one a speed) that the kernel joins by ``peer``.

    ``ports`` has one or two entries, USB 2 first. ``connect_type`` is the kernel's word: hotplug,
    hardwired, not used, unknown. Source: Documentation/ABI/testing/sysfs-bus-usb.
    """

    ports: tuple[UsbPort, ...]
    connect_type: str | None = None


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """What is plugged in at a place. Root hubs are not devices: they are their controller.

    ``bus`` and ``number`` change with every boot and every plug and serve only within this
    snapshot. ``interfaces`` as class, subclass, protocol: ``030101`` is a boot keyboard.
    ``port`` is None below a controller that is not PCI.
    """

    sysname: str  # the kernel's name of this moment, "1-2.3"
    port: UsbPort | None
    id: UsbId
    bus: int
    number: int
    device_class: int = 0
    interfaces: tuple[str, ...] = ()
    serial: str | None = None
    manufacturer: str | None = None
    product: str | None = None
    speed_mbps: float | None = None
    drivers: tuple[str, ...] = ()
    remembered: bool = False

    @property
    def may_store(self) -> bool:
        """Whether it is mass storage or of a class of its maker's, as many card readers are."""
        return any(kind.startswith(("08", "ff")) for kind in self.interfaces)

    @property
    def is_hub(self) -> bool:
        """Whether this is a hub, which is never passed to a guest: all behind it is."""
        return self.device_class == 0x09 or any(i.startswith("09") for i in self.interfaces)

    @property
    def name(self) -> str:
        """Return what a person calls it."""
        words = [word for word in (self.manufacturer, self.product) if word]
        return " ".join(words) or str(self.id)


@dataclass(frozen=True, slots=True)
class InputDevice:
    """One evdev node.

    ``kinds`` in udev's words without their prefix: key, keyboard, mouse, touchpad, tablet,
    touchscreen, joystick, switch, accelerometer, pointingstick, trackball, tablet_pad. A ``key``
    device has some keys; a ``keyboard`` has a full set. ``pci`` is the function it hangs below.
    """

    node: str  # "event3"
    name: str
    kinds: tuple[str, ...] = ()
    bus_type: int = 0
    vendor: int = 0
    product: int = 0
    version: int = 0
    phys: str | None = None
    uniq: str | None = None
    usb: UsbPort | None = None
    pci: PciAddress | None = None
    seat: str | None = None
    remembered: bool = False

    @property
    def is_keyboard(self) -> bool:
        """Whether a person can type text on it."""
        return "keyboard" in self.kinds


@dataclass(frozen=True, slots=True)
class Cpu:
    """One logical CPU.

    ``core`` and ``l3`` hold CPU numbers: all threads of its core, all sharers of its L3 cache,
    itself included. ``kind`` is "core" or "atom" on hybrid Intel, else None. An offline CPU has
    only its number.
    """

    number: int
    online: bool = True
    package: int | None = None
    core: tuple[int, ...] = ()
    l3: tuple[int, ...] = ()
    numa_node: int | None = None
    kind: str | None = None
    max_khz: int | None = None


@dataclass(frozen=True, slots=True)
class HugePages:
    """One pool of huge pages; ``size_kib`` is a page's size."""

    size_kib: int
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The PC's memory."""

    total_kib: int
    available_kib: int | None = None
    huge_pages: tuple[HugePages, ...] = ()


@dataclass(frozen=True, slots=True)
class Iommu:
    """Whether devices can be isolated: units the kernel registered, tables the firmware has."""

    units: tuple[str, ...] = ()  # "dmar0", "ivhd0"
    groups: int = 0
    firmware_tables: tuple[str, ...] = ()  # "DMAR", "IVRS"


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """One block device, a node of the graph from a mount point down to the controllers.

    ``below`` names the block devices it is made of: the disk of a partition, the members of an
    LVM volume, a LUKS mapping or a RAID. ``pci`` is every function on the way to it, nearest last;
    ``usb`` its USB place. ``kind`` is what a mapping of the device mapper is: LUKS, LVM, multipath.
    A virtual device (zram, loop) has neither. A name in ``below``, or in a
    mount, that no block device has is where the machine could not be followed.
    """

    name: str  # "nvme0n1p2", "dm-0"
    number: str  # "259:2"
    below: tuple[str, ...] = ()
    pci: tuple[PciAddress, ...] = ()
    usb: UsbPort | None = None
    label: str | None = None  # dm name or md name, as a person knows it
    partition_uuid: str | None = None
    size_bytes: int | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """One use of a block device: a mount point, or swap, or the partition firmware booted from."""

    device: str  # BlockDevice.name
    point: str  # "/", "/boot/efi"; "swap"; "EFI system partition"; "an active volume"
    filesystem: str = ""
    evidence: str = "/proc/self/mountinfo"


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """One network interface; ``below`` are the ones it is made of (bridge, bond, VLAN, macvtap)."""

    name: str
    below: tuple[str, ...] = ()
    pci: PciAddress | None = None
    usb: UsbPort | None = None
    up: bool | None = None


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """Why the host needs an interface now: its default route, a remote session, a network root."""

    interface: str
    why: str  # "default route", "SSH session from 192.0.2.7", "root file system"
    evidence: str  # "/proc/net/route"

    @property
    def is_way_in(self) -> bool:
        """Whether this is a way to or from other machines, and no disk or file system of one."""
        return self.why == "default route" or "session from " in self.why


@dataclass(frozen=True, slots=True)
class Console:
    """How a person reaches the host itself.

    ``gpu`` shows its text console or boot display. ``serial`` lists terminals with a login.
    ``ssh`` is whether a server is listening. ``sessions`` are graphical or text logins as
    "seat0: alice on tty2".
    """

    gpu: PciAddress | None = None
    serial: tuple[str, ...] = ()
    ssh: bool | None = None
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hostdev:
    """One device of the host inside a guest's definition, PCI or USB.

    ``live`` is whether it is in the running guest, else in the persistent definition. ``alias``
    starting with ``ua-phyllome-`` marks it as ours.
    """

    pci: PciAddress | None = None
    usb_bus: int | None = None
    usb_number: int | None = None
    usb_id: UsbId | None = None
    alias: str | None = None
    managed: bool = False
    live: bool = False


NOT_READ = "not read"  # the state of a guest that libvirt has, and of which nothing is known yet


@dataclass(frozen=True, slots=True)
class Guest:
    """A libvirt domain as it is now.

    ``seat`` is from our metadata, None when the domain is not (yet) a seat's. ``xml`` is the
    inactive definition without secrets. ``state`` in libvirt's words: running, paused, shut off.
    ``usb_free`` is how many USB devices it can still take, None while it is off or where its
    controllers are of a kind whose ports nobody knows; ``usb_bus`` is the bus the next one must be
    asked for, None where libvirt's own choice is right. ``saved`` is what of USB is in the saved
    state of a guest that is off, by the numbers of then; ``gone`` are disk images that a domain of
    ours names and that are not there. ``run`` tells what runs now from what ran before: libvirt's
    number of it (virDomainGetID), which begins anew with the host's boot, and the boot's. None
    while it is off.
    """

    name: str
    uuid: str
    state: str = "shut off"
    seat: str | None = None
    created: bool = False  # by us, so revert undefines it
    hostdevs: tuple[Hostdev, ...] = ()
    xml: str = ""
    usb_free: int | None = None
    usb_bus: int | None = None
    run: str | None = None
    saved: tuple[Hostdev, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether it holds its devices now."""
        return self.state not in ("shut off", "crashed")


@dataclass(frozen=True, slots=True)
class BeforeBind:
    """What a function had before we bound it: kept in ``/run/phyllome-seat/before/<address>``.

    Not ``known``: a driver of the host's, nobody knows which any more.
    """

    address: PciAddress
    id: PciId
    driver: str | None
    override: str | None
    seat: str
    known: bool = True


@dataclass(frozen=True, slots=True)
class Pending:
    """A driver write the kernel has not finished: kept in ``/run/phyllome-seat/pending/``.

    ``pid`` is the program that does the write; ``doing`` says which: "unbind from", "probe for".
    """

    address: PciAddress
    driver: str
    pid: int
    holders: tuple[str, ...] = ()
    doing: str = "unbind from"


@dataclass(frozen=True, slots=True)
class OurFile:
    """A file of ours on the host (it starts with our header), with its content."""

    path: str
    content: str


@dataclass(frozen=True)
class Host:
    """One PC, whole. ``guests`` is None when libvirt was not asked or did not answer.

    ``kept_guests`` are the UUIDs of domains whose definition from before us is in
    ``/var/lib/phyllome-seat/before/``. ``platform`` is None when it was not read, as by ``scan``.
    """

    pci: tuple[PciDevice, ...] = ()
    connectors: tuple[Connector, ...] = ()
    sockets: tuple[UsbSocket, ...] = ()
    usb: tuple[UsbDevice, ...] = ()
    inputs: tuple[InputDevice, ...] = ()
    cpus: tuple[Cpu, ...] = ()
    memory: Memory | None = None
    iommu: Iommu = Iommu()
    blocks: tuple[BlockDevice, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[NetworkInterface, ...] = ()
    network_uses: tuple[NetworkUse, ...] = ()
    console: Console = Console()
    guests: tuple[Guest, ...] | None = None
    before: tuple[BeforeBind, ...] = ()
    pending: tuple[Pending, ...] = ()
    files: tuple[OurFile, ...] = ()
    kept_guests: tuple[str, ...] = ()
    platform: Platform | None = None

    @cached_property
    def by_address(self) -> dict[PciAddress, PciDevice]:
        """Return every function by its address."""
        return {device.address: device for device in self.pci}

    @cached_property
    def by_port(self) -> dict[UsbPort, UsbSocket]:
        """Return every socket by each of its ports."""
        return {port: socket for socket in self.sockets for port in socket.ports}

    @cached_property
    def groups(self) -> dict[int, tuple[PciDevice, ...]]:
        """Return the functions of each IOMMU group."""
        groups: dict[int, list[PciDevice]] = {}
        for device in self.pci:
            if device.iommu_group is not None:
                groups.setdefault(device.iommu_group, []).append(device)
        return {number: tuple(members) for number, members in groups.items()}

    def group_of(self, address: PciAddress) -> tuple[PciDevice, ...]:
        """Return all functions in the IOMMU group of `address`, itself included; itself alone
        without a group.
        """
        device = self.by_address[address]
        return (device,) if device.iommu_group is None else self.groups[device.iommu_group]

    def functions_of(self, address: PciAddress) -> tuple[PciDevice, ...]:
        """Return the functions of one physical device: same domain, bus and device number."""
        return self._boards.get((address.domain, address.bus, address.device), ())

    @cached_property
    def _boards(self) -> dict[tuple[int, int, int], tuple[PciDevice, ...]]:
        boards: dict[tuple[int, int, int], list[PciDevice]] = {}
        for device in self.pci:
            at = device.address
            boards.setdefault((at.domain, at.bus, at.device), []).append(device)
        return {place: tuple(functions) for place, functions in boards.items()}

    @cached_property
    def with_connectors(self) -> frozenset[PciAddress]:
        """Return the functions that the host sees a connector on now."""
        return frozenset(c.gpu for c in self.connectors if not c.remembered)

    @cached_property
    def guests_known(self) -> tuple[Guest, ...]:
        """Return the guests, none when libvirt was not asked."""
        return self.guests or ()
