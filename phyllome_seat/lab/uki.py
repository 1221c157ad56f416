"""Unified kernel images: one EFI program with a kernel, its initramfs and its command line.

Source: the UAPI group's specification "Unified Kernel Image" for the sections' names; Microsoft's
"PE Format" for the offsets below.
"""

from __future__ import annotations

import struct

from phyllome_seat.lab.errors import LabError

_SECTION = struct.Struct("<8sIIIIIIHHI")
_PAGE = 4096
_READ_DATA = 0x40000040  # holds initialized data, may be read


def render_uki(stub: bytes, kernel: bytes, initrd: bytes, command_line: str) -> bytes:
    """Return systemd's EFI stub with the three as sections of it. Raises LabError.

    The stub is `linuxx64.efi.stub` of systemd-boot-efi.
    """
    try:
        (pe,) = struct.unpack_from("<I", stub, 60)
        signature, count, options_size = struct.unpack_from("<4s2xH12xH", stub, pe)
        options = pe + 24
        alignment, headers_size = struct.unpack_from("<I20xI", stub, options + 36)
        table = options + options_size
        old = [_SECTION.unpack_from(stub, table + 40 * number) for number in range(count)]
    except struct.error as error:
        raise LabError("the EFI stub ends early: not a PE file") from error
    contents = {
        b".cmdline": command_line.encode() + b"\0",
        b".initrd": initrd,
        b".linux": kernel,
    }
    if signature != b"PE\0\0" or table + 40 * (count + len(contents)) > headers_size:
        raise LabError("the EFI stub is no PE file, or its header has no room for three sections")
    image = bytearray(stub)
    address = _round_up(max(section[2] + section[1] for section in old), _PAGE)
    for number, (name, content) in enumerate(contents.items(), start=count):
        image += bytes(-len(image) % alignment)
        size = _round_up(len(content), alignment)
        header = (name, len(content), address, size, len(image), 0, 0, 0, 0, _READ_DATA)
        _SECTION.pack_into(image, table + 40 * number, *header)
        image += content + bytes(size - len(content))
        address = _round_up(address + len(content), _PAGE)
    struct.pack_into("<H", image, pe + 6, count + len(contents))
    struct.pack_into("<I", image, options + 56, address)  # size of the image in memory
    return bytes(image)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
