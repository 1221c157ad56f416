"""A PC larger than any: blocks of ten PCI functions with forty USB devices, as many as asked for.

One block has, behind root ports of its own on bus 0 of its domain::

    a graphics card and its sound, one IOMMU group, two monitors
    a USB controller: 16 sockets of two speeds, four hubs of seven ports, 36 other devices
    a network card, an NVMe disk, a function of the chipset, four root ports

The first block is the host's: it shows the console, has the root file system and the default
route. A hundred blocks are 1,000 functions and 4,000 USB devices; twice as many blocks have twice
as much of everything. The same number gives the same tree, byte for byte.
"""

from __future__ import annotations

from pathlib import Path

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.seat import PciMatch, Seat, Wish
from phyllome_seat.system.sysfs import Sysfs
from tests.system.device_trees import (
    Files,
    connector,
    edid,
    event,
    hub_port,
    interface,
    pci,
    root_hub,
    usb,
)
from tests.system.trees import Link, block, make_tree, mountinfo

_BLOCKS_IN_DOMAIN = 50  # each has 4 buses and 5 functions on bus 0, which has room for 256
_SOCKETS, _HUBS, _HUB_PORTS, _USB_DEVICES = 16, 4, 7, 40
_GPU, _USB = 0, 1  # which root port of the block

_KEYBOARD = ("46d/c31c/4920", "3/1/1", "usbhid", "Logitech", "USB Keyboard")
_MOUSE = ("46d/c077/7200", "3/1/2", "usbhid", "Logitech", "USB Optical Mouse")
_STICK = ("781/5581/100", "8/6/80", "usb-storage", "SanDisk", "Ultra")
_HEADSET = ("951/16a4/100", "1/1/0", "snd-usb-audio", "Kingston", "HyperX 7.1 Audio")
_KINDS = (_KEYBOARD, _MOUSE, _STICK, _HEADSET)


def make_big_tree(root: Path, blocks: int) -> Sysfs:
    """Write the machine with so many blocks below `root`, an empty folder, and return it."""
    make_tree(root, _host_files())
    for number in range(blocks):
        make_tree(root, _Block(number).files())
    return Sysfs(str(root))


def wish_for(seats: int) -> Wish:
    """Return seats with a card and a USB controller each, of the blocks after the host's."""
    return Wish(seats=tuple(_seat(number) for number in range(1, seats + 1)))


def _seat(number: int) -> Seat:
    place = _Block(number)
    card, controller = (PciAddress.parse(place.address(port)) for port in (_GPU, _USB))
    return Seat(
        name=f"seat{number}",
        gpu=PciMatch(card, PciId(0x10DE, 0x2786)),
        usb=(PciMatch(controller, PciId(0x1B73, 0x1100)),),
        domain=f"guest{number}",
    )


def _host_files() -> Files:
    """What the host itself uses, all of it in the first block."""
    return mountinfo("259:0 / ext4 /dev/nvme0n1") | {
        "proc/net/route": "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        "eth0 00000000 0100000A 0003 0 0 100 00000000 0 0 0\n".replace(" ", "\t"),
        "proc/meminfo": "MemTotal: 1073741824 kB\nMemAvailable: 1000000000 kB\n",
    }


