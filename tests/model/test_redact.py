"""A report names nobody, and is still the same PC to plan for."""

from dataclasses import replace
from itertools import product

from hypothesis import HealthCheck, given, settings

from phyllome_seat.model.assign import assign
from phyllome_seat.model.devices import (
    BlockDevice,
    Console,
    InputDevice,
    Mount,
    NetworkInterface,
    NetworkUse,
    OurFile,
)
from phyllome_seat.model.host_json import parse_host, render_host
from phyllome_seat.model.plan import plan
from phyllome_seat.model.platform import Platform, Setting
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.propose import propose
from phyllome_seat.model.protect import protect
from phyllome_seat.model.redact import redact
from tests.model.hosts import two_seat_pc, two_seat_wish
from tests.model.machines import machines
from tests.model.texts import full_pc, list_places, map_texts


def test_nothing_that_names_anyone_is_left():
    pc = two_seat_pc()
    keyboard = InputDevice(
        node="event40",
        name="Sekret's keys",
        bus_type=5,
        uniq="aa:bb:cc:dd:ee:f0",
        phys="SEKRET-1",
        seat="seat-phyllome-sekret",
    )
    host = replace(
        pc,
        usb=tuple(
            replace(d, serial="SEKRET7", product="Stick SEKRET7", manufacturer="aa:bb:cc:dd:ee:f1")
            for d in pc.usb
        ),
        connectors=tuple(
            replace(c, monitor=replace(c.monitor, serial="SEKRET9", serial_number=77123456))
            for c in pc.connectors
            if c.monitor
        ),
        inputs=(*pc.inputs, keyboard),
        blocks=(*pc.blocks, BlockDevice("dm-9", "253:9", ("sekretpool",), label="sekret-root")),
        mounts=(*pc.mounts, Mount("sekret:/share", "/home/sekret", "nfs", "/etc/sekret")),
        networks=(*pc.networks, NetworkInterface("enxaabbccddeef2", ("sekretvpn",))),
        network_uses=(
            *pc.network_uses,
            NetworkUse("enxaabbccddeef2", "SSH session from 192.0.2.7", "/proc/net/tcp"),
            NetworkUse("sekretvpn", "nfs mount at /sekret", "/proc/net/route"),
        ),
        console=Console(sessions=("seat0: sekret on tty2", "seat-phyllome-sekret: sekret on ?")),
        files=(OurFile("/etc/x", "SEKRET"),),
        platform=Platform(
            kernel="6.12.1-sekret",
            cmdline="root=UUID=sekret ip=192.0.2.9 quiet intel_iommu=off luks.key=sekret",
            settings=(
                Setting("/etc/modprobe.d/sekret.conf", 1, "options vfio-pci x=sekret"),
                Setting("/etc/modules", 7, "vfio_virqfd"),
                Setting("/etc/libvirt/qemu.conf", 2, 'cgroup_device_acl = [ "/dev/sekret",'),
            ),
            boot_lines=(
                Setting("/etc/default/grub", 3, 'GRUB_CMDLINE_LINUX="root=sekret iommu=off"'),
                Setting("/boot/loader/entries/sekret.conf", 4, "options quiet sekret"),
            ),
        ),
    )

    text = render_host(redact(host)).lower()

    for word in ("sekret", "aa:bb", "aabbcc", "192.0.2", "77123456"):
        assert word not in text
    assert "quiet intel_iommu=off" in text
    assert "options vfio-pci" in text
    assert "/etc/modules" in text
    assert 'grub_cmdline_linux=\\"iommu=off\\"' in text


def test_what_check_speaks_of_is_kept():
    cmdline = "intremap=off nointremap pci-stub.ids=8086:7ae2 rd.driver.pre=vfio_virqfd,vfio-pci"
    cmdline += " i915.enable_gvt=Y vfio_iommu_type1.allow_unsafe_interrupts=on"
    lines = ("options i915 enable_gvt=true", "options pci_stub ids=8086:7ae2", "kvmgt")
    settings = tuple(Setting("/etc/modules", n, text) for n, text in enumerate(lines, 1))
    host = replace(two_seat_pc(), platform=Platform(cmdline=cmdline, settings=settings))

    platform = redact(host).platform

    assert platform.cmdline == cmdline
    assert tuple(line.text for line in platform.settings) == lines


