from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.system.boot_partition import find_partitions
from phyllome_seat.system.scan_storage import read_blocks
from tests.system.trees import Link, block, make_tree, mountinfo

NVME = "pci0000:00/0000:00:1d.0/0000:04:00.0/nvme/nvme0/nvme0n1"
SATA = "pci0000:00/0000:00:17.0/ata{n}/host{n}/target{n}:0:0/{n}:0:0:0/block/sd{letter}"
STICK = "pci0000:00/0000:00:14.0/usb2/2-3/2-3.1/2-3.1:1.0/host6/target6:0:0/6:0:0:0/block/sdc"
PART = "E:ID_PART_ENTRY_UUID={uuid}\n"
ESP = "E:ID_PART_ENTRY_TYPE=c12a7328-f81f-11d2-ba4b-00a0c93ec93b\n"
UUID = "0fc63daf-8483-4772-8e79-3d69d8477de4"
EFIVARS = "sys/firmware/efi/efivars/"
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"


def addresses(*texts):
    return tuple(map(PciAddress.parse, texts))


def sata(n, letter):
    return SATA.format(n=n, letter=letter)


def read(tmp_path, *parts):
    files = {}
    for part in parts:
        files |= part
    files.setdefault("proc/self/mountinfo", "")
    blocks, mounts = read_blocks(make_tree(tmp_path, files))
    return {b.name: b for b in blocks}, mounts


def uses(mounts):
    return [(m.device, m.point) for m in mounts]


def test_a_root_on_lvm_on_luks_is_followed_to_its_partition_and_controllers(tmp_path):
    blocks, mounts = read(
        tmp_path,
        block(NVME, "259:0"),
        block(f"{NVME}/nvme0n1p3", "259:3", udev=PART.format(uuid=UUID)),
        block("virtual/block/dm-0", "253:0", slaves=("nvme0n1p3",)),
        block("virtual/block/dm-1", "253:1", slaves=("dm-0",)),
        {"sys/devices/virtual/block/dm-1/dm/name": "vg0-root\n"},
        mountinfo("253:1 / ext4 /dev/mapper/vg0-root"),
    )

    assert uses(mounts) == [("dm-1", "/")]
    assert mounts[0].filesystem == "ext4"
    assert blocks["dm-1"].label == "vg0-root"
    assert blocks["dm-1"].below == ("dm-0",)
    assert blocks["dm-0"].below == ("nvme0n1p3",)
    assert blocks["nvme0n1p3"].below == ("nvme0n1",)
    assert blocks["nvme0n1p3"].partition_uuid == UUID
    assert blocks["nvme0n1"].pci == addresses("0000:00:1d.0", "0000:04:00.0")
    assert blocks["nvme0n1"].size_bytes == 2048 * 512


def test_a_raid_has_all_its_members_below(tmp_path):
    blocks, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(sata(2, "b"), "8:16"),
        block("virtual/block/md127", "9:127", slaves=("sda", "sdb"), udev="E:MD_DEVNAME=home\n"),
        mountinfo("9:127 /home xfs /dev/md127"),
    )

    assert blocks["md127"].below == ("sda", "sdb")
    assert blocks["md127"].label == "home"
    assert uses(mounts) == [("md127", "/home")]  # and no further use for being active


def test_an_nvme_disk_that_hides_its_controllers_is_followed_to_all_of_them(tmp_path):
    subsystem = "virtual/nvme-subsystem/nvme-subsys0"
    controllers = ("pci0000:00/0000:01:00.0/nvme/nvme0", "pci0000:00/0000:02:00.0/nvme/nvme1")
    blocks, _ = read(
        tmp_path,
        block(f"{subsystem}/nvme0n1", "259:0"),
        block(f"{subsystem}/nvme0n1/nvme0n1p1", "259:1"),
        {f"sys/devices/{path}/address": "" for path in controllers},
        {f"sys/devices/{subsystem}/nvme{n}": Link(f"sys/devices/{controllers[n]}") for n in (0, 1)},
        # a path has a folder in the class, but no number
        {"sys/class/block/nvme0c0n1": Link(f"sys/devices/{controllers[0]}/nvme0c0n1")},
        {f"sys/devices/{controllers[0]}/nvme0c0n1/size": "2048\n"},
    )

    assert set(blocks) == {"nvme0n1", "nvme0n1p1"}
    assert blocks["nvme0n1"].pci == addresses("0000:01:00.0", "0000:02:00.0")
    assert blocks["nvme0n1p1"].below == ("nvme0n1",)


