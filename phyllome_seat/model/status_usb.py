"""Which USB device of a seat is where, since when, and why: `reconcile` asked, nothing done."""

from __future__ import annotations

from phyllome_seat.model.assign_usb import assign_usb
from phyllome_seat.model.devices import Host, UsbDevice
from phyllome_seat.model.guest_usb import is_entry_of, parse_alias
from phyllome_seat.model.lend import Lending
from phyllome_seat.model.owner import Owner
from phyllome_seat.model.reconcile import Reconciled, reconcile
from phyllome_seat.model.seat import Wish
from phyllome_seat.model.step import AttachUsb


def find_usb_status(
    wish: Wish, host: Host, lending: Lending, now_s: float
) -> dict[str, list[dict[str, object]]]:
    """Return by seat, "" for none, what is plugged in and is the seat's or lent to it, no hubs.

    *shape*: ``port``, ``name``, ``id``, ``serial``, ``where`` ("guest left", "host", "not known"),
    ``for_s`` (how long it is in the guest, None where it is not, or not by us), ``why``.
    """
    assignment, _ = assign_usb(wish, host)
    result = reconcile(assignment, host, lending, now_s)
    found: dict[str, list[dict[str, object]]] = {}
    for device, owner in result.owners:
        if not device.is_hub:
            found.setdefault(owner.seat, []).append(_entry(device, owner, host, result, now_s))
    for kept in result.kept:
        if kept.kind == "ask":
            asked = _named(kept.device) | {"where": "host", "for_s": None, "why": kept.why}
            found.setdefault("", []).append(asked)
    return found


def _named(device: UsbDevice) -> dict[str, object]:
    return {
        "port": str(device.port or device.sysname),
        "name": device.name,
        "id": str(device.id),
        "serial": device.serial,
    }


def _entry(
    device: UsbDevice, owner: Owner, host: Host, result: Reconciled, now_s: float
) -> dict[str, object]:
    for guest in host.guests_known:
        for hostdev in guest.hostdevs if guest.is_running else ():
            if hostdev.live and is_entry_of(hostdev, device):
                said = parse_alias(hostdev.alias)
                for_s = max(int(now_s) - said.since_s, 0) if said else None
                inside = {"where": f"guest {guest.name}", "for_s": for_s, "why": owner.rule}
                return _named(device) | inside
    where = "host" if host.guests is not None else "not known"
    return _named(device) | {"where": where, "for_s": None, "why": _why_out(device, result)}


def _why_out(device: UsbDevice, result: Reconciled) -> str:
    """Return why a device is not in its seat's guest."""
    for kept in result.kept:
        if kept.device == device:
            return kept.why
    if any(isinstance(step, AttachUsb) and step.device == device for step in result.steps):
        return "is to be attached: the service does, or `phyllome-seat start`"
    return "its guest is off"


def render_usb_status(entry: dict[str, object]) -> str:
    """Return one entry as a line for a person."""
    serial = f" serial {entry['serial']}" if entry["serial"] else ""
    what = f"{entry['port']}  {entry['name']} ({entry['id']}{serial})"
    since = "" if entry["for_s"] is None else f" for {_duration(entry['for_s'])}"
    where = "with the host" if entry["where"] == "host" else f"in {entry['where']}"
    if entry["where"] == "not known":
        where = "nobody knows where: libvirt was not asked"
    return f"{what}: {where}{since}: {entry['why']}"


def _duration(seconds: object) -> str:
    assert isinstance(seconds, int)
    for unit, size_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size_s:
            return f"{seconds // size_s} {unit}"
    return f"{seconds} s"
