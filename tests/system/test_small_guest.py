from __future__ import annotations

import itertools
import lzma
import struct
import subprocess
import tarfile

import pytest

from phyllome_seat.lab.cpio import render_cpio
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.guest import (
    GuestFiles,
    build_guest,
    command_line,
    find_kernel,
    find_modules,
    module_needs,
)
from phyllome_seat.lab.guestdisk import write_disk
from phyllome_seat.lab.guestlog import parse_guest_log, typed_text
from phyllome_seat.lab.guestprogram import compile_program, render_codes_header
from phyllome_seat.lab.uki import render_uki


def module(*needs: str) -> bytes:
    """The part of a kernel module that says what it needs."""
    return b"\x7fELF..\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0retpoline=Y\0"


def make_root(folder, release="6.12.10-amd64", modules="usr/lib/modules"):
    drivers = folder / modules / release / "kernel" / "drivers"
    for path, content in {
        "hid/usbhid/usbhid.ko": module("hid", "usbcore"),
        "hid/hid.ko": module(),
        "usb/xhci-pci.ko": module("xhci-hcd"),
        "usb/xhci-hcd.ko.xz": lzma.compress(module("usbcore")),
        "usb/usbcore.ko.xz": lzma.compress(module()),
        "net/e1000.ko": module(),
    }.items():
        (drivers / path).parent.mkdir(parents=True, exist_ok=True)
        (drivers / path).write_bytes(content)
    (folder / "boot").mkdir(exist_ok=True)
    (folder / "boot" / f"vmlinuz-{release}").write_bytes(b"kernel " + release.encode())
    return folder


def read_cpio(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Paths with mode and content of a newc archive, read by the kernel's rules."""
    found, at = {}, 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        assert data[at + 110 + fields[11] - 1] == 0
        start = (at + 110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], data[start : start + fields[6]])
        at = (start + fields[6] + 3) // 4 * 4


def test_an_archive_holds_its_files_and_makes_their_folders_first():
    archive = render_cpio({"modules/a.ko": b"abc", "init": b"x" * 5})
    found = read_cpio(archive)
    assert found == {
        "modules": (0o040755, b""),
        "init": (0o100755, b"xxxxx"),
        "modules/a.ko": (0o100755, b"abc"),
    }
    assert list(found).index("modules") < list(found).index("modules/a.ko")


def test_the_newest_kernel_is_taken_by_number_not_by_letter(tmp_path):
    for release in ("6.12.9-amd64", "6.12.10-amd64", "6.1.0-50-amd64"):
        make_root(tmp_path, release)
    assert find_kernel(tmp_path)[0].name == "vmlinuz-6.12.10-amd64"


def test_a_kernel_kept_beside_its_modules_is_found(tmp_path):
    make_root(tmp_path, "7.2.12-amd64")
    (tmp_path / "boot/vmlinuz-7.2.12-amd64").rename(
        tmp_path / "usr/lib/modules/7.2.12-amd64/vmlinuz"
    )
    assert find_kernel(tmp_path)[0].name == "vmlinuz"


def test_a_tree_without_a_kernel_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(LabError, match="no kernel") as refused:
        find_kernel(tmp_path)
    assert "install a kernel" in refused.value.hint


def test_modules_come_after_what_they_need_and_nothing_else_comes(tmp_path):
    names = [name for name, _ in find_modules(find_kernel(make_root(tmp_path))[1])]
    assert names == ["hid", "usbcore", "usbhid", "xhci_hcd", "xhci_pci"]


def test_modules_are_unpacked(tmp_path):
    found = dict(find_modules(find_kernel(make_root(tmp_path))[1]))
    assert found["usbcore"] == module()


def test_a_module_says_what_it_needs():
    assert module_needs(module("a-b", "c")) == ("a_b", "c")
    assert module_needs(module()) == ()
    assert module_needs(b"no module") == ()


