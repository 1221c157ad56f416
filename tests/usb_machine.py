"""A PC with USB sockets and two guests, as libvirt and QEMU have them: a model, in milliseconds.

What it holds was seen in a PC with libvirt 11.3 and QEMU 10.0: an unplug changes no running guest,
whose entry keeps its number and its port; a device gets a new number with each plug; an entry is
refused under an alias that is there, for a number that any guest has, and where no port is free;
letting go of a device resets it, and some devices get a new number from that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from phyllome_seat.model.address import UsbId, UsbPort
from phyllome_seat.model.devices import BlockDevice, Guest, Host, Mount, UsbDevice
from phyllome_seat.model.domain_xml import NAMESPACE
from phyllome_seat.model.guest import parse_guest, parse_saved
from phyllome_seat.model.guest_saved import renumber_saved
from phyllome_seat.model.step import AttachUsb, DetachUsb, RenumberSaved, UsbStep
from tests.model.hosts import HOST_USB, two_seat_pc

KEYBOARD, STICK, HUB = UsbId(0x0627, 1), UsbId(0x0781, 0x5581), UsbId(0x05E3, 0x0610)
_INTERFACES = {STICK: "080650", HUB: "090000"}


class RefusedError(Exception):
    """What libvirt refuses, with its code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Plug:
    """What is plugged in somewhere; ``renumbers`` says that a reset gives it a new number."""

    id: UsbId
    number: int
    serial: str | None = None
    is_mounted: bool = False
    renumbers: bool = False


@dataclass(frozen=True)
class Entry:
    """A USB device in a running guest's XML."""

    alias: str
    number: int
    id: UsbId


@dataclass
class Domain:
    name: str
    ports: int = 15
    state: str = "shut off"
    entries: list[Entry] = field(default_factory=list)
    has_mark: bool = True
    run: int = 0
    saved: str | None = None  # XML of its saved state

    @property
    def uuid(self) -> str:
        return f"00000000-0000-0000-0000-{len(self.name):012}"

    def xml(self, *, live: bool) -> str:
        mark = (
            f"<metadata><phyllome:seat xmlns:phyllome='{NAMESPACE}' name='{self.name}'/></metadata>"
        )
        number = f" id='{self.run}'" if live else ""
        usb = "".join(_entry_xml(n, entry) for n, entry in enumerate(self.entries, 1) if live)
        return (
            f"<domain type='kvm'{number}><name>{self.name}</name>"
            f"<uuid>{self.uuid}</uuid>"
            f"{mark if self.has_mark else ''}<devices>"
            f"<controller type='usb' index='0' model='qemu-xhci' ports='{self.ports}'/>{usb}"
            "</devices></domain>"
        )


def _entry_xml(port: int, entry: Entry) -> str:
    return (
        "<hostdev mode='subsystem' type='usb' managed='no'><source>"
        f"<vendor id='0x{entry.id.vendor:04x}'/><product id='0x{entry.id.product:04x}'/>"
        f"<address bus='1' device='{entry.number}'/></source>"
        f"<alias name='{entry.alias}'/><address type='usb' bus='0' port='{port}'/></hostdev>"
    )


