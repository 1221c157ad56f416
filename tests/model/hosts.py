"""PCs as values, built in code: small enough to know by heart, real enough to decide on.

`two_seat_pc()` is the one most tests use::

    0000:00:02.0  processor graphics   i915        group 2   the host's monitor
    0000:00:14.0  USB (host)           xhci_hcd    group 3   with 00:14.2, which has no driver
    0000:00:17.0  SATA                 ahci        group 5   sda: /
    0000:00:1c.0  root port            pcieport    group 7
    0000:05:00.0  network              igc         group 8   eth0: default route
    0000:01:00.0  GeForce RTX 4070     nouveau     group 1   left's card, with its root port 00:01.0
    0000:01:00.1  its sound            snd_hda...  group 1
    0000:02:00.0  Radeon RX 7800 XT    amdgpu      group 12  right's card
    0000:02:00.1  its sound            snd_hda...  group 13  a group of its own
    0000:03:00.0  USB (left)           xhci_hcd    group 14
    0000:04:00.0  USB (right)          xhci_hcd    group 15  same id as left's
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import (
    BeforeBind,
    BlockDevice,
    Connector,
    Console,
    Cpu,
    Guest,
    Host,
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
from phyllome_seat.model.seat import (
    DeviceMatch,
    MonitorMatch,
    NewGuest,
    PciMatch,
    PortMatch,
    Seat,
    Wish,
)

VGA, SOUND, USB, SATA, NIC = 0x030000, 0x040300, 0x0C0330, 0x010601, 0x020000
HOST_BRIDGE, PCI_BRIDGE, MEMORY = 0x060000, 0x060400, 0x050000

LEFT_GPU, LEFT_SOUND, LEFT_USB = "0000:01:00.0", "0000:01:00.1", "0000:03:00.0"
RIGHT_GPU, RIGHT_SOUND, RIGHT_USB = "0000:02:00.0", "0000:02:00.1", "0000:04:00.0"
HOST_GPU, HOST_USB, DISK, NETWORK = (
    "0000:00:02.0",
    "0000:00:14.0",
    "0000:00:17.0",
    "0000:05:00.0",
)

WIN11_XML = """\
<domain type='kvm'>
  <name>win11</name>
  <uuid>6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a01</uuid>
  <memory unit='KiB'>8388608</memory>
  <vcpu placement='static'>4</vcpu>
  <os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <devices>
    <disk type='file' device='disk'>
      <source file='/var/lib/libvirt/images/win11.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""


def address(text: str) -> PciAddress:
    return PciAddress.parse(text)


def port(text: str) -> UsbPort:
    return UsbPort.parse(text)


def function(
    where: str,
    what: str,
    class_code: int,
    group: int | None,
    driver: str | None = None,
    *,
    name: str | None = None,
    parent: str | None = None,
    boot_vga: bool | None = None,
) -> PciDevice:
    """Return one PCI function from the texts of its address and id."""
    return PciDevice(
        address=address(where),
        id=PciId.parse(what),
        class_code=class_code,
        device_name=name,
        driver=driver,
        iommu_group=group,
        parent=address(parent) if parent else None,
        boot_vga=boot_vga,
    )


def usb_device(
    sysname: str,
    where: str,
    what: str,
    name: str,
    *,
    serial: str | None = None,
    interface: str = "030101",
    driver: str = "usbhid",
) -> UsbDevice:
    """Return one USB device; `where` is its port as text, `interface` class, subclass, protocol."""
    is_hub = interface.startswith("09")
    return UsbDevice(
        sysname=sysname,
        port=port(where),
        id=UsbId.parse(what),
        bus=int(sysname.partition("-")[0]),
        number=sum(port(where).ports) + 1,
        device_class=0x09 if is_hub else 0,
        interfaces=(interface,),
        serial=serial,
        product=name,
        drivers=("hub",) if is_hub else (driver,),
    )


def sockets(controller: str, usb2: int, peers: dict[int, int]) -> tuple[UsbSocket, ...]:
    """Return root sockets: `usb2` of them, those in `peers` with that USB 3 port as well."""
    here = address(controller)
    return tuple(
        UsbSocket(
            (
                UsbPort(here, "usb2", (number,)),
                *([UsbPort(here, "usb3", (peers[number],))] if number in peers else []),
            ),
            "hotplug",
        )
        for number in range(1, usb2 + 1)
    )


def keyboard(node: int, device: UsbDevice) -> InputDevice:
    return _input(node, device, ("key", "keyboard"))


def mouse(node: int, device: UsbDevice) -> InputDevice:
    return _input(node, device, ("mouse",))


def _input(node: int, device: UsbDevice, kinds: tuple[str, ...]) -> InputDevice:
    assert device.port is not None
    return InputDevice(
        node=f"event{node}",
        name=device.name,
        kinds=kinds,
        bus_type=3,
        vendor=device.id.vendor,
        product=device.id.product,
        usb=device.port,
        pci=device.port.controller,
    )


