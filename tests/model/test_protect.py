from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import (
    BlockDevice,
    Connector,
    Console,
    Guest,
    Host,
    Hostdev,
    InputDevice,
    Mount,
    NetworkInterface,
    NetworkUse,
    PciDevice,
)
from phyllome_seat.model.keyboards import find_last_keyboards
from phyllome_seat.model.protect import protect
from tests.model.hosts import (
    DISK,
    HOST_GPU,
    HOST_USB,
    LEFT_GPU,
    LEFT_SOUND,
    LEFT_USB,
    NETWORK,
    RIGHT_GPU,
    RIGHT_SOUND,
    RIGHT_USB,
    address,
    function,
    port,
    two_seat_pc,
    usb_device,
)

NVME, NVME_2 = "0000:04:00.0", "0000:05:00.0"
SATA_1, SATA_2 = "0000:00:17.0", "0000:06:00.0"
STICK = f"{HOST_USB}/usb3/13"
BRIDGE, DISPLAY, STORAGE, NIC, USB = 0x060400, 0x030000, 0x010802, 0x020000, 0x0C0330


def plain(where, class_code=STORAGE, group=None, driver="some", **more):
    return replace(function(where, "8086:1234", class_code, group, driver), **more)


def kinds(protected, where, waivable=False):
    """The kinds of reasons why a function or USB place stays."""
    reasons = protected.usb.get(port(where), ()) if "usb" in where else ()
    reasons += protected.pci.get(address(where), ()) if "usb" not in where else ()
    return {reason.kind for reason in reasons if reason.waivable is waivable}


def words(protected, where):
    return [reason.words for reason in protected.pci.get(address(where), ())]


def keyboard(node, where=None, pci=None, bus_type=3, **more):
    place = port(where) if where else None
    function_address = address(pci) if pci else place and place.controller
    return InputDevice(
        f"event{node}",
        f"Board {node}",
        ("key", "keyboard"),
        bus_type,
        usb=place,
        pci=function_address,
        **more,
    )


def disk(name, number, *controllers, **more):
    return BlockDevice(name, number, pci=tuple(map(address, controllers)), **more)


# Disks


def lvm_on_luks(mount="/"):
    return Host(
        pci=(plain("0000:00:1d.0", BRIDGE, 1, "pcieport"), plain(NVME, group=2), plain(NVME_2)),
        blocks=(
            disk("nvme0n1", "259:0", "0000:00:1d.0", NVME),
            disk("nvme0n1p3", "259:3", "0000:00:1d.0", NVME, below=("nvme0n1",)),
            disk("nvme1n1", "259:9", NVME_2),
            BlockDevice("dm-0", "253:0", below=("nvme0n1p3",), label="luks"),
            BlockDevice("dm-1", "253:1", below=("dm-0",), label="vg0-root"),
        ),
        mounts=(Mount("dm-1", mount, "ext4"),),
    )


def test_the_controller_below_lvm_on_luks_holds_the_root_and_is_never_given_up():
    protected = protect(lvm_on_luks())

    assert kinds(protected, NVME) == {"disk"}
    assert kinds(protected, NVME, waivable=True) == set()
    assert words(protected, NVME) == ["holds / (ext4 on vg0-root)"]
    assert protected.pci[address(NVME)][0].evidence == "/proc/self/mountinfo"
    assert kinds(protected, "0000:00:1d.0") == {"disk", "bridge"}
    assert address(NVME_2) not in protected.pci


def test_every_controller_of_a_raid_holds_what_is_on_it():
    host = Host(
        pci=(plain(SATA_1), plain(SATA_2)),
        blocks=(
            disk("sda", "8:0", SATA_1),
            disk("sdb", "8:16", SATA_2),
            BlockDevice("md127", "9:127", below=("sda", "sdb")),
        ),
        mounts=(Mount("md127", "/home", "xfs"),),
    )

    assert words(protect(host), SATA_1) == words(protect(host), SATA_2)
    assert words(protect(host), SATA_1) == ["holds /home (xfs on md127)"]