@pytest.mark.parametrize(("product", "speed"), [("0003", "usb3"), ("0002", "usb2")])
def test_a_usb_disk_knows_its_controller_and_its_place(tmp_path, product, speed):
    blocks, _ = read(
        tmp_path,
        block(STICK, "8:32"),
        {"sys/devices/pci0000:00/0000:00:14.0/usb2/idProduct": f"{product}\n"},
    )

    assert blocks["sdc"].usb == UsbPort.parse(f"0000:00:14.0/{speed}/3.1")
    assert blocks["sdc"].pci == addresses("0000:00:14.0")


def test_swap_on_a_device_is_a_use_and_a_swap_file_is_not(tmp_path):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(f"{sata(1, 'a')}/sda2", "8:2"),
        block("virtual/block/dm-0", "253:0", slaves=("sda2",)),
        {
            "dev/mapper/swap one": Link("dev/dm-0"),
            "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n"
            "/dev/mapper/swap\\040one    partition\t8\t0\t-2\n"
            "/swapfile   file\t8\t0\t-3\n",
        },
    )

    assert uses(mounts) == [("dm-0", "swap")]
    assert mounts[0].evidence == "/proc/swaps"


def test_compressed_memory_and_loop_files_need_no_controller(tmp_path):
    blocks, mounts = read(
        tmp_path,
        block("virtual/block/zram0", "252:0"),
        block("virtual/block/loop0", "7:0"),
        block("virtual/block/loop1", "7:1", size=0),
        mountinfo("7:0 /snap/core squashfs /dev/loop0"),
        {"proc/swaps": "Filename\n/dev/zram0 partition 8 0 100\n"},
    )

    assert set(blocks) == {"zram0", "loop0"}
    assert uses(mounts) == [("loop0", "/snap/core"), ("zram0", "swap")]
    assert all(not b.below and not b.pci for b in blocks.values())


@pytest.mark.parametrize(
    ("backing", "below"),
    [
        ({"zram0/backing_dev": "/dev/sda5\n"}, ("sda5",)),
        ({"zram0/backing_dev": "none\n"}, ()),
        ({"loop0/loop/backing_file": "/dev/mapper/luks\n"}, ("dm-0",)),
        ({"loop0/loop/backing_file": "/var/lib/snapd/snaps/core.snap\n"}, ()),
    ],
)
def test_memory_and_files_that_spill_onto_a_device_are_made_of_it(tmp_path, backing, below):
    name = next(iter(backing)).partition("/")[0]
    blocks, _ = read(
        tmp_path,
        block(f"virtual/block/{name}", "252:0"),
        {f"sys/devices/virtual/block/{path}": text for path, text in backing.items()},
        {"dev/mapper/luks": Link("dev/dm-0")},
    )

    assert blocks[name].below == below


def test_a_btrfs_uses_all_its_members_at_each_mount_point(tmp_path):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(sata(2, "b"), "8:16"),
        {f"sys/fs/btrfs/{UUID}/devices/sd{x}": Link(f"sys/class/block/sd{x}") for x in "ab"},
        {"sys/fs/btrfs/features/raid1c34": "0"},
        mountinfo("0:27 / btrfs /dev/sda", "0:27 /home btrfs /dev/sda"),
    )

    assert uses(mounts) == [("sda", "/"), ("sdb", "/"), ("sda", "/home"), ("sdb", "/home")]


