"""What is measured of the watch inside the PC: a program of one file, put there and run.

``python watch_in_pc.py WHAT``; each prints one JSON line for a thing that happened, or sleeps:

- ``watch``: a `Watch` that follows the seat file, and says when a guest has a device and how long
  libvirt's own call for it took.
- ``added``: says when libvirt says that a guest has a device (VIR_DOMAIN_EVENT_ID_DEVICE_ADDED).
- ``receive``: what pyudev needs: receive each event of a USB device, and read its properties.
- ``bare``: a Python with libvirt and pyudev imported.

Times are seconds of CLOCK_MONOTONIC, which `udevadm monitor` prints too.
"""

from __future__ import annotations

import json
import sys
import time


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def watch() -> None:
    import asyncio

    import libvirt

    from phyllome_seat import Watch
    from phyllome_seat.model.watch_event import Attached, Watching

    calls: list[float] = []
    begun: list[float] = []
    attach = libvirt.virDomain.attachDeviceFlags

    def timed(*arguments: object) -> object:
        began = time.monotonic()
        begun.append(began)
        try:
            return attach(*arguments)
        finally:
            calls.append(time.monotonic() - began)

    libvirt.virDomain.attachDeviceFlags = timed

    async def run() -> None:
        async for event in Watch():
            if isinstance(event, Attached):
                say(attached=time.monotonic(), began=begun[0], call_s=sum(calls), calls=len(calls))
                calls.clear()
                begun.clear()
            elif isinstance(event, Watching):
                say(watching=True)

    asyncio.run(run())


def added() -> None:
    import libvirt

    libvirt.virEventRegisterDefaultImpl()
    connection = libvirt.open("qemu:///system")
    event = libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED
    connection.domainEventRegisterAny(None, event, lambda *_: say(added=time.monotonic()), None)
    say(watching=True)
    while True:
        libvirt.virEventRunDefaultImpl()


def receive() -> None:
    import pyudev

    monitor = pyudev.Monitor.from_netlink(pyudev.Context())
    monitor.filter_by("usb", "usb_device")
    monitor.start()
    say(watching=True)
    for device in iter(monitor.poll, None):
        dict(device.properties)


def bare() -> None:
    import libvirt  # noqa: F401
    import pyudev  # noqa: F401

    say(watching=True)
    time.sleep(1e6)


if __name__ == "__main__":
    {"watch": watch, "added": added, "receive": receive, "bare": bare}[sys.argv[1]]()
