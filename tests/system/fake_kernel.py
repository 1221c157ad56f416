"""A tree of files that reacts to writes as the kernel does, for driver binding.

It does what the sources named below say, no more; the same scenarios that run on it run on a real
PC (`tests/lab/test_lab_binding.py`). When the two disagree, this one is wrong.

Each write is done by a process of its own, as on a real machine (there by dd), so a write that the
kernel does not finish is really left behind, and goes on when its holder lets go.
"""

import contextlib
import errno
import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from phyllome_seat.system.child_write import ChildWrite
from phyllome_seat.system.sysfs import Sysfs

BUS = "sys/bus/pci"
_TEST_S = 60.0  # no test waits longer, and nothing of one is left after it


@dataclass(frozen=True)
class Function:
    """One function as it is plugged in: `driver` is the one whose id table has it."""

    address: str
    id: tuple[int, int, int, int]
    driver: str | None = None
    group: int | None = 1
    class_code: int = 0x030000


class FakeKernel(Sysfs):
    """A `Sysfs` whose files react. Processes are those of the machine the test runs on."""

    def __init__(self, root, functions=(), drivers=("vfio-pci",)):
        super().__init__(str(root))
        self.path = Path(root)
        for name in drivers:
            self.add_driver(name)
        if functions:
            (self.path / BUS / "devices").mkdir(parents=True, exist_ok=True)
            (self.path / "fake").mkdir()
            (self.path / BUS / "drivers_probe").touch()
        for function in functions:
            self.plug(function)

    # -- what the machine has ----------------------------------------------------------------------

    def add_driver(self, name):
        folder = self.path / BUS / "drivers" / name
        folder.mkdir(parents=True)
        (folder / "unbind").touch()

    def plug(self, function):
        folder = self.path / "sys/devices/pci0000:00" / function.address
        folder.mkdir(parents=True)
        names = ("vendor", "device", "subsystem_vendor", "subsystem_device")
        for name, number in zip(names, function.id, strict=True):
            (folder / name).write_text(f"0x{number:04x}\n")
        (folder / "class").write_text(f"0x{function.class_code:06x}\n")
        (folder / "driver_override").write_text("(null)\n")
        (folder / "modalias").write_text(f"pci:v{function.id[0]:08X}d{function.id[1]:08X}\n")
        (folder / "subsystem").symlink_to("../../../bus/pci")
        if function.group is not None:
            members = self.path / f"sys/kernel/iommu_groups/{function.group}/devices"
            members.mkdir(parents=True, exist_ok=True)
            (members / function.address).symlink_to(f"/sys/devices/pci0000:00/{function.address}")
            (folder / "iommu_group").symlink_to(f"../../../kernel/iommu_groups/{function.group}")
        link = self.path / BUS / "devices" / function.address
        link.symlink_to(f"../../../devices/pci0000:00/{function.address}")
        (self.path / "fake" / function.address).mkdir()
        if function.driver:
            self._fake(function.address, "wanted by").write_text(function.driver)
            self._link(function.address, function.driver)

    def unplug(self, address):
        (self.path / BUS / "devices" / address).unlink()
        (self.path / "sys/devices/pci0000:00" / address).rename(self.path / f"fake/gone-{address}")
        (self.path / "fake" / address).rename(self.path / f"fake/forgotten-{address}")

    def hold(self, address):
        """Somebody uses the function in a way that its driver waits for."""
        self._fake(address, "held").touch()

    def let_go(self, address):
        self._fake(address, "held").unlink()

    def claim(self, group):
        """A guest claims a group."""
        (self.path / f"fake/claimed-{group}").touch()

    def broken(self, address):
        """The function's driver will fail to probe it from now on."""
        self._fake(address, "broken").touch()

    def driver(self, address):
        return self.link(f"{BUS}/devices/{address}/driver")

    def override(self, address):
        return self.read(f"{BUS}/devices/{address}/driver_override")

    # -- how it reacts -----------------------------------------------------------------------------

    def read_bytes(self, path):
        return (Sysfs("/") if path.startswith("proc/") else super()).read_bytes(path)

    def begin_write(self, path):
        return FakeWrite(self, path)

    def react(self, path, text):
        """Take one write(2) of `text` to an attribute by its real path; return 0 or an errno."""
        *_, owner, name = path.split("/")
        if not text:
            return 0  # a write of no byte never gets to an attribute: write(2), vfs_write()
        if name == "driver_override":
            return self._override(owner, text)
        address = text.rstrip("\n")
        if not (self.path / BUS / "devices" / address).exists():
            return errno.ENODEV  # bus_find_device_by_name() finds none: drivers/base/bus.c
        if name == "drivers_probe":
            return self._attach(address)
        return self._unbind(address, owner)

    def _override(self, address, text):
        # A line break and what follows are cut off; what is empty then clears it:
        # driver_set_override(), drivers/base/driver.c.
        name = text.partition("\n")[0]
        file = self.path / BUS / "devices" / address / "driver_override"
        file.write_text(f"{name or '(null)'}\n")
        return 0

    def _unbind(self, address, driver):
        # unbind_store(), drivers/base/bus.c: another driver's device is no device.
        if self._bound(address) != driver:
            return errno.ENODEV
        with self._device_lock(address):
            if self._bound(address) is None:
                return 0
            # The links go first, then the driver is told, which may wait for its users; the
            # device has its driver until that is over: driver_sysfs_remove(), device_remove(),
            # device_unbind_cleanup() in __device_release_driver(), drivers/base/dd.c.
            (self.path / BUS / "devices" / address / "driver").unlink()
            (self.path / BUS / "drivers" / driver / address).unlink()
            end_s = time.monotonic() + _TEST_S
            while self._fake(address, "held").exists() and time.monotonic() < end_s:
                time.sleep(0.01)
            self._fake(address, "bound").unlink()
        return 0

    def _attach(self, address):
        # bus_rescan_devices_helper(), drivers/base/bus.c: nothing for a device that has a driver,
        # even one that is on its way out; device_attach(), dd.c: success when none wants it.
        if self._bound(address) is not None:
            return 0
        with self._device_lock(address):
            if self._bound(address) is None:
                driver = self._match(address)
                if driver and self._probes(address, driver):
                    self._link(address, driver)
        return 0

    def _bound(self, address):
        file = self._fake(address, "bound")
        return file.read_text() if file.exists() else None

    def _match(self, address):
        # pci_match_device(), drivers/pci/pci-driver.c: with an override only a driver of that
        # name; without one, by id table, and vfio-pci's is empty.
        override = self.override(address)
        wanted = self._fake(address, "wanted by")
        name = override if override != "(null)" else wanted.exists() and wanted.read_text()
        return name if name and (self.path / BUS / "drivers" / name).exists() else None

    def _probes(self, address, driver):
        # The error of a probe is logged, not returned: __device_attach_driver(), dd.c.
        group = self.link(f"{BUS}/devices/{address}/iommu_group")
        if driver == "vfio-pci":
            return group is not None  # -EINVAL without a group: vfio_device_set_group()
        if (self.path / f"fake/claimed-{group}").exists():
            return False  # -EBUSY: iommu_device_use_default_domain(), drivers/iommu/iommu.c
        return not self._fake(address, "broken").exists()

    def _link(self, address, driver):
        self._fake(address, "bound").write_text(driver)
        place = self.path / BUS / "drivers" / driver
        (place / address).symlink_to(f"../../../../devices/pci0000:00/{address}")
        folder = self.path / "sys/devices/pci0000:00" / address
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")

    @contextlib.contextmanager
    def _device_lock(self, address):
        fd = os.open(self._fake(address, "lock"), os.O_RDWR | os.O_CREAT)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(fd)

    def _fake(self, address, fact):
        return self.path / "fake" / address / fact


class FakeWrite(ChildWrite):
    """A write whose process is this kernel, not dd."""

    def __init__(self, kernel, path):
        self._kernel = kernel
        super().__init__(path)

    def _start(self, stdin, stderr):
        pid = os.fork()
        if pid:
            return pid
        os.setsid()
        os.close(self._text)  # else standard input would never end
        number = errno.EIO
        try:
            attribute = self._kernel.resolve(self.path)  # opened first, as dd does
            text = os.read(stdin, 4096).decode()
            number = self._kernel.react(attribute, text) if attribute else errno.ENOENT
            if number:
                os.write(stderr, f"dd: error writing {self.path!r}: {os.strerror(number)}".encode())
        finally:
            os._exit(bool(number))