def test_the_same_serial_is_the_same_token():
    pc = two_seat_pc()
    host = replace(
        pc,
        usb=tuple(replace(d, serial="ABCD" if n < 2 else f"S{n}") for n, d in enumerate(pc.usb)),
    )

    serials = [d.serial for d in redact(host).usb]

    assert serials[0] == serials[1]
    assert len(set(serials)) == len(serials) - 1


def test_the_same_plan_is_made_for_it():
    host, wish = two_seat_pc(), two_seat_wish()
    wish = replace(wish, seats=tuple(replace(seat, monitor=None) for seat in wish.seats))

    def steps(pc):
        return [str(step) for step in plan(assign(wish, pc), pc)]

    assert steps(redact(host)) == steps(replace(host, guests=None))


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(machines())
def test_it_protects_what_the_pc_protects_and_comes_back_from_json(host):
    posted = redact(host)

    assert parse_host(render_host(posted)) == map_texts(posted, lambda _, text: one_line(text))
    bare = replace(host, guests=None)
    for ours, theirs in (
        (protect(posted).pci, protect(bare).pci),
        (protect(posted).usb, protect(bare).usb),
    ):
        assert list(ours) == list(theirs)
        for place in ours:
            assert {r.kind for r in ours[place]} == {r.kind for r in theirs[place]}


KEPT = {
    ("PciDevice", "vendor_name"): "from the hardware database, by id",
    ("PciDevice", "device_name"): "from the hardware database, by id",
    ("Platform", "cmdline"): "the values of an IOMMU's own arguments",
    ("Setting", "text"): "a module whose name begins with vfio, and an IOMMU's own arguments",
    **dict.fromkeys(
        [
            *(("PciDevice", "driver"), ("PciDevice", "override"), ("UsbDevice", "drivers")),
            *(("BeforeBind", "driver"), ("BeforeBind", "override"), ("Pending", "driver")),
            ("BootFramebuffer", "driver"),
        ],
        "a driver of the kernel's",
    ),
    **dict.fromkeys(
        [
            *(("PciDevice", "reset_methods"), ("Connector", "name"), ("UsbSocket", "connect_type")),
            *(("UsbDevice", "sysname"), ("UsbDevice", "interfaces"), ("InputDevice", "node")),
            *(("Cpu", "kind"), ("Iommu", "units"), ("Iommu", "firmware_tables")),
            ("BlockDevice", "number"),
        ],
        "a word or number of the kernel's, the same on each PC",
    ),
    ("InputDevice", "kinds"): "of our own list",
    ("BlockDevice", "kind"): "of our own list",
    ("Pending", "doing"): "of our own list",
    ("Mount", "filesystem"): "a driver of the kernel's; what follows a dot goes",
    ("Monitor", "maker"): "three letters of a public list",
    ("Monitor", "name"): "the model, written by its maker",
    ("Monitor", "warnings"): "our own sentences",
    ("UsbDevice", "manufacturer"): "written by its maker: the classes that can be named go",
    ("UsbDevice", "product"): "written by its maker: the classes that can be named go",
    ("InputDevice", "name"): "written by its maker: Bluetooth's and programs' go",
    **dict.fromkeys(
        [
            *(("Platform", "os"), ("Platform", "os_like")),
            *(("Platform", "boot"), ("Platform", "initramfs"), ("Platform", "cpu_vendor")),
            *(("Platform", "cpu_flags"), ("Platform", "modules"), ("Platform", "builtin")),
            *(("Platform", "programs"), ("Platform", "daemons"), ("Platform", "listening")),
            *(("Platform", "masked"), ("Platform", "security"), ("Platform", "booleans_off")),
            ("Node", "path"),
        ],
        "of our own list, or the distribution's id",
    ),
}
WAYS = ("{}", "{1}{0}", "{1} {0}", "{1}/{0}", "/proc/{0}", "/proc/spl/kstat/zfs/{0}")


def test_of_a_word_in_every_text_only_those_come_through_that_have_a_reason_to():
    words = {place: f"zq{n:03}".translate(LETTERS) for n, place in enumerate(sorted(list_places()))}
    seen = set()

    for way, unplanted in product(WAYS, (None, ("UsbDevice", "interfaces"))):

        def plant(place, text, way=way, unplanted=unplanted):
            return text if place == unplanted else way.format(words[place], text)

        posted = render_host(redact(map_texts(full_pc(), plant)))
        seen |= {place for place, word in words.items() if word in posted}

    assert seen == set(KEPT)