def test_swap_alone_holds_its_controller():
    host = replace(lvm_on_luks(), mounts=(Mount("nvme1n1", "swap", "swap", "/proc/swaps"),))

    assert words(protect(host), NVME_2) == ["holds swap (nvme1n1)"]
    assert address(NVME) not in protect(host).pci


def test_the_partition_that_was_booted_from_holds_its_controller():
    boot = Mount("nvme1n1", "EFI system partition", "vfat", "/sys/firmware/efi/efivars/Boot0001")

    protected = protect(replace(lvm_on_luks(), mounts=(boot,)))

    assert words(protected, NVME_2) == ["holds EFI system partition (vfat on nvme1n1)"]
    assert protected.pci[address(NVME_2)][0].evidence.endswith("Boot0001")


def test_a_usb_stick_in_use_holds_its_place_and_its_controller():
    stick = disk("sdb", "8:16", HOST_USB, usb=port(STICK))
    host = replace(two_seat_pc(), blocks=(stick,), mounts=(Mount("sdb", "/", "ext4"),))

    protected = protect(host, ports=(port(STICK),))

    assert kinds(protected, STICK) == {"disk"}
    assert kinds(protected, HOST_USB) == {"disk"}
    assert set(protected.usb) == {port(STICK)}


def test_a_disk_of_memory_or_of_a_file_holds_nothing():
    host = replace(
        lvm_on_luks(),
        blocks=(BlockDevice("zram0", "252:0"), BlockDevice("loop3", "7:3")),
        mounts=(Mount("zram0", "swap", "swap"), Mount("loop3", "/snap/core", "squashfs")),
    )

    assert kinds(protect(host), NVME) == set()


@pytest.mark.parametrize(
    ("blocks", "device"),
    [
        ((), "rpool/ROOT"),
        ((disk("nvme0n1", "259:0", NVME),), "rpool/ROOT"),
        ((BlockDevice("dm-0", "253:0", below=("gone",)),), "dm-0"),
        ((BlockDevice("ublkb0", "259:5", below=("?",)),), "ublkb0"),
    ],
)
def test_a_root_that_cannot_be_followed_may_be_on_any_storage(blocks, device):
    host = replace(
        lvm_on_luks(),
        pci=(*lvm_on_luks().pci, plain("0000:09:00.0", NIC), plain(SATA_2, driver="vfio-pci")),
        blocks=blocks,
        mounts=(Mount(device, "/", "zfs"),),
    )

    protected = protect(host)

    assert kinds(protected, NVME) == kinds(protected, NVME_2) == {"disk"}
    assert words(protected, NVME_2) == [
        f"may hold / (zfs on {device}), which cannot be followed to a disk"
    ]
    assert kinds(protected, "0000:09:00.0") == set()
    assert kinds(protected, SATA_2) == set()  # it has left already


def test_a_graph_that_goes_round_in_circles_ends():
    host = Host(
        pci=(plain(NVME, parent=address(NVME_2)), plain(NVME_2, parent=address(NVME))),
        blocks=(
            BlockDevice("dm-0", "253:0", below=("dm-1",)),
            disk("dm-1", "253:1", NVME, below=("dm-0",)),
        ),
        mounts=(Mount("dm-0", "/", "ext4"),),
    )

    assert kinds(protect(host), NVME) == {"disk"}


def test_the_physical_function_of_one_in_use_stays_too():
    virtual = plain("0000:05:10.0", NIC, physical_function=address(NETWORK))
    host = Host(
        pci=(plain(NETWORK, NIC), virtual),
        networks=(NetworkInterface("eth0v0", pci=virtual.address, up=True),),
        network_uses=(NetworkUse("eth0v0", "default route", "/proc/net/route"),),
    )

    assert kinds(protect(host), NETWORK) == {"network"}


# Networks

ETH0, ETH1, ETH2 = "0000:03:00.0", "0000:03:00.1", "0000:08:00.0"


