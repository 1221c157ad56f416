"""What binding must do, and what of the kernel it stands on: the same on a fake and a real PC.

Imports nothing but the product, so that the file alone can be run inside a PC. Each scenario gets
a `Bench` and leaves the function as it found it.
"""

import time

from phyllome_seat.model.address import PciAddress
from phyllome_seat.model.devices import BeforeBind
from phyllome_seat.model.errors import PendingError
from phyllome_seat.model.step import BindDriver, RestoreDriver
from phyllome_seat.system.bind import Function, bind, restore, wait_pending
from phyllome_seat.system.process import start_time
from phyllome_seat.system.state import State, read_state
from phyllome_seat.system.sysfs import Sysfs

LONG_S = 60.0


class Bench:
    """One function with a driver that waits for its users, and a way to be such a user."""

    def __init__(self, sysfs: Sysfs, state: State, address: str, *, hold, let_go, holders=()):
        self.sysfs = sysfs
        self.state = state
        self.function = Function(sysfs, PciAddress.parse(address))
        self.was = self.function.driver
        self.hold = hold
        self.let_go = let_go
        self.holders = holders  # as it is to be named
        assert self.was is not None

    def bind_step(self) -> BindDriver:
        function = self.function
        where = (function.address, function.id, "a function")
        return BindDriver(*where, function.driver, function.override, "left")

    def restore_step(self, override: str | None = None) -> RestoreDriver:
        function = self.function
        return RestoreDriver(function.address, function.id, "a function", self.was, override)

    def write(self, path: str, text: str, timeout_s: float = LONG_S) -> str | None:
        return self.sysfs.begin_write(path).finish(text, timeout_s)

    def write_to(self, name: str, text: str) -> str | None:
        return self.write(f"{self.function.place}/{name}", text)

    def kept(self) -> tuple[BeforeBind, ...]:
        return read_state(self.sysfs)[0]


def scenario_there_and_back(bench: Bench) -> None:
    step = bench.bind_step()

    bind(step, bench.sysfs, bench.state)

    assert (bench.function.driver, bench.function.override) == ("vfio-pci", "vfio-pci")
    assert bench.kept() == (BeforeBind(step.address, step.id, bench.was, None, "left"),)

    restore(bench.restore_step(), bench.sysfs, bench.state)

    assert (bench.function.driver, bench.function.override) == (bench.was, None)
    assert bench.kept() == ()


def scenario_twice_is_once(bench: Bench) -> None:
    bind(bench.bind_step(), bench.sysfs, bench.state)
    kept = bench.kept()

    bind(bench.bind_step(), bench.sysfs, bench.state)

    assert bench.function.driver == "vfio-pci"
    assert bench.kept() == kept

    for _ in range(2):
        restore(bench.restore_step(), bench.sysfs, bench.state)
        assert (bench.function.driver, bench.function.override) == (bench.was, None)


def scenario_an_override_from_before_comes_back(bench: Bench) -> None:
    bench.write_to("driver_override", bench.was)

    bind(bench.bind_step(), bench.sysfs, bench.state)
    (kept,) = bench.kept()
    restore(bench.restore_step(kept.override), bench.sysfs, bench.state)

    assert kept.override == bench.was
    assert (bench.function.driver, bench.function.override) == (bench.was, bench.was)
    bench.write_to("driver_override", "\n")


def scenario_a_write_of_nothing_does_not_clear_an_override(bench: Bench) -> None:
    bench.write_to("driver_override", "vfio-pci")

    assert bench.write_to("driver_override", "") == ""
    assert bench.function.override == "vfio-pci"
    assert bench.write_to("driver_override", "\n") == ""
    assert bench.function.override is None
    assert bench.function.driver == bench.was  # none of it took the driver away


def scenario_probing_succeeds_where_nothing_is_bound(bench: Bench) -> None:
    address = str(bench.function.address)
    bench.write_to("driver_override", "no-such-driver")
    bench.write_to("driver/unbind", address)

    assert bench.write("sys/bus/pci/drivers_probe", address) == ""
    assert bench.function.driver is None

    bench.write_to("driver_override", "\n")
    assert bench.write("sys/bus/pci/drivers_probe", address) == ""
    assert bench.function.driver == bench.was
    assert bench.write("sys/bus/pci/drivers_probe", address) == ""
    assert bench.write("sys/bus/pci/drivers_probe", "0000:ff:1f.7") == "No such device"


def scenario_a_driver_unbinds_only_its_own(bench: Bench) -> None:
    address = str(bench.function.address)

    assert bench.write("sys/bus/pci/drivers/vfio-pci/unbind", address) == "No such device"
    assert bench.function.driver == bench.was


def scenario_the_link_goes_before_the_unbind_ends(bench: Bench) -> None:
    address = str(bench.function.address)
    bench.hold()
    unbind = bench.sysfs.begin_write(f"{bench.function.place}/driver/unbind")

    assert unbind.finish(address, 2.0) is None
    assert bench.function.driver is None
    # a probe does not wait for it, and does nothing; another unbind waits as well
    assert bench.write("sys/bus/pci/drivers_probe", address) == ""
    assert bench.function.driver is None
    another = bench.sysfs.begin_write(f"sys/bus/pci/drivers/{bench.was}/unbind")
    assert another.finish(address, 1.0) is None

    bench.let_go()
    _wait_for(lambda: not {start_time(bench.sysfs, w.pid) for w in (unbind, another)} - {None})
    assert bench.function.driver is None
    assert bench.write("sys/bus/pci/drivers_probe", address) == ""
    assert bench.function.driver == bench.was


def scenario_held_in_the_gap_is_pending_and_ends_right(bench: Bench) -> None:
    step = bench.bind_step()
    begin_write = bench.sysfs.begin_write

    def held_meanwhile(path):
        if path.endswith("/unbind"):
            bench.hold()
        return begin_write(path)

    bench.sysfs.begin_write = held_meanwhile  # after the look for holders, before the write
    begin_s = time.monotonic()
    error = _pending(lambda: bind(step, bench.sysfs, bench.state, unbind_s=2.0))
    del bench.sysfs.begin_write

    assert time.monotonic() - begin_s < LONG_S
    assert str(error).startswith(f"{step.address}: unbind from {bench.was} pending")
    (pending,) = read_state(bench.sysfs)[1]
    assert (pending.pid, pending.driver) == (error.pid, bench.was)
    assert pending.holders == error.holders == bench.holders
    assert len(bench.kept()) == 1

    again = _pending(lambda: wait_pending(bench.sysfs, 0.5))

    assert (again.pid, again.holders) == (error.pid, error.holders)

    bench.let_go()
    wait_pending(bench.sysfs, LONG_S)
    bind(bench.bind_step(), bench.sysfs, bench.state)

    assert bench.function.driver == "vfio-pci"
    assert [kept.driver for kept in bench.kept()] == [bench.was]
    assert read_state(bench.sysfs)[1] == ()
    restore(bench.restore_step(), bench.sysfs, bench.state)
    assert (bench.function.driver, bench.function.override) == (bench.was, None)


def _pending(work) -> PendingError:
    try:
        work()
    except PendingError as error:
        return error
    raise AssertionError("it was not pending")


def _wait_for(condition, timeout_s: float = LONG_S) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


SCENARIOS = {
    name.removeprefix("scenario_"): work
    for name, work in list(globals().items())
    if name.startswith("scenario_")
}
