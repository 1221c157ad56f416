"""Disk images for new guests."""

from __future__ import annotations

import contextlib
import os

from phyllome_seat.model.errors import ApplyError, ReadBackError
from phyllome_seat.model.guest_new import disk_format
from phyllome_seat.system.files import sync_folder, temporary_path
from phyllome_seat.system.run import run

_CREATE_S = 120.0


def create_disk(path: str, size_bytes: int) -> bool:
    """Create an empty image that grows as it is used; return False where a file is there already.

    It gets its name when it is whole. Only root may read it; libvirt gives it to the guest while
    that runs (qemu.conf, ``dynamic_ownership``). ApplyError when its folder is not there.
    """
    if os.path.lexists(path):
        return False
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        hint = f"create it: `mkdir -p {folder}`"
        raise ApplyError(f"{path}: there is no folder {folder}", hint=hint)
    temporary = temporary_path(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    create = ("qemu-img", "create", "-q", "-f", disk_format(path), temporary, str(size_bytes))
    try:
        run(create, timeout_s=_CREATE_S)
        os.chmod(temporary, 0o600)
        os.rename(temporary, path)
        sync_folder(folder)
    except OSError as error:
        raise ApplyError(f"{path}: {error.strerror}") from error
    if not os.path.isfile(path):
        raise ReadBackError(f"{path}: the disk image", "a file", "nothing")
    return True