def bridged(*uses):
    return Host(
        pci=(plain(ETH0, NIC), plain(ETH1, NIC), plain(ETH2, NIC)),
        networks=(
            NetworkInterface("bond0", ("eth0", "eth1"), up=True),
            NetworkInterface("br0", ("bond0", "vnet0"), up=True),
            NetworkInterface("eth0", pci=address(ETH0), up=True),
            NetworkInterface("eth1", pci=address(ETH1), up=False),
            NetworkInterface("eth2", pci=address(ETH2), up=True),
            NetworkInterface("tun0", up=None),
            NetworkInterface("vnet0", up=None),
        ),
        network_uses=uses,
    )


def test_all_cards_of_a_bridge_over_a_bond_carry_the_default_route():
    protected = protect(bridged(NetworkUse("br0", "default route", "/proc/net/route")))

    assert words(protected, ETH0) == words(protected, ETH1)
    assert words(protected, ETH0) == ["carries the default route (br0)"]
    assert protected.pci[address(ETH0)][0].evidence == "/proc/net/route"
    assert kinds(protected, ETH2) == set()


@pytest.mark.parametrize("name", ["tun0", "?"])
def test_a_session_over_what_is_no_card_may_be_carried_by_any_at_work(name):
    protected = protect(bridged(NetworkUse(name, "SSH session from 192.0.2.7", "/proc/net/tcp")))

    assert words(protected, ETH2) == [f"may carry the SSH session from 192.0.2.7 ({name})"]
    assert kinds(protected, ETH0) == {"network"}
    assert kinds(protected, ETH1) == set()


def test_an_adapter_on_usb_holds_its_place_and_its_controller():
    place = f"{HOST_USB}/usb2/3"
    host = replace(
        two_seat_pc(),
        networks=(NetworkInterface("enx0", pci=address(HOST_USB), usb=port(place), up=True),),
        network_uses=(NetworkUse("enx0", "default route", "/proc/net/route"),),
    )

    assert kinds(protect(host), place) == kinds(protect(host), HOST_USB) == {"network"}


# The console


def test_the_card_that_shows_the_console_stays_unless_it_is_given_up():
    protected = protect(two_seat_pc(), leaving=(address(LEFT_GPU), address(RIGHT_GPU)))

    assert kinds(protected, HOST_GPU, waivable=True) == {"console"}
    assert kinds(protected, HOST_GPU) == set()
    assert kinds(protected, LEFT_GPU, waivable=True) == set()
    assert (
        protected.pci[address(HOST_GPU)][0].evidence == f"/sys/bus/pci/devices/{HOST_GPU}/boot_vga"
    )


def test_of_cards_that_all_leave_each_is_the_last():
    pc = two_seat_pc()
    host = replace(pc, pci=tuple(d for d in pc.pci if d.address != address(HOST_GPU)))
    host = replace(host, console=Console(gpu=None))

    both = protect(host, leaving=(address(LEFT_GPU), address(RIGHT_GPU)))
    one = protect(host, leaving=(address(LEFT_GPU),))

    assert kinds(both, LEFT_GPU, True) == kinds(both, RIGHT_GPU, True) == {"console"}
    assert kinds(one, LEFT_GPU, True) == set()
    assert kinds(one, RIGHT_GPU, True) == {"console"}


def test_a_card_that_can_show_nothing_is_not_one_that_remains():
    cards = (
        plain("0000:01:00.0", DISPLAY, driver="amdgpu"),
        plain("0000:02:00.0", DISPLAY, driver="amdgpu"),  # no connectors
        plain("0000:03:00.0", DISPLAY, driver=None),
        plain("0000:04:00.0", DISPLAY, driver="vfio-pci"),
        plain("0000:05:00.0", DISPLAY, driver="nvidia"),  # sets no modes; another driver did
    )
    connectors = tuple(
        Connector(address(f"0000:0{n}:00.0"), "DP-1", remembered=n > 3) for n in (1, 3, 4, 5)
    )

    protected = protect(Host(pci=cards, connectors=connectors), leaving=(cards[0].address,))

    assert kinds(protected, "0000:01:00.0", waivable=True) == {"console"}
    assert set(protected.pci) == {cards[0].address}


