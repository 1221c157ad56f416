"""What was said by hand about one USB device: lent to a seat, or released from its own.

A lend stands for a device at its place: another device plugged in there is not lent. A device that
is looked for and gone is waited for a moment, because a device that is reset, or a phone that
changes from charging to files, goes and comes back by itself: then the lend goes on, also where
its id has changed and its serial number not. Kept in ``/run/phyllome-seat/lends``, which dies with
the boot as guests do.
"""

from __future__ import annotations

from phyllome_seat.model.address import UsbId, UsbPort
from phyllome_seat.model.devices import UsbDevice
from phyllome_seat.model.value import dataclass, replace

UNTIL = ("stop", "unplug", "time")
COMES_BACK_S = 5.0  # a device that goes for longer was unplugged; a mode switch takes 1 to 3


@dataclass(frozen=True, slots=True)
class Lend:
    """A device lent to a seat until something ends it.

    ``until``: "stop" (its guest stops), "unplug" (the device goes), "time" (``ends_at_s``). All
    times are Unix time in seconds. ``gone_s`` is since when the device was not seen. ``run`` is the
    guest's that was seen first, so that one who was started again meanwhile counts as stopped.
    """

    port: UsbPort
    id: UsbId
    serial: str | None
    seat: str
    until: str = "stop"
    ends_at_s: float | None = None
    since_s: float = 0.0
    gone_s: float | None = None
    run: str | None = None

    def __str__(self) -> str:
        return {
            "stop": "lent until the guest stops",
            "unplug": "lent until it is unplugged",
        }.get(self.until, "lent for a time")


@dataclass(frozen=True, slots=True)
class Released:
    """A device taken back from its seat by hand: it stays with the host until it is plugged in
    again or lent. ``number`` on ``bus`` is what it had when it was last seen.
    """

    port: UsbPort
    id: UsbId
    serial: str | None
    bus: int
    number: int
    since_s: float = 0.0
    gone_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lending:
    """All that was said by hand, oldest first; of two lends of a device the last holds."""

    lends: tuple[Lend, ...] = ()
    released: tuple[Released, ...] = ()


NOTHING_SAID = Lending()


def is_same(said: Lend | Released, device: UsbDevice) -> bool:
    """Return whether this is the device something was said about: there, and the same thing."""
    if device.port != said.port:
        return False
    if device.serial is not None and device.serial == said.serial:
        return True
    return (device.id, device.serial) == (said.id, said.serial)


def renew_lend(
    lend: Lend,
    device: UsbDevice | None,
    now_s: float,
    *,
    has_stopped: bool,
    run: str | None = None,
) -> Lend | None:
    """Return the lend as it goes on, None where it has ended.

    `device` is what is plugged in at its place; `has_stopped` says that its seat has no guest
    running, and `run` is what the guest that runs there counts as (`Guest.run`).
    """
    if lend.until == "stop" and run is not None:
        has_stopped = has_stopped or lend.run not in (None, run)
        lend = replace(lend, run=run)
    if lend.until == "stop" and has_stopped:
        return None
    if lend.until == "time" and now_s >= (lend.ends_at_s or 0.0):
        return None
    if device is not None and is_same(lend, device):
        return replace(lend, id=device.id, serial=device.serial, gone_s=None)
    if lend.until != "unplug":
        return lend
    gone_s = None if device is not None else _waited(lend.gone_s, now_s)
    return None if gone_s is None else replace(lend, gone_s=gone_s)


def renew_released(released: Released, device: UsbDevice | None, now_s: float) -> Released | None:
    """Return the release as it goes on, None where its device was plugged in again.

    QEMU resets a device when it lets go of it, and some come back from that with another number:
    that is no plug, or nobody could ever take such a device back (virt-manager issue 357).
    """
    if device is None:
        gone_s = _waited(released.gone_s, now_s)
        return None if gone_s is None else replace(released, gone_s=gone_s)
    if not is_same(released, device):
        return None
    is_new = (device.bus, device.number) != (released.bus, released.number)
    since = released.since_s if released.gone_s is None else released.gone_s
    if is_new and now_s - since >= COMES_BACK_S:
        return None
    return replace(
        released,
        id=device.id,
        serial=device.serial,
        bus=device.bus,
        number=device.number,
        gone_s=None,
    )


def _waited(gone_s: float | None, now_s: float) -> float | None:
    """Return since when a device is gone, None where that is too long."""
    gone_s = now_s if gone_s is None else gone_s
    return None if now_s - gone_s >= COMES_BACK_S else gone_s
