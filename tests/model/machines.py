"""PCs that nobody built, for properties: whole Hosts, as odd as boards get, by Hypothesis.

`machines()` gives one at a time, whole and plausible: what is below something exists, each group
holds what a board would put together. What varies is what goes wrong on real ones: groups shared by
things that have nothing to do with each other, identical cards, one controller for everything, a
disk under LVM on LUKS on two NVMe, a NIC under a bridge under a bond, a processor with two kinds of
cores, keyboards on PS/2, behind hubs, or only one, functions that are bound for guests already, and
names that want to be something else than a name.
"""

from __future__ import annotations

from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import (
    BeforeBind,
    BlockDevice,
    Connector,
    Console,
    Cpu,
    Guest,
    Host,
    Hostdev,
    InputDevice,
    Iommu,
    Memory,
    Mount,
    NetworkInterface,
    NetworkUse,
    PciDevice,
    UsbDevice,
    UsbSocket,
)
from phyllome_seat.model.edid import Monitor

GPU, GPU_3D, SOUND, USB, UCSI = 0x030000, 0x030200, 0x040300, 0x0C0330, 0x0C8000
SATA, NVME, NIC, HOST_BRIDGE, PCI_BRIDGE, CRYPTO, OTHER, SMBUS = (
    *(0x010601, 0x010802, 0x020000, 0x060000, 0x060400, 0x108000, 0x118000, 0x0C0500),
)
_DRIVERS = {
    GPU: ("amdgpu", "nouveau", "i915", None),
    GPU_3D: ("nouveau", None),
    SOUND: ("snd_hda_intel", None),
    USB: ("xhci_hcd", "xhci_hcd", "xhci_hcd", None),
    UCSI: ("ucsi_ccg", None),
    SATA: ("ahci",),
    NVME: ("nvme",),
    NIC: ("igc", "r8169"),
    HOST_BRIDGE: (None,),
    PCI_BRIDGE: ("pcieport", "pcieport", None),
    CRYPTO: ("ccp", None),
    OTHER: ("intel_vsec", None),
    SMBUS: ("i801_smbus", None),
}
# What a device may call itself: markup, quotes, a format, an escape sequence, a second line, text
# that runs backwards, a colon and a hash for YAML.
HOSTILE = (
    '<script href="x">&amp;</script>',
    "]]><!--",
    "a\"b'c\\d",
    "%s%n%(x)s {0}",
    "\x1b[31mred\x1b[0m\x07",
    "two\nlines: [x]\n# three",
    "\u202eevil\u2066",
    "name: value # comment",
    "- {a: b}",
    "\x00",
    "é漢字🖥",
    "x" * 300,
)
names = st.sampled_from((None, "Plain Name", "DELL U2720Q", *HOSTILE))
_PCI_NAMES = {GPU: "Big Card", USB: "USB 3.2 Host", NVME: "Fast Disk", NIC: "Ethernet"}