def test_a_console_card_without_a_driver_shows_what_the_firmware_set_up():
    card = plain("0000:01:00.0", DISPLAY, driver=None, boot_vga=True)

    assert kinds(protect(Host(pci=(card,), console=Console(card.address))), "0000:01:00.0", True)
    gone = replace(card, driver="vfio-pci")
    assert protect(Host(pci=(gone,), console=Console(card.address))).pci == {}


def test_the_sound_of_the_console_card_stays_with_it_where_the_group_says_so():
    host = replace(two_seat_pc(), console=Console(gpu=address(LEFT_GPU)))

    protected = protect(host)

    assert kinds(protected, LEFT_SOUND, waivable=True) == {"console"}
    assert words(protected, LEFT_SOUND) == [
        f"shares IOMMU group 1 with {LEFT_GPU} (GeForce RTX 4070), which shows the host's console"
    ]
    assert address(RIGHT_SOUND) not in protected.pci


# Keyboards


def with_keyboards(*keyboards):
    return replace(two_seat_pc(), inputs=keyboards)


FIRST, SECOND = f"{HOST_USB}/usb2/1", f"{HOST_USB}/usb2/4.2"


def test_the_only_keyboard_holds_its_place_and_its_controller():
    protected = protect(with_keyboards(keyboard(3, FIRST)))

    assert kinds(protected, FIRST, waivable=True) == {"keyboard"}
    assert kinds(protected, HOST_USB, waivable=True) == {"keyboard"}
    assert words(protected, HOST_USB) == ["has the host's last keyboard, Board 3 (event3)"]
    assert protected.pci[address(HOST_USB)][0].evidence == "/sys/class/input/event3"


def test_of_two_keyboards_one_may_leave_and_then_the_other_stays():
    host = with_keyboards(keyboard(3, FIRST), keyboard(4, f"{LEFT_USB}/usb2/1"))

    assert not protect(host).usb
    by_port = protect(host, ports=(port(FIRST),))
    by_controller = protect(host, leaving=(address(LEFT_USB),))

    assert set(by_port.usb) == {port(f"{LEFT_USB}/usb2/1")}
    assert kinds(by_port, LEFT_USB, waivable=True) == {"keyboard"}
    assert kinds(by_port, HOST_USB, waivable=True) == set()
    assert set(by_controller.usb) == {port(FIRST)}
    assert kinds(by_controller, HOST_USB, waivable=True) == {"keyboard"}


def test_of_two_keyboards_that_both_leave_each_is_the_last():
    host = with_keyboards(keyboard(3, FIRST), keyboard(4, f"{LEFT_USB}/usb2/1"))

    protected = protect(host, leaving=(address(LEFT_USB),), ports=(port(FIRST),))

    assert set(protected.usb) == {port(FIRST), port(f"{LEFT_USB}/usb2/1")}
    assert words(protected, LEFT_USB) == [
        "has one of the host's last keyboards, Board 3 (event3), Board 4 (event4)"
    ]


def test_a_controller_with_all_keyboards_stays_though_each_of_them_may_leave():
    protected = protect(with_keyboards(keyboard(3, FIRST), keyboard(4, SECOND)))

    assert kinds(protected, HOST_USB, waivable=True) == {"keyboard"}
    assert not protected.usb


def test_a_hub_that_leaves_takes_the_keyboard_behind_it():
    hub = port(f"{HOST_USB}/usb2/4")
    host = with_keyboards(keyboard(3, SECOND))

    assert set(protect(host, ports=(hub,)).usb) == {port(SECOND)}
    assert set(protect(host).usb) == {port(SECOND)}
    both = with_keyboards(keyboard(3, SECOND), keyboard(4, f"{HOST_USB}/usb2/4.3"))
    assert set(protect(both).usb) == {hub}