LETTERS = str.maketrans("0123456789", "abcdefghij")


def test_what_a_person_can_have_named_is_a_token_and_what_a_maker_did_stays():
    pc = full_pc()
    mouse = next(d for d in pc.usb if d.product == "DeathAdder")
    there = {
        "Phone": replace(mouse, interfaces=("060101", "ff4201")),
        "Gadget": replace(mouse, interfaces=("020600", "0a0000")),
        "Radio": replace(mouse, interfaces=("e00101", "fe0101")),
        "Pad": replace(mouse, interfaces=("ff5d01", "ff5d03")),
        "Alice's Speaker": replace(mouse, interfaces=("010100",)),
        "Ljus’ Cam": replace(mouse, interfaces=("0e0100",)),
        "Nothing": replace(mouse, interfaces=()),
    }
    host = replace(pc, usb=tuple(replace(d, product=name) for name, d in there.items()))

    kept = {d.product for d in redact(host).usb} & set(there)

    assert kept == {"Radio", "Pad"}
    assert {d.id for d in redact(host).usb} == {mouse.id}


def test_of_inputs_only_what_a_person_or_a_program_named_is_a_token():
    pc = full_pc()
    phone = replace(pc.usb[0], interfaces=("ff0000", "030101"))
    board = InputDevice("event40", "AT Set 2 keyboard", bus_type=0x11, phys="isa0060/serio0/input0")
    inputs = (
        board,
        replace(board, name="Power Button", bus_type=0x19, phys="LNXPWRBN/button/input0"),
        replace(board, name="Alice mapped", bus_type=0x06, phys="py-evdev-uinput"),
        replace(board, name="Alice mapped", bus_type=0x03, phys="alice"),
        replace(
            board, name="Alice pen", bus_type=0x05, usb=pc.usb[1].port, phys="aa:bb:cc:dd:ee:ff"
        ),
        replace(board, name="Alice phone", bus_type=0x03, usb=phone.port),
    )
    posted = redact(replace(pc, usb=(phone, *pc.usb[1:]), inputs=inputs))

    assert [i.name for i in posted.inputs[:2]] == ["AT Set 2 keyboard", "Power Button"]
    assert [i.phys for i in posted.inputs[:2]] == [i.phys for i in inputs[:2]]
    assert "alice" not in render_host(posted).lower()
    assert "aa:bb" not in render_host(posted)


def test_a_pool_an_array_and_who_mounts_are_tokens_and_still_the_same_ones():
    pc = two_seat_pc()
    host = replace(
        pc,
        blocks=(*pc.blocks, BlockDevice("md_alice", "9:127", ("sda1",)), BlockDevice("md0", "9:0")),
        mounts=(
            Mount("sda1", "the ZFS pool alice", "", "/proc/spl/kstat/zfs/alice"),
            Mount("md_alice", "/", "ext4"),
            Mount("md0", "/srv", "fuse.alice"),
        ),
    )

    posted = redact(host)

    assert "alice" not in render_host(posted)
    assert posted.mounts[0].point == "the ZFS pool pool-1"
    assert posted.mounts[1].device in {b.name for b in posted.blocks}
    assert posted.mounts[2] == Mount("md0", "/srv", "fuse")


def test_a_way_in_is_still_one():
    pc = two_seat_pc()
    uses = tuple(
        NetworkUse("eth0", why, "/proc/net/route")
        for why in ("session from alice.example", "SSH session from 192.0.2.7", "nfs mount at /a")
    )

    posted = redact(replace(pc, network_uses=uses)).network_uses

    assert [use.is_way_in for use in posted] == [use.is_way_in for use in uses]
    assert [use.why for use in posted[:2]] == [
        "session from address-1",
        "SSH session from address-2",
    ]


def test_the_same_cards_and_controllers_are_proposed_for_it():
    for host in (replace(two_seat_pc(), guests=None), replace(full_pc(), guests=None)):
        assert proposed(redact(host)) == proposed(host)


def proposed(host):
    """Return the hardware of each seat of each proposal, the best first."""
    return [
        [(seat.name, seat.gpu, seat.usb) for seat in proposal.wish.seats]
        for proposal in propose(host)
    ]