def test_the_same_root_gives_the_same_bytes_from_a_directory_and_from_a_tar(tmp_path):
    root = make_root(tmp_path / "root", modules="lib/modules")
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add(root, ".")
    built = [
        build_guest(path, tmp_path / name)
        for path, name in ((root, "a"), (root, "b"), (tmp_path / "root.tar", "c"))
    ]
    assert built[0].kernel.read_bytes() == b"kernel 6.12.10-amd64"
    assert len({files.initrd.read_bytes() for files in built}) == 1
    assert len({files.kernel.read_bytes() for files in built}) == 1
    found = read_cpio(built[0].initrd.read_bytes())
    assert found["modules/order"][1].splitlines() == [
        *(b"hid.ko", b"usbcore.ko", b"usbhid.ko", b"xhci_hcd.ko", b"xhci_pci.ko")
    ]
    assert set(found) - {"modules", "modules/order", "init"} == {
        f"modules/{line.decode()}" for line in found["modules/order"][1].splitlines()
    }


def test_what_is_neither_directory_nor_tar_is_refused(tmp_path):
    (tmp_path / "root").write_text("nothing")
    with pytest.raises(LabError, match="neither a directory nor a readable tar"):
        build_guest(tmp_path / "root", tmp_path / "guest")


def test_the_program_compiles_without_a_warning_and_runs_only_as_first_process(tmp_path):
    compile_program(tmp_path, "-Wall", "-Wextra", "-Wshadow", "-Werror")
    done = subprocess.run([tmp_path / "guest"], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"first program of the lab's guest" in done.stdout


def test_names_of_events_are_those_of_their_own_not_of_their_range():
    macros = """
#define EV_SYN 0x00
#define EV_KEY			0x01
#define SYN_DROPPED 3
#define KEY_A 30
#define BTN_MOUSE		0x110
#define BTN_LEFT		0x110
#define KEY_MIN_INTERESTING	KEY_MUTE
#define KEY_MAX			0x2ff
#define ABS_X 0x00
"""
    rows = [line for line in render_codes_header(macros).splitlines() if line.startswith("{")]
    assert rows == [
        '{-1, 0, "EV_SYN"},',
        '{-1, 1, "EV_KEY"},',
        '{0, 3, "SYN_DROPPED"},',
        '{1, 30, "KEY_A"},',
        '{1, 272, "BTN_LEFT"},',
        '{3, 0, "ABS_X"},',
    ]


def test_a_stubborn_guest_is_told_so():
    assert "phyllome.seat=left" in command_line("left").split()
    assert "phyllome.stubborn=1" not in command_line("left").split()
    assert "phyllome.stubborn=1" in command_line("left", stubborn=True).split()


LOG = r"""BdsDxe: starting Boot0001
guest seat=left boot=7c0e1d8e-1 kernel=6.12.107+deb13-amd64
pci 0000:01:00.0 1234:1111 038000
card card0 bochs-drm
screen card0 connector 15-1 1280x800
input event1 0627:0001 name="QEMU \x22Keyboard" phys="usb-0000:02:00.0-1/input0" uniq="A1"
ready 6687
event event1 EV_KEY KEY_H 1
event event1 EV_KEY KEY_H 0
event event1 EV_KEY KEY_MINUS 1
event event1 EV_KEY KEY_4 1
event event1 EV_KEY KEY_4 2
event event1 EV_KEY KEY_LEFTSHIFT 1
[    9.1] usb 1-1: USB disconnect, device number 2
gone event1
input event1 0627:0001 name="Tablet" phys="" uniq="B2"
event event1 EV_ABS ABS_X -5
bye
event event1 EV_KEY KEY_"""


def test_a_log_is_read_back_line_by_line():
    log = parse_guest_log(LOG)
    assert (log.seat, log.boot, log.kernel) == ("left", "7c0e1d8e-1", "6.12.107+deb13-amd64")
    assert log.pci == (("0000:01:00.0", "1234:1111", "038000"),)
    assert log.cards == (("card0", "bochs-drm"),)
    assert log.screens == (("card0", 1280, 800),)
    assert [device.uniq for device in log.inputs] == ["A1", "B2"]
    assert log.inputs[0].name == r"QEMU \x22Keyboard"
    assert log.gone == ("event1",)
    assert log.ready
    assert log.bye


def test_typed_text_is_what_was_pressed_not_what_was_held_or_let_go():
    assert typed_text(parse_guest_log(LOG)) == "h-4"


def test_an_event_belongs_to_the_device_that_had_the_node_then():
    last = parse_guest_log(LOG).events[-1]
    assert (last.device.uniq, last.type, last.code, last.value) == ("B2", "EV_ABS", "ABS_X", -5)


def test_only_the_last_boot_of_a_log_is_read():
    log = parse_guest_log(LOG + "\nguest seat=right boot=2 kernel=6.1\r\nno card\r\n")
    assert (log.seat, log.cards, log.events, log.bye) == ("right", (), (), False)


def test_a_log_that_has_not_begun_says_nothing():
    assert parse_guest_log("BdsDxe: starting") == parse_guest_log("guest seat=le")
    assert parse_guest_log("").seat == ""


def make_stub(room: int = 0x400) -> bytes:
    """A PE file with one section, laid out as systemd's stub is."""
    head = bytearray(room)
    head[:2], head[60:64] = b"MZ", struct.pack("<I", 0x40)
    struct.pack_into("<4sHH12xH", head, 0x40, b"PE\0\0", 0x8664, 1, 240)
    struct.pack_into("<II", head, 0x58 + 32, 4096, 512)
    struct.pack_into("<II", head, 0x58 + 56, 0x2000, room)
    struct.pack_into("<8sIIIIIIHHI", head, 0x58 + 240, b".text", 16, 4096, 512, room, *(0,) * 5)
    return bytes(head) + bytes(512)


def read_sections(image: bytes) -> dict[bytes, tuple[int, int, bytes]]:
    """Name → address, size in memory, content."""
    (pe,) = struct.unpack_from("<I", image, 60)
    count, options = struct.unpack_from("<6xH12xH", image, pe)
    found = {}
    for number in range(count):
        name, size, address, stored, at = struct.unpack_from(
            "<8sIIII", image, pe + 24 + options + 40 * number
        )
        found[name.rstrip(b"\0")] = (address, size, image[at : at + min(size, stored)])
    return found


def test_a_unified_kernel_holds_kernel_initramfs_and_command_line_without_overlap():
    image = render_uki(make_stub(), b"K" * 5000, b"I" * 100, "phyllome.seat=left")
    sections = read_sections(image)
    assert sections[b".linux"][2] == b"K" * 5000
    assert sections[b".initrd"][2] == b"I" * 100
    assert sections[b".cmdline"][2] == b"phyllome.seat=left\0"
    places = sorted((address, address + size) for address, size, _ in sections.values())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(places))
    assert all(start % 4096 == 0 for start, _ in places)
    (pe,) = struct.unpack_from("<I", image, 60)
    assert struct.unpack_from("<I", image, pe + 24 + 56)[0] >= places[-1][1]
    assert len(image) % 512 == 0