@pytest.mark.parametrize(
    "other",
    [
        keyboard(9, bus_type=0x11),
        keyboard(9, pci="0000:00:15.0", bus_type=0x18),
        keyboard(9, f"{RIGHT_USB}/usb2/1"),
    ],
    ids=["PS/2", "I2C", "USB elsewhere"],
)
def test_with_another_keyboard_that_stays_none_is_the_last(other):
    protected = protect(with_keyboards(keyboard(3, FIRST), other), leaving=(address(HOST_USB),))

    assert kinds(protected, HOST_USB, waivable=True) == set()
    assert kinds(protected, FIRST, waivable=True) == set()


@pytest.mark.parametrize(
    "other",
    [
        keyboard(9, f"{LEFT_USB}/usb2/1", remembered=True),
        keyboard(9, bus_type=0x06),
        keyboard(9, bus_type=0x05),
        keyboard(9, f"{LEFT_USB}/usb2/1", vendor=0x1050),
        replace(keyboard(9, f"{LEFT_USB}/usb2/1"), kinds=("key",)),
    ],
    ids=["remembered", "made by a program", "by radio", "security key", "power button"],
)
def test_what_nobody_can_type_on_here_does_not_remain(other):
    assert kinds(protect(with_keyboards(keyboard(3, FIRST), other)), FIRST, True) == {"keyboard"}


def by_radio(*adapters, inputs=()):
    """A PC whose keyboard is by Bluetooth LE, with adapters at these places."""
    host = with_keyboards(*inputs, keyboard(9, bus_type=0x05))
    radios = [
        usb_device(f"1-{n}", place, "8087:0032", "Radio", interface="e00101", driver="btusb")
        for n, place in enumerate(adapters, 7)
    ]
    return replace(host, usb=(*host.usb, *radios))


def test_a_keyboard_by_bluetooth_leaves_with_its_adapter():
    radio = f"{HOST_USB}/usb2/9"
    protected = protect(by_radio(radio))

    assert kinds(protected, radio, waivable=True) == {"keyboard"}
    assert "keyboard" in kinds(protected, HOST_USB, waivable=True)
    assert (
        kinds(protect(by_radio(f"{HOST_USB}/usb2/9", f"{LEFT_USB}/usb2/3")), radio, True) == set()
    )


def test_a_keyboard_by_bluetooth_remains_where_its_adapter_does():
    host = by_radio(f"{RIGHT_USB}/usb2/3", inputs=[keyboard(3, FIRST)])

    assert kinds(protect(host), FIRST, waivable=True) == set()
    leaving = protect(host, leaving=(address(RIGHT_USB),))
    assert kinds(leaving, FIRST, waivable=True) == {"keyboard"}


def test_a_host_without_a_keyboard_has_none_to_lose():
    assert not protect(with_keyboards(), leaving=(address(HOST_USB),)).usb


# Guests


@pytest.mark.parametrize(
    "hostdev",
    [
        Hostdev(pci=address(LEFT_USB), live=True),
        Hostdev(usb_bus=3, usb_number=2, live=True),
        Hostdev(usb_id=UsbId.parse("3434:0110"), live=True),
    ],
    ids=["function", "by number", "by id"],
)
def test_what_a_running_guest_holds_stays_with_it(hostdev):
    guest = Guest("games", "u1", "running", hostdevs=(hostdev,))
    protected = protect(replace(two_seat_pc(), guests=(guest,)))

    assert kinds(protected, LEFT_USB) == {"guest"}
    assert words(protected, LEFT_USB) == ["is held by guest games"]