class Machine:
    """The PC. Sockets are the ports of the host's USB 2 controller, by their chain: "7", "4.1"."""

    def __init__(self, *names: str, ports: int = 15) -> None:
        self.domains = {name: Domain(name, ports) for name in names}
        self.plugs: dict[str, Plug] = {}
        self.wrongs: list[str] = []  # what no reconciler may ever ask for
        self.now_s = 1000.0
        self._number = 10

    # -- what hands do -----------------------------------------------------------------------------

    def plug(self, chain: str, what: UsbId, **changes: object) -> None:
        self.plugs[chain] = Plug(what, self._next(), **changes)  # type: ignore[arg-type]

    def unplug(self, chain: str) -> None:
        for place in [p for p in self.plugs if p == chain or p.startswith(chain + ".")]:
            del self.plugs[place]

    def swap(self, one: str, other: str) -> None:
        """Two devices change sockets."""
        self.plugs[one], self.plugs[other] = self.plugs[other], self.plugs[one]
        for chain in (one, other):
            self.plugs[chain].number = self._next()

    def change_id(self, chain: str, what: UsbId) -> None:
        """A device goes and comes back as another: firmware, or a mode."""
        plug = self.plugs[chain]
        self.plugs[chain] = replace(plug, id=what, number=self._next(), is_mounted=False)

    def start(self, name: str, state: str = "running") -> None:
        domain = self.domains[name]
        domain.run += domain.state == "shut off"
        domain.state = state

    def save(self, name: str) -> None:
        self.domains[name].saved = self.domains[name].xml(live=True)
        self.stop(name)

    def stop(self, name: str) -> None:
        domain = self.domains[name]
        domain.state = "shut off"
        self._let_go(domain.entries)
        domain.entries = []

    def _next(self) -> int:
        used = {plug.number for plug in self.plugs.values()}
        while True:
            self._number = self._number % 127 + 1  # they wrap: choose_devnum(), usb/core/hub.c
            if self._number > 10 and self._number not in used:
                return self._number

    # -- what libvirt does -------------------------------------------------------------------------

    def attach(self, name: str, alias: str, number: int, what: UsbId) -> None:
        domain = self.domains[name]
        chain = next((c for c, p in self.plugs.items() if p.number == number), None)
        held = {entry.number for d in self.domains.values() for entry in d.entries}
        if domain.state == "shut off":
            raise RefusedError(55, "domain is not running")
        if chain is None or self.plugs[chain].id != what:
            raise RefusedError(1, f"Did not find USB device bus:1 device:{number}")
        if number in held:
            raise RefusedError(55, f"USB device 001:{number:03} is in use by driver QEMU")
        if any(entry.alias == alias for entry in domain.entries):
            raise RefusedError(67, f"non unique alias detected: {alias}")
        if len(domain.entries) >= domain.ports:
            raise RefusedError(1, "No free USB ports")
        plug = self.plugs[chain]
        if plug.id == HUB:
            self.wrongs.append(f"the hub at {chain} went to {name}")
        if plug.is_mounted:
            self.wrongs.append(f"the mounted stick at {chain} went to {name}")
        domain.entries.append(Entry(alias, number, what))

    def detach(self, name: str, alias: str) -> None:
        domain = self.domains[name]
        gone = [entry for entry in domain.entries if entry.alias == alias]
        if not gone:
            raise RefusedError(1, f"no device found with alias {alias}")
        domain.entries.remove(gone[0])
        self._let_go(gone)

    def _let_go(self, entries: list[Entry]) -> None:
        for plug in self.plugs.values():
            if plug.renumbers and plug.number in {entry.number for entry in entries}:
                plug.number = self._next()

    def do(self, step: UsbStep) -> None:
        """Do a step of `reconcile`."""
        match step:
            case AttachUsb():
                self.attach(step.guest, step.alias, step.device.number, step.device.id)
            case DetachUsb():
                self.detach(step.guest, step.alias)
            case RenumberSaved():
                domain = self.domains[step.guest]
                assert domain.saved is not None
                domain.saved = renumber_saved(domain.saved, step.devices)

    # -- what a scan sees --------------------------------------------------------------------------

    def guests(self) -> tuple[Guest, ...]:
        return tuple(map(_guest, self.domains.values()))

    def host(self) -> Host:
        base = two_seat_pc()
        own = tuple(device for device in base.usb if device.sysname == "1-1")
        usb = tuple(self.device(chain) for chain in sorted(self.plugs))
        mounted = [chain for chain, plug in self.plugs.items() if plug.is_mounted]
        return replace(
            base,
            usb=(*own, *usb),
            inputs=tuple(node for node in base.inputs if node.node == "event3"),
            blocks=(
                *base.blocks,
                *(BlockDevice(f"sd-{c}", f"9:{c}", usb=_port(c)) for c in mounted),
            ),
            mounts=(*base.mounts, *(Mount(f"sd-{c}", f"/media/{c}") for c in mounted)),
            guests=self.guests(),
        )

    def device(self, chain: str) -> UsbDevice:
        plug = self.plugs[chain]
        return UsbDevice(
            f"1-{chain}",
            _port(chain),
            plug.id,
            bus=1,
            number=plug.number,
            device_class=9 if plug.id == HUB else 0,
            interfaces=(_INTERFACES.get(plug.id, "030101"),),
            serial=plug.serial,
            product="Thing",
        )

    def has(self, name: str) -> set[str]:
        """Return the sockets whose devices a guest has."""
        numbers = {entry.number for entry in self.domains[name].entries}
        return {chain for chain, plug in self.plugs.items() if plug.number in numbers}


def _guest(domain: Domain) -> Guest:
    runs = domain.state != "shut off"
    live = domain.xml(live=True) if runs else None
    guest = parse_guest(domain.xml(live=False), state=domain.state, live_xml=live)
    is_saved = domain.saved is not None and not runs
    return replace(guest, saved=parse_saved(domain.saved)) if is_saved else guest


def _port(chain: str) -> UsbPort:
    return UsbPort.parse(f"{HOST_USB}/usb2/{chain}")
