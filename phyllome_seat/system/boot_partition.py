"""The partition the firmware booted from, as EFI variables name it.

A variable's file in efivarfs is four bytes of attributes, then its value. Sources: the kernel's
Documentation/filesystems/efivarfs.rst; UEFI Specification 2.10, sections 3.1.3 (load options),
3.3 (globally defined variables) and 10.3.5.1 (hard drive device path).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.system.sysfs import Sysfs

_VARIABLES = "sys/firmware/efi/efivars/"
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
# systemd-boot and the stub say it themselves: systemd.io/BOOT_LOADER_INTERFACE
_LOADER = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_MEDIA, _HARD_DRIVE, _END = 0x04, 0x01, 0x7F
_BY_DISK_SIGNATURE, _BY_GUID = 1, 2


def read_boot_partitions(sysfs: Sysfs) -> tuple[tuple[str, str], ...]:
    """Return partition UUIDs, as udev writes them, each with the file that says so.

    The boot loader's word and the firmware's, which differ when one loader starts another. Empty
    where the PC was not booted by EFI, from the network or from removable media named otherwise.
    """
    found = []
    loader = sysfs.read_bytes(_VARIABLES + _LOADER)
    if loader is not None:
        uuid = loader[4:].decode("utf-16-le", "replace").partition("\0")[0].lower()
        found.append((uuid, f"/{_VARIABLES}{_LOADER}"))
    current = sysfs.read_bytes(f"{_VARIABLES}BootCurrent-{_GLOBAL}")
    if current is not None and len(current) == 6:
        name = f"Boot{int.from_bytes(current[4:], 'little'):04X}-{_GLOBAL}"
        found += [
            (uuid, f"/{_VARIABLES}{name}")
            for uuid in find_partitions((sysfs.read_bytes(_VARIABLES + name) or b"")[4:])
        ]
    return tuple(found)


def find_partitions(load_option: bytes) -> tuple[str, ...]:
    """Return the UUIDs of the partitions in the device path of a load option; any bytes will do."""
    end = 6
    while load_option[end : end + 2] not in (b"\0\0", b""):  # the description, UTF-16
        end += 2
    path = load_option[end + 2 :][: int.from_bytes(load_option[4:6], "little")]
    found = []
    while len(path) >= 4 and path[0] != _END:
        size = int.from_bytes(path[2:4], "little")
        if path[0] == _MEDIA and path[1] == _HARD_DRIVE and size == 42 and len(path) >= 42:
            found.append(_partition_uuid(path))
        path = path[max(size, 4) :]
    return tuple(uuid for uuid in found if uuid)


def _partition_uuid(node: bytes) -> str:
    signature, kind = node[24:40], node[41]
    if kind == _BY_DISK_SIGNATURE:  # libblkid: the disk's number, then the partition's
        number = int.from_bytes(node[4:8], "little")
        return f"{int.from_bytes(signature[:4], 'little'):08x}-{number:02x}"
    if kind != _BY_GUID:
        return ""
    # the first three fields of a GUID are little-endian numbers: UEFI 2.10, appendix A
    digits = (signature[3::-1] + signature[5:3:-1] + signature[7:5:-1] + signature[8:]).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