@pytest.mark.parametrize(
    ("state", "live", "alias"),
    [
        ("shut off", True, None),
        ("running", False, None),
        ("running", True, "ua-phyllome-left-gpu-1"),
    ],
    ids=["shut off", "defined only", "ours"],
)
def test_what_no_other_guest_holds_now_is_free(state, live, alias):
    hostdev = Hostdev(pci=address(LEFT_USB), live=live, alias=alias)
    guest = Guest("games", "u1", state, hostdevs=(hostdev,))

    assert kinds(protect(replace(two_seat_pc(), guests=(guest,))), LEFT_USB) == set()


GUEST_XML = """<domain type='kvm'><devices>
  <disk type='block' device='disk'><source dev='{disk}'/></disk>
  <disk type='file' device='disk'><source file='/srv/a.qcow2'/></disk>
  <interface type='{kind}'><source {kind}='{name}'/></interface>
</devices></domain>"""


def with_guest(disk, interface="network", name="default", state="running"):
    xml = GUEST_XML.format(disk=disk, kind=interface, name=name)
    if interface == "direct":
        xml = xml.replace("direct='enx0", "dev='enx0")
    stick = disk_of_stick()
    return replace(
        two_seat_pc(),
        blocks=(*two_seat_pc().blocks, *stick),
        networks=(
            NetworkInterface("br1", ("enx0",), up=True),
            NetworkInterface(
                "enx0", pci=address(LEFT_USB), usb=port(f"{LEFT_USB}/usb3/3"), up=True
            ),
            NetworkInterface("eth0", pci=address(NETWORK), up=True),
        ),
        guests=(Guest("games", "u1", state, xml=xml),),
    )


def disk_of_stick():
    return (
        disk("sdb", "8:16", RIGHT_USB, usb=port(f"{RIGHT_USB}/usb3/3")),
        BlockDevice("sdb1", "8:17", below=("sdb",), pci=(address(RIGHT_USB),)),
        BlockDevice("dm-7", "253:7", below=("sdb1",), label="vg1-games"),
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [("/dev/sdb1", "sdb1"), ("/dev/dm-7", "vg1-games"), ("/dev/mapper/vg1-games", "vg1-games")],
)
def test_the_disk_of_a_running_guest_is_followed_to_its_controller_and_place(path, name):
    protected = protect(with_guest(path))

    assert words(protected, RIGHT_USB) == [f"holds a disk of guest games ({name})"]
    assert kinds(protected, f"{RIGHT_USB}/usb3/3") == {"guest"}
    assert kinds(protect(with_guest(path, state="shut off")), RIGHT_USB) == set()


@pytest.mark.parametrize(("kind", "name"), [("direct", "enx0"), ("bridge", "br1")])
def test_the_card_that_carries_the_network_of_a_running_guest_stays(kind, name):
    protected = protect(with_guest("/dev/gone", kind, name))

    assert words(protected, LEFT_USB) == [f"carries the network of guest games ({name})"]
    assert kinds(protected, NETWORK) == {"network"}  # the host's own default route, no guest


def test_a_definition_that_is_no_xml_hides_nothing_else_that_its_guest_holds():
    guest = Guest(
        *("games", "u1", "running"),
        hostdevs=(Hostdev(pci=address(LEFT_USB), live=True),),
        xml="<interface /dev/",
    )

    assert kinds(protect(replace(two_seat_pc(), guests=(guest,))), LEFT_USB) == {"guest"}


# Groups and bridges


def in_group(host, group, *places):
    here = tuple(map(address, places))
    return replace(
        host, pci=tuple(replace(d, iommu_group=group) if d.address in here else d for d in host.pci)
    )


def test_what_shares_a_group_with_the_disk_stays_and_says_with_whom():
    host = in_group(two_seat_pc(), 5, LEFT_USB)

    assert words(protect(host), LEFT_USB) == [
        f"shares IOMMU group 5 with {DISK} ({host.by_address[address(DISK)].name}), "
        "which holds / (ext4 on sda1)"
    ]
    assert kinds(protect(host), LEFT_USB) == {"disk"}