class _Board:
    """A PC while it is put together; each `add_` returns what others hang on."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.pci: list[PciDevice] = []
        self.connectors: list[Connector] = []
        self.sockets: list[UsbSocket] = []
        self.usb: list[UsbDevice] = []
        self.inputs: list[InputDevice] = []
        self.blocks: list[BlockDevice] = []
        self.networks: list[NetworkInterface] = []
        self.buses = 0
        self.group = 0
        self.shared = draw(st.lists(st.integers(900, 902), max_size=2))
        self.has_groups = draw(st.integers(0, 9)) > 0
        self.nodes = draw(st.sampled_from(((None,), (0,), (0, 1))))

    def chance(self, of_ten: int) -> bool:
        return self.draw(st.integers(1, 10)) <= of_ten

    def pick(self, *things):
        return self.draw(st.sampled_from(things))

    def new_group(self) -> int:
        """A group of its own, or one of those where unlike things meet."""
        self.group += 1
        return self.pick(*self.shared) if self.shared and self.chance(3) else self.group

    def function(
        self, where: str, what: str, code: int, group: int, *, parent=None, node=None, **more
    ) -> PciDevice:
        device = PciDevice(
            address=PciAddress.parse(where),
            id=PciId.parse(what),
            class_code=code,
            vendor_name=None,
            device_name=self.draw(names) or _PCI_NAMES.get(code),
            driver=self.pick(*_DRIVERS[code]),
            iommu_group=group if self.has_groups else None,
            parent=parent,
            numa_node=node,
            **more,
        )
        self.pci.append(device)
        return device

    def behind_port(self) -> tuple[str, PciAddress, int, int | None]:
        """A root port: the bus below it, itself, its group and its NUMA node."""
        self.buses += 1
        group, node = self.new_group(), self.pick(*self.nodes)
        where = f"0000:00:{1 + self.buses % 12:02x}.{self.buses // 12}"
        # on some boards a root port shares the group of what is behind it, on others not
        own = group if self.chance(5) else 800 + self.buses
        port = self.function(where, "8086:7ab8", PCI_BRIDGE, own, node=node)
        return f"0000:{self.buses:02x}:00", port.address, group, node

    def add_card(self, what: str) -> None:
        bus, parent, group, node = self.behind_port()
        code = GPU_3D if self.chance(1) else GPU
        self.function(bus + ".0", what, code, group, parent=parent, node=node, boot_vga=False)
        if self.chance(7):
            alone = group if self.chance(7) else self.new_group()
            self.function(bus + ".1", "10de:22bc", SOUND, alone, parent=parent, node=node)
        if self.chance(2):
            usb = self.function(bus + ".2", "10de:1ad8", USB, group, parent=parent, node=node)
            self.function(bus + ".3", "10de:1ad9", UCSI, group, parent=parent, node=node)
            self.fill_controller(usb.address, 1)
        self.add_connectors(PciAddress.parse(bus + ".0"))

    def add_processor_graphics(self) -> None:
        """Intel's on the root bus, or AMD's beside the processor's own USB and security."""
        if self.chance(5):
            self.function("0000:00:00.2", "8086:a780", GPU, self.new_group(), boot_vga=False)
            self.add_connectors(PciAddress.parse("0000:00:00.2"))
            return
        bus, parent, group, node = self.behind_port()
        for number, (what, code) in enumerate(
            (("1002:1638", GPU), ("1002:1637", SOUND), ("1022:15df", CRYPTO), ("1022:1639", USB))
        ):
            own = group if self.chance(4) else self.new_group()
            self.function(f"{bus}.{number}", what, code, own, parent=parent, node=node)
        self.add_connectors(PciAddress.parse(bus + ".0"))
        self.fill_controller(PciAddress.parse(bus + ".3"), self.pick(0, 1, 2))

    def add_connectors(self, gpu: PciAddress) -> None:
        for number in range(self.pick(0, 1, 1, 2)):
            monitor = None
            if self.chance(7):
                monitor = Monitor(
                    self.pick("DEL", "GSM", "<&>"),
                    self.pick(1, 2),
                    serial_number=self.pick(None, 7),
                    serial=self.pick(None, "S1", 'S"2', "S<3\n"),
                    name=self.draw(names),
                    size_cm=self.pick(None, (60, 34), (0, 0), (120, 34)),
                    preferred=self.pick(None, (1920, 1080), (3440, 1440), (0, 0)),
                )
            seen = bool(monitor) or self.pick(None, False, True)
            self.connectors.append(Connector(gpu, f"DP-{number + 1}", seen, seen, monitor))

    def add_controller(self) -> None:
        """A USB controller behind a port of its own, at times of two functions."""
        bus, parent, group, node = self.behind_port()
        for number in range(self.pick(1, 1, 1, 2)):
            what = self.pick("1b73:1100", "1912:0014")
            device = self.function(f"{bus}.{number}", what, USB, group, parent=parent, node=node)
            self.fill_controller(device.address, self.pick(0, 1, 2, 3))

    def add_chipset(self) -> None:
        """The controller of the board, where most is plugged, and what shares its device."""
        group = self.new_group()
        device = self.function("0000:00:14.0", "8086:7ae0", USB, group)
        if self.chance(5):
            self.function("0000:00:14.2", "8086:7aa7", OTHER, group)
        if self.chance(3):
            self.function("0000:00:1f.4", "8086:7aa3", SMBUS, self.pick(group, self.new_group()))
        self.fill_controller(device.address, self.pick(0, 2, 3, 4, 5))

    def fill_controller(self, controller: PciAddress, devices: int) -> None:
        """Sockets with what is plugged into them; the last may be a hub with the rest behind it."""
        sockets = devices + self.pick(0, 1, 3)
        knows_sockets = self.chance(9)
        for number in range(1, sockets + 1):
            here = UsbPort(controller, "usb2", (number,))
            peer = (UsbPort(controller, "usb3", (number + 6,)),) if self.chance(6) else ()
            if knows_sockets:
                kind = self.pick("hotplug", "hardwired", None)
                self.sockets.append(UsbSocket((here, *peer), kind))
            if number <= devices:
                self.plug(here, allow_hub=True)

    def plug(self, port: UsbPort, *, allow_hub: bool) -> None:
        kind = self.pick("keyboard", "mouse", "both", "storage", "other", "hub", "key")
        if kind == "hub" and not allow_hub:
            kind = "keyboard"
        interface = {"keyboard": "030101", "mouse": "030102", "both": "030101"}.get(kind, "080650")
        number = len(self.usb) + 1
        self.usb.append(
            UsbDevice(
                sysname=f"{port.controller.bus + 1}-{'.'.join(map(str, port.ports))}.{number}",
                port=port,
                id=UsbId(self.pick(0x046D, 0x3434), self.pick(1, 2)),
                bus=port.controller.bus + 1,
                number=number,
                device_class=9 if kind == "hub" else 0,
                interfaces=("090000",) if kind == "hub" else (interface,),
                serial=self.draw(names),
                manufacturer=self.draw(names),
                product=self.draw(names),
            )
        )
        if kind == "hub":
            for inner in range(1, 1 + self.pick(0, 1, 2, 3)):
                below = UsbPort(port.controller, port.speed, (*port.ports, inner))
                self.plug(below, allow_hub=False)
        for kinds in {
            "keyboard": (("key", "keyboard"),),
            "mouse": (("mouse",),),
            "both": (("key", "keyboard"), ("mouse",)),
            "key": (("key", "keyboard"),),
        }.get(kind, ()):
            vendor = 0x1050 if kind == "key" else 0x046D
            self.add_input(kinds, usb=port, pci=port.controller, bus_type=3, vendor=vendor)

    def add_input(self, kinds: tuple[str, ...], **more) -> None:
        node = f"event{len(self.inputs)}"
        name = self.draw(names) or "USB Keyboard"
        self.inputs.append(InputDevice(node, name, kinds, **more))

    def add_disk(self) -> str:
        """A disk on a controller of its own, or on USB, with one partition."""
        name = f"disk{len(self.blocks)}"
        sticks = [d for d in self.usb if d.interfaces == ("080650",) and d.port]
        if sticks and self.chance(2):
            port = self.pick(*sticks).port
            self.blocks.append(BlockDevice(name, "8:0", pci=(port.controller,), usb=port))
        else:
            bus, parent, group, node = self.behind_port()
            code = self.pick(NVME, SATA)
            where = self.function(
                bus + ".0", "144d:a80a", code, group, parent=parent, node=node
            ).address
            self.blocks.append(BlockDevice(name, "8:0", pci=(parent, where)))
        self.blocks.append(BlockDevice(name + "p1", "8:1", below=(name,), pci=self.blocks[-1].pci))
        return name + "p1"

    def add_storage(self) -> list[Mount]:
        """Disks, and / on them: plain, LVM on LUKS, a RAID of two, a cache, a btrfs of all."""
        parts = [self.add_disk() for _ in range(self.pick(1, 1, 2, 3))]
        top = parts[0]
        for name, below in (("md0", tuple(parts[:2])), ("dm-0", ()), ("dm-1", ())):
            if self.chance(5):
                under, label = below or (top,), f"label-{name}"
                self.blocks.append(BlockDevice(name, "253:0", under, label=label))
                top = name
        if self.chance(2):  # cached on the last disk
            self.blocks.append(BlockDevice("bcache0", "252:0", (top, parts[-1])))
            top = "bcache0"
        if self.chance(1):
            top = "gone"  # a graph that cannot be followed
        mounts = [Mount(top, "/", "ext4")]
        if self.chance(2):
            mounts += [Mount(part, "/srv", "btrfs") for part in parts]
        mounts += [Mount(parts[-1], "swap", "swap")] if self.chance(2) else []
        return mounts

    def add_network(self) -> list[NetworkUse]:
        """NICs, and the default route on one of them, under bridge, bond and VLAN."""
        for number in range(self.pick(1, 1, 2)):
            bus, parent, group, node = self.behind_port()
            where = self.function(
                bus + ".0", "8086:15f3", NIC, group, parent=parent, node=node
            ).address
            self.networks.append(NetworkInterface(f"eth{number}", pci=where, up=True))
        top = "eth0"
        for name in ("bond0", "vlan7", "br0", "macvlan0"):
            if self.chance(1 if name == "macvlan0" else 4):
                self.networks.append(NetworkInterface(name, below=(top,), up=True))
                top = name
        return [NetworkUse(top, "default route", "/proc/net/route")] if self.chance(9) else []

    def cpus(self) -> tuple[Cpu, ...]:
        cores, threads = self.pick(1, 2, 4, 8, 12), self.pick(1, 2)
        in_l3 = self.pick(cores, 4)
        has_kinds = self.chance(3)
        nodes = [node for node in self.nodes if node is not None] or [None]
        found = []
        for number in range(cores * threads):
            core = number // threads
            first = core // in_l3 * in_l3 * threads
            kind = None
            if has_kinds:
                kind = "atom" if core >= cores // 2 else "core"
            found.append(
                Cpu(
                    number,
                    package=0,
                    core=tuple(range(core * threads, core * threads + threads)),
                    l3=tuple(range(first, min(first + in_l3 * threads, cores * threads))),
                    numa_node=nodes[core * len(nodes) // cores],
                    kind=kind,
                )
            )
        return tuple(found)

    def guests(self) -> tuple[Guest, ...] | None:
        if self.chance(5):
            return None
        gpus = [d.address for d in self.pci if d.is_gpu]
        guests = []
        if self.chance(5):
            guests.append(Guest("left", "6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a01"))
        if gpus and self.chance(3):
            is_running = self.chance(5)
            guests.append(
                Guest(
                    "somebody",
                    "6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a02",
                    "running" if is_running else "shut off",
                    hostdevs=(Hostdev(pci=self.pick(*gpus), live=is_running),),
                )
            )
        return tuple(guests)

    def bind_some(self) -> tuple[BeforeBind, ...]:
        """Bind a card for a seat, as after `apply`: what it had before is kept."""
        cards = [d for d in self.pci if d.is_gpu and d.driver]
        if not cards or not self.chance(2):
            return ()
        card = self.pick(*cards)
        at = self.pci.index(card)
        self.pci[at] = _with(card, driver="vfio-pci", override="vfio-pci")
        return (BeforeBind(card.address, card.id, card.driver, None, "left"),)


def _with(device: PciDevice, **changes) -> PciDevice:
    fields = {name: getattr(device, name) for name in PciDevice.__match_args__}
    return PciDevice(**{**fields, **changes})


@st.composite
def machines(draw, min_cards: int = 0, max_cards: int = 4, max_controllers: int = 4) -> Host:
    """One PC. The number of cards is that of graphics boards, the processor's not counted."""
    board = _Board(draw)
    board.function("0000:00:00.0", "8086:a700", HOST_BRIDGE, 0)
    same = board.pick("10de:2786", "1002:747e/1043:88e2")
    for _ in range(draw(st.integers(min_cards, max_cards))):
        board.add_card(same if board.chance(6) else board.pick("10de:2684", "1002:73df"))
    if board.chance(4):
        board.add_processor_graphics()
    if board.chance(8):
        board.add_chipset()
    for _ in range(draw(st.integers(0, max_controllers))):
        board.add_controller()
    if board.chance(4):
        board.add_input(("key", "keyboard"), bus_type=0x11)
    mounts, uses = board.add_storage(), board.add_network()
    gpus = [device.address for device in board.pci if device.is_gpu]
    console = Console(
        gpu=board.pick(*gpus) if gpus and board.chance(8) else None, ssh=board.pick(None, True)
    )
    before = board.bind_some()
    return Host(
        pci=tuple(sorted(board.pci, key=lambda device: device.address)),
        connectors=tuple(board.connectors),
        sockets=tuple(board.sockets),
        usb=tuple(board.usb),
        inputs=tuple(board.inputs),
        cpus=board.cpus(),
        memory=board.pick(None, Memory(2 * 2**20), Memory(32 * 2**20), Memory(64 * 2**20)),
        iommu=Iommu(("dmar0",), board.group, ("DMAR",)) if board.has_groups else Iommu(),
        blocks=tuple(board.blocks),
        mounts=tuple(mounts),
        networks=tuple(board.networks),
        network_uses=tuple(uses),
        console=console,
        guests=board.guests(),
        before=before,
    )
