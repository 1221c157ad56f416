"""What udev says has come, gone or changed: the only importer of pyudev.

Its events come when udev is done with a device: its node is there, with its permissions, and its
entry in the database. They say *that* something happened; what is there now, a scan says.

When more comes than the receive buffer holds, the kernel drops it and leaves an error on the
socket, which pyudev never reads: from then on each of its polls raises an OSError without a number
(pyudev issue 194). Read, the error is gone, and the same socket has the next events: netlink(7).
Where the buffer overruns after the poll and before libudev reads, libudev has taken the error, and
pyudev raises it with its number, ENOBUFS.
"""

from __future__ import annotations

import errno
import os
import socket

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

    ``path`` is below ``/sys``, with a slash at its start; ``kind`` is DEVTYPE, ``node`` DEVNAME,
    ``product`` is PRODUCT, of USB ``46d/c52b/2403``; ``seat`` is our rules' ``PHYLLOME_SEAT``;
    ``number`` is DEVNUM, a USB device's on its bus; ``type`` is TYPE, its class ``9/0/1``.
    ``asked_for`` says that nothing happened: somebody wrote to the device's ``uevent`` file, as
    `udevadm trigger` does (SYNTH_UUID, kobject_synth_uevent in lib/kobject_uevent.c).
    """

    action: str
    subsystem: str = ""
    kind: str | None = None
    path: str = ""
    node: str | None = None
    product: str | None = None
    seat: str | None = None
    number: str | None = None
    type: str | None = None
    asked_for: bool = False


class UdevEvents:
    """The events of some subsystems from now on, for a ``with``; of all without names."""

    def __init__(
        self, *subsystems: str, kind: str | None = None, buffer_bytes: int | None = None
    ) -> None:
        """Begin to listen, to one `kind` (DEVTYPE) of device if any. NoUdevError without pyudev.

        `buffer_bytes` is what the kernel keeps for us, without it libudev's own choice: 128 MiB for
        root (systemd 257). Below the system's default it takes no right; more takes CAP_NET_ADMIN.
        """
        try:
            import pyudev
        except ImportError as error:
            raise NoUdevError(
                "without pyudev nothing that is plugged in can be noticed",
                hint="install python3-pyudev (python-pyudev on Arch)",
            ) from error
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="udev")
        for subsystem in subsystems:
            self._monitor.filter_by(subsystem, kind)
        self._monitor.start()
        if buffer_bytes is not None:
            with self._socket() as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)

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
        """Return the events that are there, in their order, without waiting.

        Raises OSError where the socket is of no more use.
        """
        events = []
        while True:
            try:
                device = self._monitor.poll(timeout=0)
            except OSError as error:
                if error.errno != errno.ENOBUFS and not self._take_error():
                    raise
                events.append(UdevEvent(LOST))
                continue
            if device is None:
                return tuple(events)
            properties = device.properties
            events.append(
                UdevEvent(
                    device.action or "",
                    device.subsystem or "",
                    device.device_type,
                    device.device_path,
                    device.device_node,
                    properties.get("PRODUCT"),
                    properties.get("PHYLLOME_SEAT"),
                    properties.get("DEVNUM"),
                    properties.get("TYPE"),
                    properties.get("SYNTH_UUID") is not None,
                )
            )

    def _take_error(self) -> bool:
        """Return whether the socket had an error, and free it of that."""
        with self._socket() as own:
            return own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def _socket(self) -> socket.socket:
        """Return the monitor's socket under a descriptor of our own, to be closed."""
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, fileno=os.dup(self.fileno()))
