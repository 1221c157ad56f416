"""Take a PCI function from its driver, and give it back: by address, identity checked first.

The way there: ``driver_override``, unbind, ``drivers_probe``; the way back is the same with the
override cleared. Source: Documentation/ABI/testing/sysfs-bus-pci, ``driver_override``.
"""

from __future__ import annotations

import time
from contextlib import suppress

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.devices import BeforeBind, Pending
from phyllome_seat.model.errors import (
    ApplyError,
    HeldError,
    PendingError,
    ProgramError,
    ReadBackError,
)
from phyllome_seat.model.step import BindDriver, ForgetDriver, NoteDriver, RestoreDriver
from phyllome_seat.model.value import dataclass, replace
from phyllome_seat.system.holders import Node, find_holders, find_nodes, find_users
from phyllome_seat.system.numbers import read_number
from phyllome_seat.system.run import run
from phyllome_seat.system.state import State, read_pending
from phyllome_seat.system.sysfs import Sysfs

VFIO = "vfio-pci"
UNBIND_S = 10.0
_PROBE_S = 60.0  # a graphics driver may load firmware, and wait for a file that is not there
_MODULE_S = 60.0
_LOOK_AGAIN_S = 0.1


def check(step: BindDriver | RestoreDriver, sysfs: Sysfs) -> None:
    """Raise ApplyError where a step must not be begun; nothing is written.

    That is when the device or its driver is not what the plan was made for, and when somebody uses
    it (HeldError).
    """
    function = Function(sysfs, step.address)
    if isinstance(step, RestoreDriver):
        if function.is_a(step.id) and function.driver == VFIO != step.driver:
            _check_holders(function, step.name)
        return
    if not function.is_a(step.id):
        now = f"is now {function.id}" if function.id else "is not there"
        raise ApplyError(
            f"{step.address} {now}, not {step.id} ({step.name})",
            hint="`phyllome-seat scan` shows what is there; correct the seat file, then plan again",
        )
    if function.driver not in (step.was, step.driver):
        raise ApplyError(
            f"{step.address} ({step.name}) has driver {function.driver or 'none'} now, "
            f"{step.was or 'none'} when this was planned",
            hint="plan again",
        )
    if function.driver not in (None, step.driver):
        _check_holders(function, step.name)


def bind(step: BindDriver, sysfs: Sysfs, state: State, *, unbind_s: float = UNBIND_S) -> None:
    """Take a function from its driver for ``step.driver``; one that has it already is left.

    PendingError when the kernel has not unbound it after `unbind_s` seconds.
    """
    check(step, sysfs)
    function = Function(sysfs, step.address)
    _keep(step, function, state)
    _load_driver(function, step.driver, step.driver)
    _set_override(function, state, step.driver)
    if function.driver not in (None, step.driver):
        _unbind(function, state, unbind_s)
    if function.driver is None:
        _probe(function, state, step.driver)
    _read_back(function, "driver", step.driver, function.driver)


def restore(step: RestoreDriver, sysfs: Sysfs, state: State, *, unbind_s: float = UNBIND_S) -> None:
    """Give a function back to the driver and override it had; then forget what it had.

    A device that is gone, or another at its place, has nothing to be given back. PendingError when
    the kernel has not unbound it after `unbind_s` seconds.
    """
    check(step, sysfs)
    function = Function(sysfs, step.address)
    if function.is_a(step.id):
        _give_back(step, function, state, unbind_s)
    state.drop_before(step.address)


def note(step: NoteDriver, sysfs: Sysfs, state: State) -> None:
    """Note that what a function had before us is not known; a note that is there again stays."""
    if not Function(sysfs, step.address).is_a(step.id):
        raise ApplyError(f"{step.address} is no longer {step.id} ({step.name})", hint="plan again")
    kept = state.read_before(step.address)
    if kept is None or kept.id != step.id:
        state.write_before(BeforeBind(step.address, step.id, None, None, step.seat, known=False))


def forget(step: ForgetDriver, sysfs: Sysfs, state: State) -> None:
    """Drop the note of a function that is gone, not of one that is back."""
    if not Function(sysfs, step.address).is_a(step.id):
        state.drop_before(step.address)


def wait_pending(sysfs: Sysfs, timeout_s: float = UNBIND_S) -> None:
    """Return when no driver write is under way; PendingError when one is after `timeout_s`.

    A writer that was killed may have left a write that needs a moment yet: to read the machine
    before that has ended is to read a state that does not last.
    """
    end_s = time.monotonic() + timeout_s
    while pending := read_pending(sysfs):
        if time.monotonic() >= end_s:
            one = pending[0]
            raise PendingError(str(one.address), one.driver, one.pid, one.holders, one.doing)
        time.sleep(_LOOK_AGAIN_S)


@dataclass(frozen=True, slots=True)
class Function:
    """One PCI function as it is at this moment: every look at a property reads sysfs."""

    sysfs: Sysfs
    address: PciAddress

    @property
    def place(self) -> str:
        """Its folder."""
        return f"sys/bus/pci/devices/{self.address}"

    @property
    def id(self) -> PciId | None:
        """What is there, None when nothing is."""
        numbers = [
            read_number(self.sysfs.read(f"{self.place}/{name}"), 0)
            for name in ("vendor", "device", "subsystem_vendor", "subsystem_device")
        ]
        match numbers:
            case [int(vendor), int(device), int(subvendor), int(subdevice)]:
                return PciId(vendor, device, subvendor, subdevice)
            case [int(vendor), int(device), *_]:
                return PciId(vendor, device)
        return None

    def is_a(self, wanted: PciId) -> bool:
        """Return whether what is there is `wanted`."""
        return (found := self.id) is not None and wanted.matches(found)

    @property
    def driver(self) -> str | None:
        """Its driver. The link goes when an unbind begins, not when it ends: drivers/base/dd.c."""
        return self.sysfs.link(f"{self.place}/driver")

    @property
    def override(self) -> str | None:
        """The only driver that may have it; the kernel shows none as ``(null)``."""
        override = self.sysfs.read(f"{self.place}/driver_override")
        return None if override in ("", "(null)") else override


