"""A report names nobody, and is still the same PC to plan for."""

from dataclasses import replace

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
from phyllome_seat.model.protect import protect
from phyllome_seat.model.redact import redact
from tests.model.hosts import two_seat_pc, two_seat_wish
from tests.model.machines import machines


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

    assert parse_host(render_host(posted)) == posted
    bare = replace(host, guests=None)
    for ours, theirs in (
        (protect(posted).pci, protect(bare).pci),
        (protect(posted).usb, protect(bare).usb),
    ):
        assert list(ours) == list(theirs)
        for place in ours:
            assert {r.kind for r in ours[place]} == {r.kind for r in theirs[place]}
