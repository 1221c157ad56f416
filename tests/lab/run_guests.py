"""Run inside a PC: definitions on its libvirt, rules on its udev, guests on its KVM.

``python3 run_guests.py CARD USB_CONTROLLER HOST_CONTROLLER [SCENARIO...]``: the addresses of a
seat's card (its sound is function 1) and controller, and of the controller where the host's
keyboard is; then scenarios, all without. Says each scenario that held.
"""

import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.assignment import Assignment, SeatAssignment
from phyllome_seat.model.guest_edit import edit_guest, needs_edit, restore_guest
from phyllome_seat.model.guest_new import guest_uuid, render_new_guest
from phyllome_seat.model.guest_usb import next_alias
from phyllome_seat.model.rules import RULES_PATH, render_rules
from phyllome_seat.model.seat import DeviceMatch, NewGuest, Seat
from phyllome_seat.model.step import AttachUsb, GuestPci
from phyllome_seat.model.value import replace
from phyllome_seat.system.guests import Libvirt, read_guests
from phyllome_seat.system.scan import scan
from phyllome_seat.system.sysfs import Sysfs
from phyllome_seat.system.udev import reload_udev

CARD, USB, HOST_USB = (PciAddress.parse(text) for text in sys.argv[1:4])
SOUND = PciAddress(CARD.domain, CARD.bus, CARD.device, 1)
SEAT = (GuestPci(CARD, "gpu", 0), GuestPci(SOUND, "sound", 0), GuestPci(USB, "usb", 1))
OWN_CARD = f"""<hostdev mode='subsystem' type='pci' managed='yes'><source>
<address domain='0' bus='{CARD.bus}' slot='{CARD.device}' function='0'/></source></hostdev>"""


def owners(name: str, machine: str, device: str = "") -> str:
    return f"""<domain type='kvm'><name>{name}</name>
<metadata><o:note xmlns:o='http://example.org/o'>mine</o:note></metadata>
<memory unit='MiB'>256</memory><os><type arch='x86_64' machine='{machine}'>hvm</type></os>
<features><acpi/></features>
<devices><graphics type='vnc' port='-1' autoport='yes' passwd='secret'/>
<controller type='usb' model='qemu-xhci'/><interface type='user'><model type='virtio'/></interface>
{device}</devices></domain>"""


def comes_back(name: str, machine: str, device: str = "") -> None:
    """Edit and restore a domain that libvirt has filled in with addresses and root ports."""
    with Libvirt() as libvirt:
        uuid = libvirt.define(owners(name, machine, device))
        before = libvirt.read_xml(uuid)
        assert "secret" in before
        libvirt.define(edit_guest(before, "left", SEAT))
        edited = libvirt.read_xml(uuid)
        assert not needs_edit(edited, "left", SEAT), edited
        assert edit_guest(edited, "left", SEAT) == edited
        since = edited.replace("<memory unit='KiB'>262144<", "<memory unit='KiB'>300032<")
        assert since != edited
        assert restore_guest(edited, before) == before, edited
        libvirt.define(since)
        libvirt.define(restore_guest(libvirt.read_xml(uuid), before))
        assert libvirt.read_xml(uuid) == before.replace(
            "<memory unit='KiB'>262144<", "<memory unit='KiB'>300032<"
        ), libvirt.read_xml(uuid)
        libvirt.undefine(uuid)
        libvirt.undefine(uuid)


def a_domain_comes_back() -> None:
    comes_back("owners", "q35")


def an_old_machine_comes_back() -> None:
    comes_back("old", "pc")


def an_adopted_card_comes_back() -> None:
    comes_back("adopted", "q35", OWN_CARD)


def keyboard_of(controller: PciAddress):
    """Return the input device, with its event node, of the keyboard on a controller."""
    host = scan(Sysfs("/"))
    return next(i for i in host.inputs if i.is_keyboard and i.pci == controller)


def properties(node: str) -> dict[str, str]:
    query = ["udevadm", "info", "--query=property", f"--name=/dev/input/{node}"]
    said = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


@contextmanager
def rules(seat: SeatAssignment) -> Iterator[str]:
    """Have these rules in force, then none, as udev sees it."""
    text = render_rules(Assignment((seat,)), scan(Sysfs("/")))
    Path(RULES_PATH).write_text(text)
    reload_udev((HOST_USB, USB, CARD, SOUND), Sysfs("/"))
    try:
        yield text
    finally:
        Path(RULES_PATH).unlink()
        reload_udev((HOST_USB, USB, CARD, SOUND), Sysfs("/"))