@cache  # frozen, so that all tests can have the same one
def two_seat_pc() -> Host:
    """Return the PC of this module's docstring, with nothing taken from the host yet."""
    usb = (
        usb_device("1-1", f"{HOST_USB}/usb2/1", "04d9:0024", "Host Keyboard"),
        usb_device("1-4", f"{HOST_USB}/usb2/4", "05e3:0610", "USB2.1 Hub", interface="090001"),
        usb_device("1-4.1", f"{HOST_USB}/usb2/4.1", "1bcf:0005", "Hub Mouse", interface="030102"),
        usb_device("1-4.2", f"{HOST_USB}/usb2/4.2", "046d:c31c", "Hub Keyboard"),
        usb_device("2-14", f"{HOST_USB}/usb3/14", "05e3:0620", "USB3.1 Hub", interface="090000"),
        usb_device(
            "2-13",
            f"{HOST_USB}/usb3/13",
            "0781:5581",
            "Ultra",
            serial="4C53",
            interface="080650",
            driver="usb-storage",
        ),
        usb_device("3-1", f"{LEFT_USB}/usb2/1", "3434:0110", "Left Keyboard"),
        usb_device("3-2", f"{LEFT_USB}/usb2/2", "046d:c52b", "Receiver", interface="030102"),
        usb_device("5-1", f"{RIGHT_USB}/usb2/1", "3434:0110", "Right Keyboard"),
        usb_device("5-2", f"{RIGHT_USB}/usb2/2", "1532:0084", "DeathAdder", interface="030102"),
    )
    by_sysname = {device.sysname: device for device in usb}
    return Host(
        pci=_two_seat_pci(),
        connectors=(
            Connector(address(HOST_GPU), "HDMI-A-1", True, True, Monitor("GSM", 0x5B09, name="LG")),
            Connector(
                address(LEFT_GPU),
                "DP-1",
                True,
                True,
                Monitor("DEL", 0x41A2, serial="8KTXF13", name="DELL U2720Q"),
            ),
            Connector(address(LEFT_GPU), "HDMI-A-2", False),
            Connector(
                address(RIGHT_GPU),
                "DP-3",
                True,
                True,
                Monitor("ACI", 0x24CF, serial_number=51966, name="ROG PG279Q"),
            ),
        ),
        sockets=(
            *sockets(HOST_USB, 12, {3: 13, 4: 14}),
            # A hub's two halves share their port numbers: drivers/usb/core/port.c.
            *(
                UsbSocket((port(f"{HOST_USB}/usb2/4.{n}"), port(f"{HOST_USB}/usb3/14.{n}")))
                for n in range(1, 5)
            ),
            *sockets(LEFT_USB, 4, {n: n for n in range(1, 5)}),
            *sockets(RIGHT_USB, 4, {n: n for n in range(1, 5)}),
        ),
        usb=usb,
        inputs=(
            keyboard(3, by_sysname["1-1"]),
            mouse(4, by_sysname["1-4.1"]),
            keyboard(5, by_sysname["1-4.2"]),
            keyboard(6, by_sysname["3-1"]),
            mouse(7, by_sysname["3-2"]),
            keyboard(8, by_sysname["5-1"]),
            mouse(9, by_sysname["5-2"]),
        ),
        cpus=tuple(Cpu(number, core=(number,), package=0) for number in range(16)),
        memory=Memory(total_kib=32 * 2**20),
        iommu=Iommu(units=("dmar0",), groups=12, firmware_tables=("DMAR",)),
        blocks=(
            BlockDevice("sda", "8:0", pci=(address(DISK),)),
            BlockDevice("sda1", "8:1", below=("sda",), pci=(address(DISK),)),
        ),
        mounts=(Mount("sda1", "/", "ext4"),),
        networks=(NetworkInterface("eth0", pci=address(NETWORK), up=True),),
        network_uses=(NetworkUse("eth0", "default route", "/proc/net/route"),),
        console=Console(gpu=address(HOST_GPU)),
        guests=(Guest("win11", "6f1c2f0a-5b3e-4a52-9c68-0d1f7c9b1a01", xml=WIN11_XML),),
    )