def test_a_zfs_pool_is_found_by_the_name_on_its_members(tmp_path):
    member = "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL={}\n"
    blocks, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0", udev=member.format("rpool")),
        block(sata(2, "b"), "8:16", udev=member.format("tank")),
        block("virtual/block/zd0", "230:0"),
        mountinfo("0:30 / zfs rpool/ROOT/debian"),
    )

    assert uses(mounts) == [("sda", "/")]
    assert blocks["zd0"].below == ("sda", "sdb")


@pytest.mark.parametrize(
    "line",
    [
        "0:30 / zfs rpool/ROOT/debian",
        "0:30 /srv zfs tank/srv",
        "0:30 / btrfs /dev/root",
        "0:30 /mnt bcachefs /dev/sda:/dev/sdx",
        "0:30 / somefs none",
        "0:30 / somefs /dev/root",
        "8:99 / ext4 /dev/root",
    ],
)
def test_a_mount_that_cannot_be_followed_names_what_is_no_block_device(tmp_path, line):
    blocks, mounts = read(tmp_path, block(sata(1, "a"), "8:0"), mountinfo(line))

    assert [m.point for m in mounts] == [line.split()[1]]
    assert mounts[0].device not in blocks


@pytest.mark.parametrize(
    "line",
    [
        "0:30 / overlay overlay",
        "0:30 / nfs4 192.0.2.1:/srv/root",
        "0:6 /dev devtmpfs udev",
        "0:40 /run/user/1000/doc fuse.portal /dev/fuse",
        "8:99 /media/stick vfat /dev/sdx1",
    ],
)
def test_a_mount_without_a_disk_of_this_machine_is_no_use(tmp_path, line):
    assert read(tmp_path, block(sata(1, "a"), "8:0"), mountinfo(line))[1] == ()


def test_a_disk_served_by_a_program_is_made_of_what_nobody_knows(tmp_path):
    blocks, _ = read(tmp_path, block("virtual/block/ublkb0", "259:9"))

    assert blocks["ublkb0"].below == ("?",)


def test_what_only_the_first_process_has_mounted_is_a_use_too(tmp_path):
    first = mountinfo("8:0 /srv ext4 /dev/sda")["proc/self/mountinfo"]
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        mountinfo("8:0 / ext4 /dev/sda"),
        {"proc/1/mountinfo": first},
    )

    assert [(m.point, m.evidence) for m in mounts] == [
        ("/", "/proc/self/mountinfo"),
        ("/srv", "/proc/1/mountinfo"),
    ]


def test_a_mount_point_with_blanks_is_named_as_it_is(tmp_path):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        mountinfo("8:0 /media/my\\040disk\\134x ext4 /dev/sda"),
    )

    assert uses(mounts) == [("sda", "/media/my disk\\x")]


def test_a_volume_that_is_active_is_in_use_though_it_is_not_mounted(tmp_path):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(sata(2, "b"), "8:16"),
        block("virtual/block/dm-0", "253:0", slaves=("sda",)),
        block("virtual/block/dm-1", "253:1", slaves=("dm-0",)),
        block("virtual/block/dm-2", "253:2", slaves=("dm-0",)),
        block("virtual/block/md127", "9:127", slaves=("sdb",)),
        mountinfo("253:1 / ext4 /dev/mapper/vg0-root"),
    )

    assert uses(mounts) == [
        ("dm-1", "/"),
        ("dm-2", "an active volume"),
        ("md127", "an active volume"),
    ]


def test_a_pool_that_is_imported_is_in_use_though_nothing_of_it_is_mounted(tmp_path):
    member = "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=tank\n"
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0", udev=member),
        {f"proc/spl/kstat/zfs/{pool}/state": "ONLINE\n" for pool in ("tank", "lost")},
        {"proc/spl/kstat/zfs/arcstats": ""},
    )

    assert uses(mounts) == [("?", "the ZFS pool lost"), ("sda", "the ZFS pool tank")]


