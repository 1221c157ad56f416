"""What udev says has come, gone or changed: the only importer of pyudev.

Its events come when udev is done with a device: its node is there, with its permissions, and its
entry in the database. They say *that* something happened; what is there now, a scan says.
"""

from __future__ import annotations

import errno

from phyllome_seat.model.errors import PhyllomeSeatError
from phyllome_seat.model.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

LOST = "lost"  # the action of no device: events were lost, everything may have changed


class NoUdevError(PhyllomeSeatError):
    """The Python binding of udev is not installed."""


@dataclass(frozen=True, slots=True)
class UdevEvent:
    """One event. ``action``: add, remove, change, bind, unbind, move, or LOST.

    ``path`` is below ``/sys``, with a slash at its start; ``kind`` is DEVTYPE, ``node`` DEVNAME.
    """

    action: str
    subsystem: str = ""
    kind: str | None = None
    path: str = ""
    node: str | None = None


class UdevEvents:
    """The events of some subsystems from now on, for a ``with``; of all without names."""

    def __init__(self, *subsystems: str) -> None:
        """Begin to listen. NoUdevError without pyudev."""
        try:
            import pyudev
        except ImportError as error:
            raise NoUdevError(
                "without pyudev nothing that is plugged in can be noticed",
                hint="install python3-pyudev (python-pyudev on Arch)",
            ) from error
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="udev")
        for subsystem in subsystems:
            self._monitor.filter_by(subsystem)
        self._monitor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget the monitor: its descriptor closes with it."""
        del self._monitor

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with an event."""
        descriptor: int = self._monitor.fileno()
        return descriptor

    def read(self) -> tuple[UdevEvent, ...]:
        """Return the events that are there, in their order, without waiting."""
        events = []
        while True:
            try:
                device = self._monitor.poll(timeout=0)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # the kernel had more than its buffer: netlink(7)
                    raise
                events.append(UdevEvent(LOST))
                continue
            if device is None:
                return tuple(events)
            events.append(
                UdevEvent(
                    device.action or "",
                    device.subsystem or "",
                    device.device_type,
                    device.device_path,
                    device.device_node,
                )
            )