def udev_says_of_rules() -> str:
    """Returns what udev complains of; `udevadm verify` came with systemd 254."""
    for argv in (
        ["udevadm", "verify", RULES_PATH],
        ["udevadm", "test", "/sys/class/mem/null"],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if "Unknown command verb" not in done.stderr:
            break
    lines = (done.stdout + done.stderr).splitlines()
    # where a file is fine, its name alone is said: "Reading rules file", "Success: 1"
    return "\n".join(line for line in lines if f"{RULES_PATH}:" in line)


def udev_accepts_the_rules() -> None:
    serials = ("A1", 'a"b', "*?[", "$env{x} %k", "\\", "é\n")
    seat = SeatAssignment(
        Seat("left"),
        pci=SEAT,
        ports=(UsbPort(HOST_USB, "usb2", (1,)), UsbPort(HOST_USB, "usb3", (4, 1))),
        devices=tuple(DeviceMatch(keyboard_id(), serial) for serial in serials),
    )
    with rules(seat) as text:
        said = udev_says_of_rules()
        assert RULES_PATH not in said, said + text


def keyboard_id():
    host = scan(Sysfs("/"))
    port = keyboard_of(HOST_USB).usb
    return next(device.id for device in host.usb if device.port == port)


def hides(seat: SeatAssignment, *, hidden: bool = True) -> None:
    """Check that these rules hide the host's keyboard, and nothing hides it without them."""
    node = keyboard_of(HOST_USB).node
    assert "ID_SEAT" not in properties(node)
    tags = properties(node)["CURRENT_TAGS"]
    with rules(seat):
        now = properties(node)
        assert (now.get("ID_SEAT") == "seat-phyllome-left") == hidden, now
        assert ("power-switch" in now["CURRENT_TAGS"]) == (not hidden), now
        assert keyboard_of(HOST_USB).seat == ("seat-phyllome-left" if hidden else None)
    after = properties(node)
    assert "ID_SEAT" not in after, after
    assert after["CURRENT_TAGS"] == tags, after


def a_port_is_hidden() -> None:
    hides(SeatAssignment(Seat("left"), ports=(keyboard_of(HOST_USB).usb,)))


def the_same_port_of_the_fast_side_is_another() -> None:
    port = keyboard_of(HOST_USB).usb
    hides(
        SeatAssignment(Seat("left"), ports=(UsbPort(HOST_USB, "usb3", port.ports),)), hidden=False
    )


def a_whole_controller_is_hidden() -> None:
    hides(SeatAssignment(Seat("left"), pci=(GuestPci(HOST_USB, "usb", 0),)))


def a_device_is_hidden_by_its_serial() -> None:
    host = scan(Sysfs("/"))
    port = keyboard_of(HOST_USB).usb
    device = next(d for d in host.usb if d.port == port)
    assert device.serial
    hides(SeatAssignment(Seat("left"), devices=(DeviceMatch(device.id, device.serial),)))
    other = DeviceMatch(device.id, device.serial + "x")
    hides(SeatAssignment(Seat("left"), devices=(other,)), hidden=False)


def a_card_is_no_screen() -> None:
    def tags() -> set[str]:
        (card,) = Path(f"/sys/bus/pci/devices/{CARD}/drm").glob("card*")
        query = ["udevadm", "info", "--query=property", f"--path={card}"]
        said = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        line = next((t for t in said.splitlines() if t.startswith("CURRENT_TAGS=")), "=")
        return set(line.partition("=")[2].split(":")) - {""}  # udev promises them no order

    before = tags()
    assert "master-of-seat" in before, before
    with rules(SeatAssignment(Seat("left"), pci=SEAT)):
        now = tags()
        assert not {"seat", "master-of-seat", "uaccess"} & now, now
    assert tags() == before, (before, tags())


def take(address: PciAddress) -> None:
    """Give one function to vfio-pci, as the kernel's documentation has it."""
    subprocess.run(["modprobe", "vfio-pci"], check=True)
    device = Path(f"/sys/bus/pci/devices/{address}")
    (device / "driver_override").write_text("vfio-pci")
    if (device / "driver").exists():
        (device / "driver/unbind").write_text(str(address))
    Path("/sys/bus/pci/drivers_probe").write_text(str(address))


def give_back(address: PciAddress) -> None:
    device = Path(f"/sys/bus/pci/devices/{address}")
    (device / "driver_override").write_text("\n")
    (device / "driver/unbind").write_text(str(address))
    Path("/sys/bus/pci/drivers_probe").write_text(str(address))


def a_new_guest_runs() -> None:
    """Create, start with the host's keyboard in it, and stop, three times."""
    with Libvirt() as libvirt:
        # BIOS: QEMU 7.2 ends where an emulated PC starts UEFI firmware (docs/lab.md, "Traps").
        new = NewGuest("fresh", 256 * 2**20, 1, firmware="bios")
        uuid = libvirt.define(render_new_guest("left", new, SEAT, guest_uuid("left", "0123")))
        assert not needs_edit(libvirt.read_xml(uuid), "left", SEAT), libvirt.read_xml(uuid)
        for item in SEAT:
            take(item.address)
        try:
            for _ in range(3):
                starts_and_stops(libvirt)
        finally:
            libvirt.stop("fresh", 0.0, force=True)
            for item in SEAT:
                give_back(item.address)
        libvirt.undefine(uuid)
        assert "fresh" not in {guest.name for guest in libvirt.read_guests()}


def starts_and_stops(libvirt: Libvirt) -> None:
    host = scan(Sysfs("/"))
    port = keyboard_of(HOST_USB).usb
    keyboard = next(device for device in host.usb if device.port == port)
    gone = replace(keyboard, number=99)
    missed = []

    def meanwhile() -> None:
        (guest,) = (g for g in libvirt.read_guests() if g.name == "fresh")
        for device in (keyboard, gone):
            alias = next_alias(guest, "left", port, 1.0)
            step = AttachUsb(guest.name, guest.uuid, "left", device, alias, "a test")
            missed.append(libvirt.do_usb(step))

    began = time.monotonic()
    assert libvirt.start("fresh", meanwhile) is False
    print(f"started in {time.monotonic() - began:.1f} s: {missed}", flush=True)
    assert missed[0] is None and missed[1], missed
    assert libvirt.start("fresh") is True
    guest = next(g for g in read_guests() or () if g.name == "fresh")
    live = {h.pci or h.usb_id for h in guest.hostdevs if h.live}
    assert live == {CARD, SOUND, USB, keyboard.id}, guest.hostdevs
    began = time.monotonic()
    assert libvirt.stop("fresh", 2.0) is False  # its firmware looks at no power button
    assert 2 <= time.monotonic() - began < 10
    assert libvirt.stop("fresh", 0.0, force=True) is True
    deadline = time.monotonic() + 20
    while not any(i.is_keyboard and i.usb == port for i in scan(Sysfs("/")).inputs):
        assert time.monotonic() < deadline, "the host's keyboard did not come back"
        time.sleep(0.3)


def an_answer_has_a_limit() -> None:
    """Stop libvirtd where it is: a question to it ends."""
    daemon = subprocess.run(["pidof", "libvirtd"], capture_output=True, text=True, check=True)
    pid = daemon.stdout.split()[0]
    subprocess.run(["kill", "-STOP", pid], check=True)
    try:
        began = time.monotonic()
        script = (
            "from phyllome_seat.system.guests import Libvirt\n"
            "try: Libvirt(limit_s=2).__enter__()\n"
            "except Exception as error: print(error)"
        )
        asked = [sys.executable, "-c", script]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
        assert "did not answer within 2 s" in done.stdout, done
        assert time.monotonic() - began < 20
    finally:
        subprocess.run(["kill", "-CONT", pid], check=True)


SCENARIOS = (
    a_domain_comes_back,
    an_old_machine_comes_back,
    an_adopted_card_comes_back,
    udev_accepts_the_rules,
    a_port_is_hidden,
    the_same_port_of_the_fast_side_is_another,
    a_whole_controller_is_hidden,
    a_device_is_hidden_by_its_serial,
    a_card_is_no_screen,
    a_new_guest_runs,
    an_answer_has_a_limit,
)


def main() -> int:
    failed = 0
    for scenario in [s for s in SCENARIOS if s.__name__ in sys.argv[4:] or not sys.argv[4:]]:
        try:
            scenario()
            print(f"held: {scenario.__name__}", flush=True)
        except Exception:  # whatever it is, the others are to be run
            failed += 1
            print(f"FAILED: {scenario.__name__}\n{traceback.format_exc()}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