def test_without_a_table_of_mounts_the_root_is_on_nobody_knows_what(tmp_path):
    blocks, mounts = read_blocks(make_tree(tmp_path, block(sata(1, "a"), "8:0")))

    assert [b.name for b in blocks] == ["sda"]
    assert uses(mounts) == [("?", "/")]


def load_option(*nodes):
    path = b"".join(nodes) + b"\x7f\xff\x04\x00"
    return b"\1\0\0\0" + len(path).to_bytes(2, "little") + "Debian\0".encode("utf-16-le") + path


def hard_drive(signature, kind, number=1):
    place = number.to_bytes(4, "little") + bytes(16)
    return b"\x04\x01\x2a\x00" + place + signature.ljust(16, b"\0") + bytes((2, kind))


PCI_NODE = b"\x01\x01\x06\x00\x00\x1d"


def test_the_partition_the_firmware_booted_from_is_a_use(tmp_path):
    option = load_option(PCI_NODE, hard_drive(uuid.UUID(UUID).bytes_le, 2))
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(f"{sata(1, 'a')}/sda1", "8:1", udev=ESP + PART.format(uuid="another")),
        block(sata(2, "b"), "8:16"),
        block(f"{sata(2, 'b')}/sdb1", "8:17", udev=ESP + PART.format(uuid=UUID)),
        {
            f"{EFIVARS}BootCurrent-{GLOBAL}": b"\6\0\0\0\x0a\0",
            f"{EFIVARS}Boot000A-{GLOBAL}": b"\7\0\0\0" + option,
        },
        mountinfo("8:0 / ext4 /dev/sda"),
    )

    assert uses(mounts) == [("sda", "/"), ("sdb1", "EFI system partition")]
    assert mounts[1].evidence == f"/{EFIVARS}Boot000A-{GLOBAL}"


def test_the_partition_the_boot_loader_names_is_a_use(tmp_path):
    name = f"{EFIVARS}LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(f"{sata(1, 'a')}/sda1", "8:1", udev=PART.format(uuid=UUID)),
        {name: b"\6\0\0\0" + (UUID.upper() + "\0").encode("utf-16-le")},
    )

    assert uses(mounts) == [("sda1", "EFI system partition")]


@pytest.mark.parametrize(
    ("root", "expected"), [("8:0", ["sda1"]), ("8:32", ["sda1", "sdb1"])], ids=["beside", "no"]
)
def test_firmware_that_does_not_say_makes_every_efi_partition_one_it_may_need(
    tmp_path, root, expected
):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(f"{sata(1, 'a')}/sda1", "8:1", udev=ESP),
        block(sata(2, "b"), "8:16"),
        block(f"{sata(2, 'b')}/sdb1", "8:17", udev=ESP),
        block(sata(3, "c"), "8:32"),
        {"sys/firmware/efi/fw_platform_size": "64\n"},
        mountinfo(f"{root} / ext4 /dev/whatever"),
    )

    assert [m.device for m in mounts if m.point == "EFI system partition"] == expected


def test_a_dos_disk_is_named_by_its_signature():
    node = hard_drive(bytes.fromhex("d4c3b2a1"), 1, number=2)

    assert find_partitions(load_option(PCI_NODE, node)) == ("a1b2c3d4-02",)


@given(st.binary(max_size=80) | st.binary(max_size=40).map(load_option))
def test_any_bytes_as_load_option_are_read_to_their_end(content):
    assert all(isinstance(text, str) for text in find_partitions(content))


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@given(text, text, text)
def test_any_text_in_the_tables_is_read_to_its_end(tmp_path_factory, table, swaps, udev):
    tree = make_tree(
        tmp_path_factory.mktemp("tree"),
        block(sata(1, "a"), "8:0", udev=udev)
        | {"proc/self/mountinfo": f"1 1 8:0 / {table} - {table}", "proc/swaps": "x\n" + swaps},
    )

    blocks, _ = read_blocks(tree)

    assert [b.name for b in blocks] == ["sda"]