class _Block:
    def __init__(self, number: int) -> None:
        self.number = number
        self._domain, self._place = divmod(number, _BLOCKS_IN_DOMAIN)
        self._root = f"pci{self._domain:04x}:00"

    def address(self, port: int, function: int = 0) -> str:
        """Return the address of a function behind the block's root port of this number."""
        return f"{self._domain:04x}:{self._place * 4 + port + 1:02x}:00.{function}"

    def files(self) -> Files:
        files: Files = {}
        for port in range(4):
            files |= self._function(self._on_bus_0(port), port, "8086:7AB8", "60400", "pcieport")
        files |= self._function(self._on_bus_0(4), 4, "8086:7AA4", "C0500", "i801_smbus")
        files |= self._card() | self._usb_controller() | self._network() | self._disk()
        return files

    def _on_bus_0(self, number: int) -> str:
        device, function = divmod(self._place * 5 + number, 8)
        return f"{self._root}/{self._domain:04x}:00:{device:02x}.{function}"

    def _path(self, port: int, function: int = 0) -> str:
        return f"{self._on_bus_0(port)}/{self.address(port, function)}"

    def _function(
        self, path: str, group: int, identity: str, class_code: str, driver: str, **more: str
    ) -> Files:
        return pci(
            path,
            identity=identity,
            class_code=class_code,
            driver=driver,
            udev=f"E:ID_VENDOR_FROM_DATABASE=Maker\nE:ID_MODEL_FROM_DATABASE=Chip {identity}\n",
            revision="0xa1\n",
            driver_override="(null)\n",
            numa_node="-1\n",
            reset_method="flr bus\n",
            iommu_group=f"sys/kernel/iommu_groups/{self.number * 10 + group}",
            max_link_speed="16.0 GT/s PCIe\n",
            max_link_width="16\n",
            current_link_speed="2.5 GT/s PCIe\n",
            current_link_width="16\n",
            **more,
        )

    def _card(self) -> Files:
        card = self._path(_GPU)
        is_boot = "1\n" if self.number == 0 else "0\n"
        files = self._function(card, 5, "10DE:2786", "30000", "nouveau", boot_vga=is_boot)
        files |= self._function(self._path(_GPU, 1), 5, "10DE:22BC", "40300", "snd_hda_intel")
        for port in (1, 2):
            screen = f"{card}/drm/card{self.number}/card{self.number}-DP-{port}"
            monitor = edid(name=f"screen {self.number}.{port}", product=self.number)
            files |= connector(screen, enabled="enabled\n", edid=monitor)
        return files

    def _network(self) -> Files:
        path, name = self._path(2), f"eth{self.number}"
        folder = f"sys/devices/{path}/net/{name}"
        files = self._function(path, 7, "8086:125C", "20000", "igc")
        return files | {f"sys/class/net/{name}": Link(folder), f"{folder}/operstate": "up\n"}

    def _disk(self) -> Files:
        path = self._path(3)
        files = self._function(path, 8, "144D:A80C", "10802", "nvme")
        disk = f"{path}/nvme/nvme{self.number}/nvme{self.number}n1"
        return files | block(disk, f"259:{self.number}", size=1 << 21)

    def _usb_controller(self) -> Files:
        """The controller and its two buses, the even numbered one for USB 3."""
        path = self._path(_USB)
        slow, fast = self.number * 2 + 1, self.number * 2 + 2
        files = self._function(path, 6, "1B73:1100", "C0330", "xhci_hcd")
        files |= root_hub(path, slow) | root_hub(path, fast, product=3)
        for port in range(1, _SOCKETS + 1):
            hubs = [f"{path}/usb{bus}/{bus}-0:1.0" for bus in (slow, fast)]
            names = [f"usb{bus}-port{port}" for bus in (slow, fast)]
            for this, other in ((0, 1), (1, 0)):
                peer = f"{hubs[other]}/{names[other]}"
                files |= hub_port(hubs[this], names[this], peer=peer, connect_type="hotplug\n")
        return files | self._plugged(f"{path}/usb{slow}", slow)

    def _plugged(self, root: str, bus: int) -> Files:
        """What is plugged in: hubs on the first ports with seven devices each, eight beside them.

        Device number 1 of a bus is its root hub.
        """
        files: Files = {}
        for hub in range(1, _HUBS + 1):
            path, number = f"{root}/{bus}-{hub}", hub * 10
            files |= usb(path, product="5e3/608/8536", device_class="9/0/1", number=number)
            inside = f"{path}/{bus}-{hub}:1.0"
            files |= interface(inside, "9/0/0", driver="hub")
            for port in range(1, _HUB_PORTS + 1):
                files |= hub_port(inside, f"{bus}-{hub}-port{port}", connect_type="hotplug\n")
                files |= self._device(f"{path}/{bus}-{hub}.{port}", number + port)
        for port in range(_HUBS + 1, _USB_DEVICES - _HUBS * _HUB_PORTS + 1):
            files |= self._device(f"{root}/{bus}-{port}", 50 + port)
        return files

    def _device(self, path: str, number: int) -> Files:
        """One device; a keyboard or a mouse has an input node."""
        product, kind, driver, maker, name = _KINDS[number % len(_KINDS)]
        serial = f"B{self.number:03}N{number:03}\n"
        files = usb(path, product=product, number=number, manufacturer=maker + "\n", serial=serial)
        files |= {
            f"sys/devices/{path}/product": name + "\n",
            f"sys/devices/{path}/speed": "12\n",
        }
        inside = f"{path}/{path.rpartition('/')[2]}:1.0"
        files |= interface(inside, kind, driver=driver)
        if driver != "usbhid":
            return files
        node = self.number * 100 + number
        word = "KEYBOARD" if product == _KEYBOARD[0] else "MOUSE"
        udev = f"E:ID_INPUT=1\nE:ID_INPUT_{word}=1\n"
        return files | event(f"{inside}/input/input{node}", node, name=name, udev=udev)