@pytest.mark.parametrize("stub", [b"", b"MZ" + bytes(80), make_stub(0x58 + 240 + 3 * 40)])
def test_a_stub_that_is_none_or_has_no_room_is_refused(stub):
    with pytest.raises(LabError, match="EFI stub"):
        render_uki(stub, b"", b"", "")


@pytest.fixture
def guest(tmp_path):
    paths = {name: tmp_path / name for name in ("kernel", "initrd", "stub")}
    for path, content in zip(paths.values(), (b"K" * 9000, b"I" * 9000, make_stub()), strict=True):
        path.write_bytes(content)
    return GuestFiles(**paths)


def test_a_disk_has_the_program_where_firmware_looks_for_it(tmp_path, guest):
    disk = tmp_path / "left.img"
    write_disk(guest, "left", disk)
    listing = subprocess.run(["sfdisk", "-l", disk], capture_output=True, text=True, check=True)
    assert "EFI (FAT-12/16/32)" in listing.stdout
    program = tmp_path / "program"
    command = ["mcopy", "-i", f"{disk}@@1M", "::/EFI/BOOT/BOOTX64.EFI", str(program)]
    subprocess.run(command, check=True)
    assert b"phyllome.seat=left" in read_sections(program.read_bytes())[b".cmdline"][2]


def test_a_disk_of_a_guest_without_a_stub_is_refused(tmp_path, guest):
    with pytest.raises(LabError, match="without systemd's EFI stub"):
        write_disk(GuestFiles(guest.kernel, guest.initrd), "left", tmp_path / "left.img")
    assert not (tmp_path / "left.img").exists()