@pytest.mark.parametrize(
    ("folder", "filesystem"),
    [
        ("sys/fs/ext4/sdb", "ext4"),
        ("sys/fs/xfs/sdb", "xfs"),
        ("sys/fs/f2fs/sdb", "f2fs"),
        (f"sys/fs/btrfs/{UUID}/devices/sdb", "btrfs"),
        (f"sys/fs/bcachefs/{UUID}/dev-0/block", "bcachefs"),
    ],
)
def test_a_file_system_that_a_container_has_mounted_is_a_use_though_no_table_shows_it(
    tmp_path, folder, filesystem
):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(sata(2, "b"), "8:16"),
        {folder: Link("sys/class/block/sdb"), "sys/fs/ext4/features/lazy_itable_init": "supported"},
        {"sys/fs/ext4/sda/session_write_kbytes": "1\n"},
        mountinfo("8:0 / ext4 /dev/sda"),
    )

    assert uses(mounts) == [("sda", "/"), ("sdb", "a file system mounted out of sight")]
    assert mounts[1].filesystem == filesystem
    assert mounts[1].evidence.startswith(f"/sys/fs/{filesystem}/")


@pytest.mark.parametrize(
    ("kind", "filesystem", "is_used"),
    [("jbd", "ext4", True), ("xfs_external_log", "xfs", True), ("jbd", "xfs", False)],
)
def test_a_journal_on_a_disk_of_its_own_is_in_use_with_its_file_system(
    tmp_path, kind, filesystem, is_used
):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(sata(2, "b"), "8:16", udev=f"E:ID_FS_TYPE={kind}\n"),
        mountinfo(f"8:0 /srv {filesystem} /dev/sda"),
    )

    journals = [use for use in uses(mounts) if use[1] == "the journal of a file system"]
    assert journals == ([("sdb", "the journal of a file system")] if is_used else [])


def test_a_btrfs_that_the_kernel_says_nothing_of_is_on_all_that_have_its_uuid(tmp_path):
    udev = f"E:ID_FS_TYPE=btrfs\nE:ID_FS_UUID={UUID}\n"
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0", udev=udev),
        block(sata(2, "b"), "8:16", udev=udev),
        block(sata(3, "c"), "8:32", udev=udev.replace(UUID, "another")),
        mountinfo("0:27 / btrfs /dev/sdb"),
    )

    assert uses(mounts) == [("sda", "/"), ("sdb", "/")]


def test_a_member_of_a_pool_that_does_not_say_of_which_may_be_of_any(tmp_path):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0", udev="E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=rpool\n"),
        block(sata(2, "b"), "8:16", udev="E:ID_FS_TYPE=zfs_member\n"),
        mountinfo("0:30 / zfs rpool/ROOT/debian"),
    )

    assert uses(mounts) == [("sda", "/"), ("sdb", "/")]


@pytest.mark.parametrize(
    ("stack", "root"),
    [
        # the disk and its cache, as bd_link_disk_holder shows both: drivers/md/bcache/super.c
        ([("bcache0", ("sda", "sdb"))], "bcache0"),
        # LVM's thin volume over its pool, over the pool's data and metadata: lvmthin(7)
        (
            [
                ("dm-0", ("sda",)),
                ("dm-1", ("sdb",)),
                ("dm-2", ("dm-0", "dm-1")),
                ("dm-3", ("dm-2",)),
            ],
            "dm-3",
        ),
        # a cached volume over its origin, the cache's data and its metadata: lvmcache(7)
        (
            [
                *(("dm-0", ("sda",)), ("dm-1", ("sdb",)), ("dm-2", ("sdb",))),
                ("dm-3", ("dm-0", "dm-1", "dm-2")),
            ],
            "dm-3",
        ),
        ([("drbd0", ("sda",)), ("loop0", ("sdb",)), ("md0", ("drbd0", "loop0"))], "md0"),
    ],
    ids=["bcache", "thin", "cache", "RAID of DRBD and loop"],
)
def test_each_disk_below_a_stack_of_volumes_holds_the_root(tmp_path, stack, root):
    parts = [
        block(f"virtual/block/{name}", f"25{n}:0", slaves=slaves)
        for n, (name, slaves) in enumerate(stack)
    ]
    number = f"25{len(stack) - 1}:0"
    loop = {"sys/devices/virtual/block/loop0/loop/backing_file": "/dev/sdb\n"}
    files = [block(sata(1, "a"), "8:0"), block(sata(2, "b"), "8:16"), *parts]
    blocks, mounts = read(
        tmp_path, *files, loop if root == "md0" else {}, mountinfo(f"{number} / ext4 /dev/{root}")
    )

    assert uses(mounts) == [(root, "/")]
    todo, below = [root], set()
    while todo:
        name = todo.pop()
        below.add(name)
        todo += blocks[name].below
    assert {"sda", "sdb"} <= below


