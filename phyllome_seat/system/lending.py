"""Lending: `attach` and `detach`, each one call. What is said is kept, then the guests settled.

Works with the service running and without: both compare the same, and what was said is in the
state. Done means that the running guest has the device, or has it not.
"""

from __future__ import annotations

import time

from phyllome_seat.model.assign_usb import assign_usb
from phyllome_seat.model.errors import ApplyError
from phyllome_seat.model.find_usb import find_usb
from phyllome_seat.model.guest import is_ours
from phyllome_seat.model.guest_usb import has_usb, is_entry_of, parse_alias
from phyllome_seat.model.lend import Lend, Lending, Released, is_same
from phyllome_seat.model.owner import find_owner
from phyllome_seat.model.step import AttachUsb, DetachUsb, RenumberSaved
from phyllome_seat.system.apply import prepare
from phyllome_seat.system.scan import scan
from phyllome_seat.system.seating import SYSTEM, chosen, connect, needed
from phyllome_seat.system.settle_usb import settle_usb
from phyllome_seat.system.state import State
from phyllome_seat.system.sysfs import Sysfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from phyllome_seat.model.address import UsbPort
    from phyllome_seat.model.devices import Guest, Host, UsbDevice
    from phyllome_seat.model.seat import Seat, Wish
    from phyllome_seat.system.guests import Libvirt
    from phyllome_seat.system.settle_usb import Failed, Settled


def attach_usb(
    wish: Wish,
    what: str,
    seat: str,
    *,
    until: str | None = None,
    for_s: float | None = None,
    say: Callable[[str], None] = lambda _: None,
    lock_wait_s: float = 10.0,
    uri: str = SYSTEM,
) -> str:
    """Lend a plugged-in device to a seat whose guest runs; return a sentence about how it is now.

    `until` is "stop" (the usual), "unplug" or "time", which is `for_s` seconds. A device that is
    the seat's own and was taken back is only given again, without an end.

    *errors*: UnknownDeviceError, UnknownSeatError; ApplyError where the device must stay, the
    guest is off or does not take it: then nothing is lent.
    """
    sysfs, state = Sysfs("/"), State("/")
    with state.lock("phyllome-seat attach", lock_wait_s), connect(uri) as libvirt:
        prepare(sysfs, state)
        return lend(
            wish,
            what,
            seat,
            until=until,
            for_s=for_s,
            sysfs=sysfs,
            state=state,
            libvirt=needed(libvirt),
            say=say,
        )


