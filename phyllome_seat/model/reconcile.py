"""Which USB devices are to change hands now: what seats are to have against what guests have.

One function for a guest's start, for the commands and for the service. It compares whole and
remembers nothing, so that a lost event costs a moment and no device. It is asked again after its
steps were done: a device never goes from one guest to another in one go, because the first may
keep it. What is asked of the caller:

- The `Host` must be fresh where it decides: USB devices, input devices, guests with their live
  devices, and, before mass storage is attached, block devices and mounts.
- The `Assignment` must not depend on what is plugged in: `assign_usb` makes one.
- The answer's `lending` is what is to be kept from now on; at `again_s` time alone changes the
  answer.

A device that a guest lost shows only as an entry whose number nobody has, or another device:
libvirt sends no event for it, and the entry holds a port of the guest and blocks the number. So
stale entries go first. A device whose number is 0 is being reset, and left alone until it has one.
"""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.assignment import Assignment
from phyllome_seat.model.devices import NOT_READ, Guest, Host, Hostdev, UsbDevice
from phyllome_seat.model.guest import is_ours
from phyllome_seat.model.guest_saved import find_had, has_moved
from phyllome_seat.model.guest_usb import is_entry_of, next_alias, parse_alias
from phyllome_seat.model.lend import (
    COMES_BACK_S,
    NOTHING_SAID,
    Lend,
    Lending,
    Released,
    is_same,
    renew_lend,
    renew_released,
)
from phyllome_seat.model.owner import ASK, Owner, find_owner
from phyllome_seat.model.protect import Protected, Reason, protect
from phyllome_seat.model.step import AttachUsb, DetachUsb, RenumberSaved, UsbStep
from phyllome_seat.model.value import dataclass, replace

_TAKES_USB = ("running", "paused", "idle")  # not one that is shutting down, or asleep
_RESET_S = 1.0  # until when a device that is being reset should have its number


