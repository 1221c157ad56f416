"""Initramfs archives: cpio's "newc" format, the same bytes for the same files.

Source: kernel document driver-api/early-userspace/buffer-format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

_DIRECTORY = 0o040755
_FILE = 0o100755


def render_cpio(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of these files (path without leading slash, content) and their directories.

    Sorted by path, all owned by root, executable and without a time.
    """
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    entries = [_entry(path, _DIRECTORY, b"") for path in sorted(folders)]
    entries += [_entry(path, _FILE, files[path]) for path in sorted(files)]
    return b"".join([*entries, _entry("TRAILER!!!", 0, b"")])


def _entry(path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    # inode (0 for all: only hard links need one), mode, uid, gid, links, time, size, device and
    # special device (major, minor), length of the name, checksum (0 in this format)
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % number for number in numbers)
    return _pad(header + name) + _pad(content)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