def test_a_bridge_stays_and_keeps_nothing_of_its_group():
    # the port above the network card, in one group with another card
    host = in_group(two_seat_pc(), 7, RIGHT_GPU)
    protected = protect(host)

    assert kinds(protected, "0000:00:1c.0") == {"bridge", "network"}
    assert kinds(protected, "0000:00:00.0") == {"bridge"}
    assert kinds(protected, RIGHT_GPU) == set()
    assert kinds(protected, LEFT_GPU) == set()  # shares group 1 with its root port


@pytest.mark.parametrize(
    ("class_code", "driver"),
    [
        (0x060100, "lpc_ich"),
        (0x0C0500, "i801_smbus"),
        (0x080020, None),
        (0x080600, None),
        (0x060000, None),
    ],
    ids=["ISA", "SMBus", "IOxAPIC", "IOMMU", "host bridge"],
)
def test_what_the_board_is_made_of_stays_and_keeps_nothing_of_its_group(class_code, driver):
    part = plain("0000:00:1f.4", class_code, 14, driver)
    host = replace(two_seat_pc(), pci=(*two_seat_pc().pci, part))

    assert kinds(protect(host), "0000:00:1f.4") == {"bridge"}
    assert kinds(protect(host), LEFT_USB) == set()  # in group 14 as well


def test_an_smbus_of_a_card_of_its_own_is_no_part_of_the_board():
    behind = plain("0000:09:00.2", 0x0C0500, 20, None, parent=address("0000:00:1c.0"))

    assert kinds(protect(Host(pci=(behind,))), "0000:09:00.2") == set()


def test_what_docks_are_tunnelled_through_stays():
    host = Host(pci=(plain("0000:3a:00.0", 0x088000, driver="thunderbolt"),))

    assert kinds(protect(host), "0000:3a:00.0") == {"bridge"}


def test_the_seats_of_a_known_pc_may_have_all_they_ask_for():
    seats = (LEFT_GPU, LEFT_SOUND, LEFT_USB, RIGHT_GPU, RIGHT_SOUND, RIGHT_USB)
    protected = protect(
        two_seat_pc(), tuple(map(address, seats)), (port(f"{HOST_USB}/usb2/3"), port(STICK))
    )

    assert not set(map(address, seats)) & set(protected.pci)
    assert {str(a) for a in protected.pci if kinds(protected, str(a)) - {"bridge"}} == {
        "0000:00:1c.0",
        DISK,
        NETWORK,
    }
    assert kinds(protected, HOST_USB, waivable=True) == {"keyboard"}


# Any host

functions = [PciAddress(0, n, 0, 0) for n in range(6)]
names = [f"b{n}" for n in range(8)]
places = [UsbPort(function, "usb2", (n,)) for function in functions[:2] for n in (1, 2)]
few = st.lists(st.sampled_from(names), max_size=3).map(tuple)
pci = st.tuples(
    *(
        st.builds(
            PciDevice,
            st.just(function),
            st.just(PciId(1, 2)),
            st.sampled_from([STORAGE, NIC, USB, DISPLAY, BRIDGE]),
            driver=st.sampled_from([None, "some", "vfio-pci", "pcieport"]),
            iommu_group=st.none() | st.integers(0, 2),
            parent=st.none() | st.sampled_from(functions),
            physical_function=st.none() | st.sampled_from(functions),
        )
        for function in functions
    )
)
blocks = st.tuples(
    *(
        st.builds(
            BlockDevice,
            st.just(name),
            st.just("1:1"),
            below=few,
            pci=st.lists(st.sampled_from(functions), max_size=2).map(tuple),
            usb=st.none() | st.sampled_from(places),
        )
        for name in names[:6]
    )
)
interfaces = st.tuples(
    *(
        st.builds(
            NetworkInterface,
            st.just(name),
            below=few,
            pci=st.none() | st.sampled_from(functions),
            usb=st.none() | st.sampled_from(places),
            up=st.none() | st.booleans(),
        )
        for name in names[:6]
    )
)
inputs = st.lists(
    st.builds(
        InputDevice,
        st.sampled_from(["event1", "event2"]),
        st.just("Board"),
        st.sampled_from([("keyboard",), ("mouse",)]),
        bus_type=st.sampled_from([0x03, 0x11]),
        usb=st.none() | st.sampled_from(places),
        pci=st.none() | st.sampled_from(functions),
        remembered=st.booleans(),
    ),
    max_size=4,
).map(tuple)
hosts = st.builds(
    Host,
    pci=pci,
    inputs=inputs,
    blocks=blocks,
    mounts=st.lists(st.builds(Mount, st.sampled_from(names), st.just("/m")), max_size=2).map(tuple),
    networks=interfaces,
    network_uses=st.lists(
        st.builds(NetworkUse, st.sampled_from(names), st.just("route"), st.just("file")), max_size=2
    ).map(tuple),
)