def _two_seat_pci() -> tuple[PciDevice, ...]:
    return (
        function("0000:00:00.0", "8086:a700", HOST_BRIDGE, 0),
        function("0000:00:01.0", "8086:a70d", PCI_BRIDGE, 1, "pcieport"),
        function(HOST_GPU, "8086:a780", VGA, 2, "i915", name="UHD Graphics 770", boot_vga=True),
        function(HOST_USB, "8086:7ae0", USB, 3, "xhci_hcd", name="Alder Lake-S xHCI"),
        function("0000:00:14.2", "8086:7aa7", MEMORY, 3, None, name="Alder Lake-S SRAM"),
        function(DISK, "8086:7ae2", SATA, 5, "ahci", name="Alder Lake-S SATA"),
        function("0000:00:1c.0", "8086:7ab8", PCI_BRIDGE, 7, "pcieport"),
        function(
            LEFT_GPU,
            "10de:2786/1043:88e2",
            VGA,
            1,
            "nouveau",
            name="GeForce RTX 4070",
            parent="0000:00:01.0",
            boot_vga=False,
        ),
        function(
            LEFT_SOUND,
            "10de:22bc/1043:88e2",
            SOUND,
            1,
            "snd_hda_intel",
            name="AD104 Audio",
            parent="0000:00:01.0",
        ),
        function(
            RIGHT_GPU, "1002:747e", VGA, 12, "amdgpu", name="Radeon RX 7800 XT", boot_vga=False
        ),
        function(RIGHT_SOUND, "1002:ab30", SOUND, 13, "snd_hda_intel", name="Navi 31 Audio"),
        function(LEFT_USB, "1b73:1100", USB, 14, "xhci_hcd", name="FL1100 USB 3.0"),
        function(RIGHT_USB, "1b73:1100", USB, 15, "xhci_hcd", name="FL1100 USB 3.0"),
        function(
            NETWORK, "8086:15f3", NIC, 8, "igc", name="Ethernet I225-V", parent="0000:00:1c.0"
        ),
    )


def two_seat_wish(**changes: object) -> Wish:
    """Return what two people want of `two_seat_pc`: a card and a USB controller each."""
    wish = Wish(
        seats=(
            Seat(
                "left",
                gpu=PciMatch(address(LEFT_GPU), PciId.parse("10de:2786")),
                monitor=MonitorMatch(name="DELL U2720Q", serial="8KTXF13"),
                usb=(PciMatch(address(LEFT_USB), PciId.parse("1b73:1100")),),
                domain="win11",
            ),
            Seat(
                "right",
                gpu=PciMatch(address(RIGHT_GPU), PciId.parse("1002:747e")),
                usb=(
                    PciMatch(address(RIGHT_USB), PciId.parse("1b73:1100")),
                    PortMatch(address(HOST_USB), PciId.parse("8086:7ae0"), usb2=(3,)),
                    DeviceMatch(UsbId.parse("20b1:0008"), serial="R-77"),
                ),
                create=NewGuest(
                    "right",
                    memory_bytes=8 * 2**30,
                    cpus=4,
                    profile="plain",
                    disk_path="/var/lib/libvirt/images/right.qcow2",
                    disk_bytes=64 * 2**30,
                ),
            ),
        ),
        host_cpus=2,
        host_memory_bytes=4 * 2**30,
        file="seats.yaml",
    )
    return replace(wish, **changes)  # type: ignore[arg-type]  # the caller names real fields


def with_pci(host: Host, change: Callable[[PciDevice], PciDevice | None]) -> Host:
    """Return `host` with every function changed by `change`, without those it returns None for."""
    changed = (change(device) for device in host.pci)
    return replace(host, pci=tuple(device for device in changed if device))


def with_function(host: Host, where: str, **changes: object) -> Host:
    """Return `host` with some fields of the function at `where` changed."""
    here = address(where)
    return with_pci(
        host,
        lambda d: replace(d, **changes) if d.address == here else d,  # type: ignore[arg-type]
    )


def bound(host: Host, seats: dict[str, tuple[str, ...]]) -> Host:
    """Return `host` as it is after its functions were bound to vfio-pci for these seats.

    What hung on them is only remembered, as after a scan that has looked before.
    """
    taken = {address(text): seat for seat, texts in seats.items() for text in texts}
    after = with_pci(
        host,
        lambda d: replace(d, driver="vfio-pci", override="vfio-pci") if d.address in taken else d,
    )
    before = tuple(
        BeforeBind(d.address, d.id, d.driver, d.override, taken[d.address])
        for d in host.pci
        if d.address in taken
    )
    return replace(
        after,
        before=before,
        connectors=tuple(
            replace(c, connected=None, enabled=None, remembered=True) if c.gpu in taken else c
            for c in host.connectors
        ),
        sockets=tuple(s for s in host.sockets if s.ports[0].controller not in taken),
        usb=tuple(
            replace(d, remembered=True) if d.port and d.port.controller in taken else d
            for d in host.usb
        ),
        inputs=tuple(replace(i, remembered=True) if i.pci in taken else i for i in host.inputs),
    )


def applied_two_seat_pc() -> Host:
    """Return `two_seat_pc` after `two_seat_wish` was applied to its PCI functions."""
    return bound(
        two_seat_pc(),
        {"left": (LEFT_GPU, LEFT_SOUND, LEFT_USB), "right": (RIGHT_GPU, RIGHT_SOUND, RIGHT_USB)},
    )