GRUB = "E:ID_PART_ENTRY_SCHEME=gpt\nE:ID_PART_ENTRY_TYPE=21686148-6449-6e6f-744e-656564454649\n"
DOS = "E:ID_PART_ENTRY_SCHEME=dos\nE:ID_PART_ENTRY_TYPE=0x83\nE:ID_PART_ENTRY_FLAGS=0x80\n"


@pytest.mark.parametrize("udev", [GRUB, DOS])
@pytest.mark.parametrize(
    ("root", "expected"), [("8:0", ["sda1"]), ("8:32", ["sda1", "sdb1"])], ids=["beside", "no"]
)
def test_what_a_bios_may_start_is_a_use_but_for_a_stick(tmp_path, udev, root, expected):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(f"{sata(1, 'a')}/sda1", "8:1", udev=udev),
        block(sata(2, "b"), "8:16"),
        block(f"{sata(2, 'b')}/sdb1", "8:17", udev=udev),
        block(sata(3, "d"), "8:32"),
        block(STICK, "8:48"),
        block(f"{STICK}/sdc1", "8:49", udev=udev),
        {"sys/devices/pci0000:00/0000:00:14.0/usb2/idProduct": "0003\n"},
        mountinfo(f"{root} / ext4 /dev/whatever"),
    )

    assert [m.device for m in mounts if "BIOS" in m.point] == expected


def test_a_boot_partition_that_is_not_mounted_is_a_use_by_fstab(tmp_path):
    _, mounts = read(
        tmp_path,
        block(sata(1, "a"), "8:0"),
        block(sata(2, "b"), "8:16"),
        block(f"{sata(2, 'b')}/sdb1", "8:17"),
        block(f"{sata(2, 'b')}/sdb2", "8:18"),
        {
            f"dev/disk/by-uuid/{UUID}": Link("dev/sdb1"),
            "etc/fstab": f"# what is where\nUUID={UUID} /boot ext4 noauto 0 2\n"
            "/dev/sdb2 /srv ext4 noauto 0 2\n/dev/sdz1 /efi vfat noauto 0 0\nnonsense\n",
        },
        mountinfo("8:0 / ext4 /dev/sda"),
    )

    assert uses(mounts) == [("sda", "/"), ("sdb1", "/boot")]
    assert mounts[1].evidence == "/etc/fstab"


@pytest.mark.parametrize(
    ("uuid", "kind"),
    [
        ("CRYPT-LUKS2-0fc63daf-luks", "LUKS"),
        ("CRYPT-VERITY-0fc63daf-root", "crypt"),
        ("LVM-Vd7bP0lQ", "LVM"),
        ("mpath-3600508b", "multipath"),
        ("part1-mpath-3600508b", None),
    ],
)
def test_a_mapping_is_known_by_its_makers_mark(tmp_path, uuid, kind):
    blocks, _ = read(
        tmp_path,
        block("virtual/block/dm-0", "253:0"),
        {"sys/devices/virtual/block/dm-0/dm/uuid": uuid + "\n"},
    )

    assert blocks["dm-0"].kind == kind