def lend(
    wish: Wish,
    what: str,
    seat: str,
    *,
    until: str | None,
    for_s: float | None,
    sysfs: Sysfs,
    state: State,
    libvirt: Libvirt,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Do what `attach_usb` says for who holds the lock already."""
    (named,) = chosen(wish, (seat,))
    host = scan(sysfs, guests=libvirt.read_guests)
    device = find_usb(host, what)
    guest = _running(host, named)
    before = state.read_lending()
    owner = find_owner(assign_usb(wish, host)[0], device)
    after = _without(before, device)
    is_own = owner is not None and owner.seat == seat and until is None
    if not is_own:
        new = _lend(device, seat, until or "stop", for_s, time.time())
        after = Lending((*after.lends, new), after.released)
    state.write_lending(after)
    try:
        settled = settle_usb(wish, sysfs, state, libvirt, say=say)
        is_there = _has(libvirt, guest, device, seat, by_place=not _failed(settled, device))
    except ApplyError:  # libvirt does not answer
        state.write_lending(before)
        raise
    if not is_there:
        state.write_lending(before)
        words = [str(k) for k in settled.kept if k.device.port == device.port]
        words += [str(f) for f in _failed(settled, device)]
        raise ApplyError(
            words[0] if words else f"{device.port} ({device.name}) went meanwhile",
            hint="nothing is lent",
        )
    end = "as its own" if is_own else _end(until, for_s)
    return f"{device.port} ({device.name}) is in guest {guest.name} of seat {seat} {end}"


def _end(until: str | None, for_s: float | None) -> str:
    if until == "time":
        return f"for {for_s or 0.0:.0f} s"
    return "until it is unplugged" if until == "unplug" else "until the guest stops"


def detach_usb(
    wish: Wish,
    what: str,
    *,
    say: Callable[[str], None] = lambda _: None,
    lock_wait_s: float = 10.0,
    uri: str = SYSTEM,
) -> str:
    """Take a device back; return a sentence about whose it is now.

    A lend is ended, and the device goes where it belongs. A seat's own device stays with the host
    until it is plugged in again or `attach_usb` gives it back.

    *errors*: UnknownDeviceError; ApplyError where a guest keeps it.
    """
    sysfs, state = Sysfs("/"), State("/")
    with state.lock("phyllome-seat detach", lock_wait_s), connect(uri) as libvirt:
        prepare(sysfs, state)
        return take_back(wish, what, sysfs=sysfs, state=state, libvirt=needed(libvirt), say=say)


def take_back(
    wish: Wish,
    what: str,
    *,
    sysfs: Sysfs,
    state: State,
    libvirt: Libvirt,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Do what `detach_usb` says for who holds the lock already."""
    host = scan(sysfs, guests=libvirt.read_guests)
    device = find_usb(host, what)
    before = state.read_lending()
    after = _without(before, device)
    was_lent = len(after.lends) < len(before.lends)
    owner = find_owner(assign_usb(wish, host)[0], device)
    is_released = not was_lent and owner is not None
    if is_released and device.port is not None:
        after = Lending(after.lends, (*after.released, _release(device, time.time())))
    state.write_lending(after)
    settled = settle_usb(wish, sysfs, state, libvirt, say=say)
    if failed := _failed(settled, device):
        raise ApplyError(str(failed[0]))
    return _whose(libvirt, device, is_released=is_released)


def _running(host: Host, seat: Seat) -> Guest:
    """Return the seat's guest, which must run and be set up by `apply`."""
    guest = next((g for g in host.guests_known if g.name == seat.guest_name), None)
    if guest is None or guest.seat != seat.name:
        raise ApplyError(
            f"seat {seat.name} has no guest that is set up", hint="run `phyllome-seat apply` first"
        )
    if not guest.is_running:
        raise ApplyError(
            f"guest {guest.name} of seat {seat.name} is off, and a device is lent to a guest that "
            "runs",
            hint=f"`phyllome-seat start {seat.name}`",
        )
    return guest


def _without(lending: Lending, device: UsbDevice) -> Lending:
    return Lending(
        tuple(lend for lend in lending.lends if not is_same(lend, device)),
        tuple(item for item in lending.released if not is_same(item, device)),
    )


def _lend(device: UsbDevice, seat: str, until: str, for_s: float | None, now_s: float) -> Lend:
    if device.port is None:
        raise ApplyError(f"{device.sysname} ({device.name}) is on no PCI controller: it stays")
    ends_at_s = now_s + (for_s or 0.0) if until == "time" else None
    return Lend(device.port, device.id, device.serial, seat, until, ends_at_s, now_s)


def _release(device: UsbDevice, now_s: float) -> Released:
    assert device.port is not None
    return Released(device.port, device.id, device.serial, device.bus, device.number, since_s=now_s)


def _has(libvirt: Libvirt, guest: Guest, device: UsbDevice, seat: str, *, by_place: bool) -> bool:
    """Return whether the running guest has the device, by a look of its own.

    By its place too, unless a step failed: a device that QEMU has reset may have another number by
    now, and what a refused step left there may be the one that was pulled out.
    """
    now = next((g for g in libvirt.read_guests() if g.uuid == guest.uuid), None)
    if now is None or not now.is_running:
        return False
    said = [parse_alias(hostdev.alias) for hostdev in now.hostdevs if hostdev.live]
    places = {(alias.seat, alias.port) for alias in said if alias}
    return (by_place and (seat, device.port) in places) or has_usb(now, device)


def _failed(settled: Settled, device: UsbDevice) -> list[Failed]:
    """Return what failed with this device; what another guest refuses is another matter."""
    return [
        failed
        for failed in settled.failed
        if not isinstance(failed.step, RenumberSaved) and _place(failed.step) in (device.port, None)
    ]


def _place(step: AttachUsb | DetachUsb) -> UsbPort | None:
    if isinstance(step, AttachUsb):
        return step.device.port
    said = parse_alias(step.alias)
    return said.port if said else None


def _whose(libvirt: Libvirt, device: UsbDevice, *, is_released: bool) -> str:
    what = f"{device.port or device.sysname} ({device.name})"
    for guest in libvirt.read_guests():
        for hostdev in guest.hostdevs if guest.is_running else ():
            if not hostdev.live or not is_entry_of(hostdev, device):
                continue
            if is_ours(hostdev):
                return f"{what} is in guest {guest.name}"
            raise ApplyError(
                f"{what} was put into guest {guest.name} by somebody else, and is left there",
                hint=f"`virsh detach-device {guest.name}` is theirs to run",
            )
    if is_released:
        return f"{what} is the host's until it is plugged in again or attached"
    return f"{what} is the host's"