@dataclass(frozen=True, slots=True)
class Kept:
    """A device that is not attached although it is in a seat's place, and why.

    ``kind``: "hub" (nothing is wrong: what is behind it goes), "place" (not on a PCI controller),
    "host" (the host needs it), "guest" (another guest has it), "port" (the guest has no free one),
    "released" (taken back by `detach`), "ask" (in no seat's place; ``seat`` is empty), "later"
    (being reset, or still in another seat's guest: compare again).
    """

    device: UsbDevice
    seat: str
    kind: str
    why: str

    def __str__(self) -> str:
        where = f"{self.device.port or self.device.sysname} ({self.device.name})"
        return f"{where} {self.why}"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The steps that make running guests have what their seats are to have, detaching first.

    Empty ``steps`` and no ``again_s``: nothing is to be done until something happens. ``owners``
    has every device that is plugged in and a seat's, wherever it is now.
    """

    steps: tuple[UsbStep, ...] = ()
    kept: tuple[Kept, ...] = ()
    lending: Lending = NOTHING_SAID
    ended: tuple[Lend, ...] = ()
    again_s: float | None = None
    owners: tuple[tuple[UsbDevice, Owner], ...] = ()


def reconcile(
    assignment: Assignment,
    host: Host,
    lending: Lending = NOTHING_SAID,
    now_s: float = 0.0,
) -> Reconciled:
    """Return what is to change hands now in all running guests of the seats.

    No steps where libvirt was not asked. Pure: `now_s` is Unix time.
    """
    return _Comparison(assignment, host, lending, now_s).result()


def reconcile_guest(
    name: str,
    assignment: Assignment,
    host: Host,
    lending: Lending = NOTHING_SAID,
    now_s: float = 0.0,
) -> Reconciled:
    """Return what is to change hands in one guest; the comparison is whole all the same."""
    whole = reconcile(assignment, host, lending, now_s)
    return replace(whole, steps=tuple(step for step in whole.steps if step.guest == name))


def why_not_restored(guest: Guest, assignment: Assignment, host: Host) -> tuple[str, ...]:
    """Return what a saved guest was saved with and cannot have now; empty for any other."""
    return tuple(_Comparison(assignment, host, NOTHING_SAID, 0.0).why_not_restored(guest))


class _Comparison:
    """One comparison: what is plugged in, who has it, whose it is."""

    def __init__(
        self,
        assignment: Assignment,
        host: Host,
        lending: Lending,
        now_s: float,
    ) -> None:
        self.assignment = assignment
        self.host = host
        self.now_s = now_s
        self.again_s: float | None = None
        self.plugged = tuple(device for device in host.usb if not device.remembered)
        self.by_number = {(d.bus, d.number): d for d in self.plugged if d.number}
        self.by_port = {d.port: d for d in self.plugged if d.port is not None}
        self.guests = _find_guests(assignment, host)
        self.lends = self._renew_lends(lending.lends)
        self.ended = tuple(_ended(lending.lends, self.lends))
        self.released = self._renew_released(lending.released)
        self.owners = {device: self._owner(device) for device in self.plugged}
        self.kept: list[Kept] = []
        self._needs: Protected | None = None

    def result(self) -> Reconciled:
        steps: list[UsbStep] = []
        if self.host.guests is not None:
            detach = self._detach()
            steps = [*detach, *self._attach(detach), *self._renumber()]
        lending = Lending(self.lends, self.released)
        owners = tuple((device, owner) for device, owner in self.owners.items() if owner)
        return Reconciled(tuple(steps), tuple(self.kept), lending, self.ended, self.again_s, owners)

    def _again(self, at_s: float) -> None:
        self.again_s = at_s if self.again_s is None else min(self.again_s, at_s)

    # -- what was said by hand ---------------------------------------------------------------------

    def _renew_lends(self, lends: tuple[Lend, ...]) -> tuple[Lend, ...]:
        seats = {seat.seat.name for seat in self.assignment.seats}
        kept: list[Lend] = []
        # one that is not read may be the seat's
        is_known = all(guest.state != NOT_READ for guest in self.host.guests_known)
        is_asked = self.host.guests is not None and is_known
        for lend in lends:
            has_stopped = is_asked and lend.seat not in self.guests
            device = self.by_port.get(lend.port)
            guest = self.guests.get(lend.seat)
            run = guest.run if guest else None
            new = renew_lend(lend, device, self.now_s, has_stopped=has_stopped, run=run)
            if new is None or new.seat not in seats:
                continue
            kept.append(new)
            if new.until == "time" and new.ends_at_s is not None:
                self._again(new.ends_at_s)
            if new.gone_s is not None:
                self._again(new.gone_s + COMES_BACK_S)
        return tuple(kept)

    def _renew_released(self, released: tuple[Released, ...]) -> tuple[Released, ...]:
        kept: list[Released] = []
        for item in released:
            device = self.by_port.get(item.port)
            new = renew_released(item, device, self.now_s)
            if new is not None and not (device and self._lend(device)):
                kept.append(new)
                if new.gone_s is not None:
                    self._again(new.gone_s + COMES_BACK_S)
        return tuple(kept)

    def _lend(self, device: UsbDevice) -> Lend | None:
        """Return the last lend of a device."""
        return next((lend for lend in reversed(self.lends) if is_same(lend, device)), None)

    def _is_released(self, device: UsbDevice) -> bool:
        return any(is_same(item, device) for item in self.released)

    # -- whose it is -------------------------------------------------------------------------------

    def _owner(self, device: UsbDevice) -> Owner | None:
        lend = self._lend(device)
        if lend is not None:
            return Owner(lend.seat, str(lend), (-1, 0))
        return find_owner(self.assignment, device)

    # -- what goes ---------------------------------------------------------------------------------

    def _detach(self) -> list[DetachUsb]:
        steps = []
        for guest in self.host.guests_known:
            for hostdev in _live_usb(guest):
                if not is_ours(hostdev):
                    continue
                why = _why_dead(guest, hostdev) or self._why_out(guest, hostdev)
                if why is not None and hostdev.alias is not None:
                    steps.append(self._detach_step(guest, hostdev, hostdev.alias, why))
        return steps

    def _detach_step(self, guest: Guest, hostdev: Hostdev, alias: str, why: str) -> DetachUsb:
        device = self._device_of(hostdev)
        said = parse_alias(alias)
        return DetachUsb(
            guest.name,
            guest.uuid,
            said.seat if said else guest.seat or "",
            alias,
            hostdev.usb_bus or 0,
            hostdev.usb_number or 0,
            why,
            device,
        )

    def _why_out(self, guest: Guest, hostdev: Hostdev) -> str | None:
        """Return why a device of ours is to leave a guest, None where it stays."""
        place = _place(hostdev)
        if place in self.by_port and not self.by_port[place].number:
            self._again(self.now_s + _RESET_S)
            return None
        device = self._device_of(hostdev)
        if device is None:
            return "it is not plugged in any more"
        if self._is_released(device):
            return "it was taken back"
        owner = self.owners[device]
        if owner is None:
            return "no seat is to have it"
        running = self.guests.get(owner.seat)
        if running is None or running.uuid != guest.uuid:
            return f"it is seat {owner.seat}'s ({owner.rule})"
        return None

    def _device_of(self, hostdev: Hostdev) -> UsbDevice | None:
        """Return the device a live entry means, None where its number is nobody's or another's."""
        device = self.by_number.get((hostdev.usb_bus or 0, hostdev.usb_number or 0))
        return device if device and is_entry_of(hostdev, device) else None

    # -- what comes --------------------------------------------------------------------------------

    def _attach(self, detach: list[DetachUsb]) -> list[AttachUsb]:
        going = {(step.uuid, step.alias) for step in detach}
        held = self._held(going)
        free = {guest.uuid: guest.usb_free for guest in self.host.guests_known}
        for uuid, _ in going:
            free[uuid] = None if free[uuid] is None else (free[uuid] or 0) + 1
        steps = []
        for device in sorted(self.plugged, key=self._order):
            owner = self.owners[device]
            guest = self.guests.get(owner.seat) if owner else None
            if owner is None and self.assignment.unknown_usb == ASK:
                self._ask(device)
            if owner is None or guest is None or guest.state not in _TAKES_USB:
                continue
            if held.get((device.bus, device.number)) == guest.uuid:
                continue
            kept = self._why_not(device, owner, guest, held)
            if kept is None and free[guest.uuid] == 0:
                kept = Kept(device, owner.seat, "port", _no_port(guest))
            if kept is not None:
                self.kept.append(kept)
                continue
            if free[guest.uuid] is not None:
                free[guest.uuid] = (free[guest.uuid] or 0) - 1
            assert device.port is not None
            alias = next_alias(guest, owner.seat, device.port, self.now_s)
            steps.append(AttachUsb(guest.name, guest.uuid, owner.seat, device, alias, owner.rule))
        return steps

    def _held(self, going: set[tuple[str, str]]) -> dict[tuple[int, int], str]:
        """Return which guest has which number; what is stale in a guest that is to get the new
        device with that number is gone by then.
        """
        held: dict[tuple[int, int], str] = {}
        for guest in self.host.guests_known:
            for hostdev in _live_usb(guest):
                if hostdev.usb_bus is None or hostdev.usb_number is None:
                    continue
                number = (hostdev.usb_bus, hostdev.usb_number)
                device = self.by_number.get(number)
                owner = self.owners[device] if device else None
                own = self.guests.get(owner.seat) if owner else None
                is_going = (guest.uuid, hostdev.alias or "") in going
                if not (is_going and own is not None and own.uuid == guest.uuid):
                    held[number] = guest.uuid
        return held

    # -- what is saved -----------------------------------------------------------------------------

    def _renumber(self) -> list[RenumberSaved]:
        """Return what saved guests are to be told, so that whoever starts one gets it restored.

        Not of what the host needs by now: a guest that is restored takes it without a question.
        """
        steps = []
        seats = {seat.seat.guest_name: seat.seat.name for seat in self.assignment.seats}
        for guest in self.host.guests_known:
            if guest.is_running or guest.seat is None or seats.get(guest.name) != guest.seat:
                continue
            moved = tuple(
                device
                for had, port, device in find_had(guest.saved, self.plugged)
                if device and has_moved(had, device) and self._reason(port) is None
            )
            if moved:
                steps.append(RenumberSaved(guest.name, guest.uuid, guest.seat, moved))
        return steps

    def why_not_restored(self, guest: Guest) -> list[str]:
        """Return what a saved guest was saved with and cannot have now, and why, in words."""
        words = []
        for _, port, device in find_had(guest.saved, self.plugged):
            if device is None:
                words.append(f"with what is not plugged into {port} now")
            elif (reason := self._reason(port)) is not None:
                words.append(f"with {device.name} in {port}, which stays, for it {reason.words}")
        return words

    def _protected(self) -> Protected:
        """Return what the host needs, found out when it is first asked: most events ask nothing."""
        if self._needs is None:
            self._needs = protect(self.host, self.assignment.addresses, self._places())
        return self._needs

    def _places(self) -> tuple[UsbPort, ...]:
        """Return where the devices are that seats are to have: of what leaves with them, some
        keyboard must stay.
        """
        return tuple(
            device.port
            for device, owner in self.owners.items()
            if owner is not None and device.port is not None and not self._is_released(device)
        )

    def _order(self, device: UsbDevice) -> tuple[object, ...]:
        owner = self.owners[device]
        return owner.rank if owner else (9, 0), device.bus, device.number, device.sysname

    def _ask(self, device: UsbDevice) -> None:
        is_whole = device.port and device.port.controller in self.assignment.addresses
        if device.is_hub or is_whole or self._is_released(device):
            return
        if device.port and self._reason(device.port) is not None:
            return  # to ask for it would be refused
        way = f"`phyllome-seat attach {device.port or device.sysname} SEAT` lends it to one"
        self.kept.append(Kept(device, "", "ask", f"is in no seat's place: {way}"))

    def _why_not(
        self,
        device: UsbDevice,
        owner: Owner,
        guest: Guest,
        held: dict[tuple[int, int], str],
    ) -> Kept | None:
        """Return why a device is not to be attached, None when it may be."""
        if not device.number:
            self._again(self.now_s + _RESET_S)
            kind, why = "later", "is being reset"
        elif device.is_hub:
            kind, why = "hub", "is a hub, which no guest gets: what is behind it goes, one by one"
        elif device.port is None:
            kind, why = "place", "is on no PCI controller: nobody can say what the host uses it for"
        elif self._is_released(device):
            way = f"plug it in again, or `phyllome-seat attach {device.port} {owner.seat}`"
            kind, why = "released", f"was taken back: {way}"
        elif (reason := self._reason(device.port)) is not None:
            kind = "guest" if reason.kind == "guest" else "host"
            why = f"stays where it is, for it {reason.words}"
        elif (device.bus, device.number) in held:
            self._again(self.now_s)
            kind, why = "later", f"comes to guest {guest.name} as soon as another guest lets go"
        else:
            return None
        return Kept(device, owner.seat, kind, why)

    def _reason(self, port: UsbPort) -> Reason | None:
        """Return why the host needs what is plugged in at a port."""
        return next(
            (
                reason
                for reason in self._protected().usb.get(port, ())
                if not self.assignment.consent.covers(self.host, port, reason)
            ),
            None,
        )


def _find_guests(assignment: Assignment, host: Host) -> dict[str, Guest]:
    """Return each seat's guest that runs and was set up for it by `apply`."""
    by_name = {guest.name: guest for guest in host.guests_known if guest.is_running}
    found = {}
    for seat in assignment.seats:
        guest = by_name.get(seat.seat.guest_name or "")
        if guest is not None and guest.seat == seat.seat.name:
            found[seat.seat.name] = guest
    return found


