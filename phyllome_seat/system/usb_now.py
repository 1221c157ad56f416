"""The Host, kept up to date event by event: an event has its own device read again, no other."""

from __future__ import annotations

from phyllome_seat.model.restless import Coming, come, go
from phyllome_seat.model.value import replace
from phyllome_seat.system.scan import scan
from phyllome_seat.system.scan_input import Known, read_inputs
from phyllome_seat.system.scan_network import read_networks
from phyllome_seat.system.scan_storage import read_blocks
from phyllome_seat.system.scan_usb import read_usb, read_usb_device, with_usb_device
from phyllome_seat.system.tcp import read_tcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from phyllome_seat.model.devices import Host, UsbDevice
    from phyllome_seat.system.sysfs import Sysfs
    from phyllome_seat.system.udev_events import UdevEvent

# After `add` the kernel chooses a configuration; `bind` says that the interfaces are there
# (usb_generic_driver_probe). A device that no driver takes has no `bind`.
BIND_S = 3.0
# bInterfaceClass (usb.org/defined-class-codes): a network card may say CDC, wireless, miscellaneous
# or "ask the vendor".
_NETWORK = {"02", "0a", "e0", "ef", "ff"}


def is_root_hub(name: str) -> bool:
    """Return whether the kernel calls a controller's own hub so: ``usb3``."""
    return name.startswith("usb")


class UsbNow:
    """What is plugged in, as far as it may be taken now. Times are of one clock, in seconds."""

    def __init__(self, sysfs: Sysfs) -> None:
        self.sysfs = sysfs
        self._host: Host | None = None
        self._is_old = True
        self._inputs: Known = {}
        self.new: frozenset[str] = frozenset()  # what was read one by one the last time
        self._changed: set[str] = set()
        self._gone: set[str] = set()  # what was plugged there has gone, and nothing has come since
        self._arriving: dict[str, float] = {}
        self._coming: dict[str, Coming] = {}

    @property
    def known(self) -> Host | None:
        """The Host as it was read last, None before that."""
        return self._host

    def forget(self) -> None:
        """Read everything the next time."""
        self._is_old = True

    def note(self, event: UdevEvent, now_s: float) -> str | None:
        """Take note of a device's event; return its name where it was given up just now.

        ``change`` and ``unbind`` are no news, nor is what somebody asked the kernel to send.
        """
        name = event.path.rpartition("/")[2]
        if event.asked_for or event.action not in ("add", "bind", "remove"):
            return None
        if is_root_hub(name):  # a controller came or went
            self.forget()
            return None
        self._changed.add(name)
        before = self._coming.get(name, Coming())
        if event.action == "remove":
            self._arriving.pop(name, None)
            self._gone.add(name)
            self._coming[name] = go(before, now_s)
        elif event.action == "bind":
            self._arriving.pop(name, None)
            self._gone.discard(name)
        elif name in self._arriving or name in self._gone or not self._has(name, event.number):
            self._gone.discard(name)
            self._arriving[name] = now_s + BIND_S
            self._coming[name] = come(before, now_s)
            return name if self._coming[name].given_up > before.given_up else None
        return None

    def _has(self, name: str, number: str | None) -> bool:
        """Return whether what came was seen already: udev writes the number as ``004``."""
        if self._host is None or number is None or not number.isdigit():
            return False
        return any(d.sysname == name and d.number == int(number) for d in self._host.usb)

    def coming(self, name: str) -> Coming:
        """Return how what has this name has come and gone."""
        return self._coming.get(name, Coming())

    def read(self, now_s: float) -> bool:
        """Read what has changed; return whether that may change what a seat's places are.

        Where a device has gone and another is there already, udev has yet to say that it came, and
        it is waited for: its number may be that of the one that went.
        """
        changed, self._changed = self._changed, set()
        host = scan(self.sysfs) if self._host is None or self._is_old else self._host
        is_whole, self._is_old = host is not self._host, False
        usb, has_hub = host.usb, is_whole
        self.new = frozenset(() if is_whole else changed)
        for name in self.new:
            device = read_usb_device(self.sysfs, name)
            before = next((d for d in usb if d.sysname == name and not d.remembered), None)
            has_hub |= any(d is not None and d.is_hub for d in (before, device))
            usb = with_usb_device(usb, name, device)
        self._host = replace(host, usb=usb)
        if has_hub and not is_whole:
            remembered = tuple(device for device in usb if device.remembered)
            usb, sockets = read_usb(self.sysfs)
            self._host = replace(self._host, usb=(*usb, *remembered), sockets=sockets)
        for name in self._gone & {d.sysname for d in self._host.usb if not d.remembered}:
            self._arriving.setdefault(name, now_s + BIND_S)
        return has_hub

    def host(self, now_s: float) -> tuple[Host, float | None]:
        """Return the Host with what may be taken now, and when time alone changes that.

        What still comes, and what was given up, is left out: as if it were not plugged in.
        """
        assert self._host is not None
        waits = {d.sysname: self._wait(d.sysname, now_s) for d in self._host.usb}
        usb = tuple(d for d in self._host.usb if d.remembered or not waits[d.sysname])
        return replace(self._host, usb=usb), min((w for w in waits.values() if w), default=None)

    def with_needs(self, host: Host, devices: Iterable[UsbDevice]) -> Host:
        """Return the host with what decides whether these may leave it read again."""
        assert self._host is not None
        remembered = [device for device in host.inputs if device.remembered]
        inputs = (*read_inputs(self.sysfs, self._host.usb, self._inputs), *remembered)
        host = replace(host, inputs=inputs)
        devices = tuple(devices)
        kinds = {kind[:2] for device in devices for kind in device.interfaces}
        if any(device.may_store for device in devices):
            blocks, mounts = read_blocks(self.sysfs)
            host = replace(host, blocks=blocks, mounts=mounts)
        if kinds & _NETWORK:
            networks, uses = read_networks(self.sysfs, read_tcp(self.sysfs))
            host = replace(host, networks=networks, network_uses=uses)
        return host

    def _wait(self, name: str, now_s: float) -> float:
        until_s = max(self._arriving.get(name, 0.0), self.coming(name).until_s)
        return until_s if until_s > now_s else 0.0