def reach(start, graph):
    """All names that can be reached: by repeated union, unlike the search under test."""
    found = {start}
    while True:
        more = found | {below for name in found if name in graph for below in graph[name].below}
        if more == found:
            return found
        found = more


def stays(protected, function, kind):
    return any(r.kind == kind and not r.waivable for r in protected.pci.get(function, ()))


@given(hosts, st.lists(st.sampled_from(functions)), st.lists(st.sampled_from(places)))
@settings(max_examples=300)
def test_nothing_under_a_mount_or_a_route_is_ever_unprotected(host, leaving, ports):
    protected = protect(host, tuple(leaving), tuple(ports))
    disks = {b.name: b for b in host.blocks}
    cards = {n.name: n for n in host.networks}
    for mount in host.mounts:
        below = reach(mount.device, disks)
        for block in (disks[name] for name in below if name in disks):
            assert all(stays(protected, function, "disk") for function in block.pci)
            assert block.usb is None or block.usb in protected.usb
        if not below <= set(disks):
            for device in host.pci:
                if device.class_code == STORAGE and device.driver in (None, "some"):
                    assert stays(protected, device.address, "disk")
    for use in host.network_uses:
        for card in (cards[name] for name in reach(use.interface, cards) if name in cards):
            assert card.pci is None or stays(protected, card.pci, "network")
            assert card.usb is None or card.usb in protected.usb


@given(hosts)
def test_what_is_needed_keeps_its_group_and_all_it_hangs_on(host):
    protected = protect(host)
    for kind in ("disk", "network"):
        for device in host.pci:
            if not stays(protected, device.address, kind):
                continue
            for member in host.group_of(device.address):
                assert (
                    device.is_bridge or member.is_bridge or stays(protected, member.address, kind)
                )


def typed_on(inputs, leaving, ports):
    """The keyboards left on the host when these have left."""
    return [
        k
        for k in inputs
        if "keyboard" in k.kinds
        and not k.remembered
        and (k.pci or k.usb or k.bus_type != 0x03)
        and k.pci not in leaving
        and not (k.usb and (k.usb in ports or k.usb.controller in leaving))
    ]


@given(inputs, st.lists(st.sampled_from(functions)), st.lists(st.sampled_from(places)))
def test_no_place_takes_the_last_keyboard_without_a_word(inputs, leaving, ports):
    _, pci, usb = find_last_keyboards(inputs, leaving, ports)

    if typed_on(inputs, leaving, ports):
        assert usb == {p for p in places if not typed_on(inputs, leaving, [*ports, p])}
        assert pci == {f for f in functions if not typed_on(inputs, [*leaving, f], ports)}
    else:
        assert usb == {k.usb for k in typed_on(inputs, (), ()) if k.usb}


@given(hosts)
def test_every_reason_has_words_and_evidence_and_the_order_is_of_addresses(host):
    protected = protect(host)

    assert list(protected.pci) == sorted(protected.pci)
    assert list(protected.usb) == sorted(protected.usb)
    for reasons in (*protected.pci.values(), *protected.usb.values()):
        assert reasons
        assert len(set(reasons)) == len(reasons)
        assert all(r.words and r.evidence for r in reasons)