def _live_usb(guest: Guest) -> tuple[Hostdev, ...]:
    if not guest.is_running:
        return ()
    return tuple(h for h in guest.hostdevs if h.live and h.pci is None)


def _place(hostdev: Hostdev) -> UsbPort | None:
    """Return where a device of ours was plugged in, from its alias."""
    said = parse_alias(hostdev.alias)
    return said.port if said else None


def _why_dead(guest: Guest, hostdev: Hostdev) -> str | None:
    """Return why a guest does not see what it has: it was saved and restored since.

    QEMU takes devices of the host out of a guest whose memory it has loaded, and keeps the entry
    (usb_host_post_load_bh, hw/usb/host-libusb.c).
    """
    said = parse_alias(hostdev.alias)
    is_before = said is not None and said.run and guest.run and said.run != guest.run
    return "the guest was saved and restored since, and does not see it" if is_before else None


def _ended(before: tuple[Lend, ...], after: tuple[Lend, ...]) -> list[Lend]:
    going_on = {(lend.port, lend.seat, lend.since_s) for lend in after}
    return [lend for lend in before if (lend.port, lend.seat, lend.since_s) not in going_on]


def _no_port(guest: Guest) -> str:
    return (
        f"finds no free USB port in guest {guest.name}: unplug or detach another, or give it more "
        "(`phyllome-seat stop`, `apply`, `start`: no USB controller can be added while it runs)"
    )