def _check_holders(function: Function, name: str) -> None:
    if holders := find_holders(function.sysfs, function.address):
        raise HeldError(str(function.address), name, holders)


def _keep(step: BindDriver, function: Function, state: State) -> None:
    """Keep what the function has, unless what it had before us is kept already."""
    kept = state.read_before(step.address)
    if kept is None or kept.id != step.id:  # kept for a device that was there before this one
        before = BeforeBind(step.address, step.id, function.driver, function.override, step.seat)
        state.write_before(before)


def _give_back(step: RestoreDriver, function: Function, state: State, unbind_s: float) -> None:
    if function.override in (VFIO, None):  # another one is its owner's, from since
        _set_override(function, state, step.override)
    if function.driver not in (VFIO, None, step.driver):
        return  # its owner gave it another driver since
    if function.driver == VFIO != step.driver:
        _unbind(function, state, unbind_s)
    if not step.known:
        _let_kernel_choose(function, state)
        return
    if function.driver is None and step.driver is not None:
        modalias = function.sysfs.read(f"{function.place}/modalias") or step.driver
        _load_driver(function, step.driver, modalias)
        if function.driver is None:  # loading a driver gives it every device it wants
            _probe(function, state, step.driver)
    _read_back(function, "driver", step.driver, function.driver)


def _let_kernel_choose(function: Function, state: State) -> None:
    """Give a function without a driver the one it gets at boot, if there is any for it."""
    modalias = function.sysfs.read(f"{function.place}/modalias")
    for load in (False, True):
        if function.driver is None and load and modalias:
            with suppress(ProgramError):  # no module is for this device
                run(("modprobe", "--", modalias), timeout_s=_MODULE_S)
        if function.driver is None:
            _probe(function, state, "any driver")


def _load_driver(function: Function, driver: str, module: str) -> None:
    """Load a driver that is not there: writing its name anywhere does not.

    ``vfio_iommu_type1`` comes with vfio-pci: MODULE_SOFTDEP in drivers/vfio/vfio_main.c.
    """
    if not function.sysfs.exists(f"sys/bus/pci/drivers/{driver}"):
        run(("modprobe", "--", module), timeout_s=_MODULE_S)


def _set_override(function: Function, state: State, override: str | None) -> None:
    if function.override == override:
        return
    path = f"{function.place}/driver_override"
    # A write of no byte at all does nothing; a line break clears it.
    _write(function, state, path, override or "\n", _Change("set override", override or "none"))
    _read_back(function, "driver override", override, function.override)


def _unbind(function: Function, state: State, unbind_s: float) -> None:
    driver = function.driver or "its driver"
    # Found now: a sound card's nodes leave sysfs before its driver begins to wait.
    nodes = find_nodes(function.sysfs, function.address)
    path = f"{function.place}/driver/unbind"
    change = _Change("unbind from", driver, unbind_s, nodes)
    words = _write(function, state, path, str(function.address), change)
    if words and function.driver == driver:
        raise ApplyError(f"{function.address}: {driver} does not let go: {words}")


def _probe(function: Function, state: State, driver: str) -> None:
    # Its words are not looked at: the write succeeds also where nothing was bound, and where it
    # does not, reading back says so.
    change = _Change("probe for", driver, timeout_s=_PROBE_S)
    _write(function, state, "sys/bus/pci/drivers_probe", str(function.address), change)


def _read_back(function: Function, what: str, wanted: str | None, found: str | None) -> None:
    if found != wanted:
        hint = f"`journalctl -k -g {function.address}` says why"
        what = f"{function.address}: its {what}"
        raise ReadBackError(what, wanted or "none", found or "none", hint=hint)


@dataclass(frozen=True, slots=True)
class _Change:
    """What a write is to do, and the nodes whose users may keep the kernel from it."""

    doing: str
    driver: str
    timeout_s: float = UNBIND_S
    nodes: tuple[Node, ...] = ()


def _write(function: Function, state: State, path: str, text: str, change: _Change) -> str:
    """Write one attribute in a program of its own and return the kernel's complaint, or "".

    What is under way is kept before it is begun. PendingError when the kernel does not finish.
    """
    try:
        child = function.sysfs.begin_write(path)
    except OSError as error:
        raise ProgramError("dd", f"cannot be run: {error.strerror}") from error
    pending = Pending(function.address, change.driver, child.pid, doing=change.doing)
    try:
        state.write_pending(pending)
    except OSError:
        child.abandon()
        raise
    words = child.finish(text, change.timeout_s)
    if words is None:
        pending = replace(pending, holders=find_users(function.sysfs, change.nodes))
        state.write_pending(pending)
        address, driver = str(pending.address), pending.driver
        raise PendingError(address, driver, pending.pid, pending.holders, pending.doing)
    state.drop_pending(function.address)
    return words
