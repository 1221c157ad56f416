"""The steps that are libvirt's: definitions made, edited and given back, each read back."""

from __future__ import annotations

import os
import stat

from phyllome_seat.model.cores import render_cpus
from phyllome_seat.model.errors import ApplyError, ReadBackError
from phyllome_seat.model.guest_edit import edit_guest, needs_edit, restore_guest
from phyllome_seat.model.guest_new import guest_uuid, render_new_guest
from phyllome_seat.model.guest_size import find_size, resize_guest
from phyllome_seat.model.step import CreateGuest, EditGuest, RemoveGuest, ResizeGuest, RestoreGuest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.system.guests import Libvirt
    from phyllome_seat.system.state import State
    from phyllome_seat.system.sysfs import Sysfs


def do_guest(
    step: CreateGuest | EditGuest | ResizeGuest | RestoreGuest | RemoveGuest,
    sysfs: Sysfs,
    state: State,
    libvirt: Libvirt,
) -> None:
    """Do one step on a guest's definition."""
    match step:
        case CreateGuest():
            _create(step, sysfs, state, libvirt)
        case EditGuest():
            _edit(step, state, libvirt)
        case ResizeGuest():
            _resize(step, libvirt)
        case RestoreGuest():
            _restore(step, state, libvirt)
        case RemoveGuest():
            libvirt.undefine(step.uuid)  # and looks whether it is gone
            state.drop_guest(step.uuid)


def _create(step: CreateGuest, sysfs: Sysfs, state: State, libvirt: Libvirt) -> None:
    machine_id = sysfs.read("etc/machine-id")
    if not machine_id:
        hint = "`systemd-machine-id-setup` makes one"
        raise ApplyError(f"guest {step.guest.name}: /etc/machine-id is empty or missing", hint=hint)
    uuid = guest_uuid(step.seat, machine_id)
    state.keep_guest(uuid, "")  # nothing was before: a revert without libvirt knows what it misses
    libvirt.define(render_new_guest(step.seat, step.guest, step.pci, uuid))
    _read_back(libvirt, step.guest.name, uuid, step)


def check_disk(step: CreateGuest, sysfs: Sysfs) -> None:
    """Refuse a disk of the host's that somebody uses, whatever link leads to it. ApplyError."""
    from phyllome_seat.system.holders import find_disk_users

    path = step.guest.disk_path
    try:
        status = os.stat(path or "")
    except OSError:
        return  # an image that is not there yet, or that libvirt will complain of
    if not stat.S_ISBLK(status.st_mode):
        return
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    if users := find_disk_users(sysfs, number):
        hint = "name another disk, or stop what uses it"
        name = step.guest.name
        raise ApplyError(f"guest {name}: {path} is in use: {', '.join(users)}", hint=hint)


def _edit(step: EditGuest, state: State, libvirt: Libvirt) -> None:
    xml = libvirt.read_xml(step.uuid, secure=True)
    state.keep_guest(step.uuid, xml)
    libvirt.define(edit_guest(xml, step.seat, step.pci, takes_usb=step.takes_usb))
    _read_back(libvirt, step.name, step.uuid, step)


def _resize(step: ResizeGuest, libvirt: Libvirt) -> None:
    new = step.guest
    libvirt.define(resize_guest(libvirt.read_xml(step.uuid, secure=True), new))
    size = find_size(libvirt.read_xml(step.uuid))
    if not size.holds(new):
        wanted, found = (
            f"{what.cpus} CPUs and {what.memory_bytes / 2**20:g} MiB"
            + (f", pinned to {render_cpus(what.pin)}" if what.pin else "")
            for what in (new, size)
        )
        raise ReadBackError(f"guest {new.name}", f"with {wanted}", f"with {found}")


def _restore(step: RestoreGuest, state: State, libvirt: Libvirt) -> None:
    before = state.read_guest(step.uuid) or None  # empty: a guest of ours whose mark is gone
    xml = libvirt.read_xml(step.uuid, secure=True)
    wanted = restore_guest(xml, before)
    if wanted != xml:
        libvirt.define(wanted)
        left = libvirt.read_xml(step.uuid, secure=True)
        if restore_guest(left, None) != left:
            raise ReadBackError(f"guest {step.name}", "without our devices", "with some")
    state.drop_guest(step.uuid)


def _read_back(libvirt: Libvirt, name: str, uuid: str, step: CreateGuest | EditGuest) -> None:
    xml = libvirt.read_xml(uuid, secure=True)
    takes_usb = isinstance(step, EditGuest) and step.takes_usb
    if needs_edit(xml, step.seat, step.pci, takes_usb=takes_usb):
        raise ReadBackError(f"guest {name}", "with the seat's devices", "without some of them")
