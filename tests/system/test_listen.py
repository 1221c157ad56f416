"""Listening with a libvirt that comes and goes; udev's and inotify's events are the kernel's."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from phyllome_seat.system import guests, listen
from phyllome_seat.system.listen import Connected, Disconnected, FileEvent, GuestEvent, Listening
from tests.system.fake_libvirt import FakeConnection, LibvirtError, fake_libvirt
from tests.usb_machine import Machine

pytest.importorskip("pyudev")


class Daemon:
    """libvirt's binding over a daemon that can go: it keeps what was registered, and calls it."""

    def __init__(self):
        self.is_there = True
        self.closed, self.heard = None, {}
        self.module = fake_libvirt(Machine("left"))
        self.module.open = self.module.openReadOnly = self.connect
        self.module.VIR_DOMAIN_EVENT_ID_LIFECYCLE = 0
        self.module.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED = 19
        self.module.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED = 15

    def connect(self, _):
        if not self.is_there:
            raise LibvirtError(38, "no such file")
        connection = FakeConnection(Machine("left"))
        connection.registerCloseCallback = self.on_close
        connection.unregisterCloseCallback = lambda: None
        connection.domainEventRegisterAny = self.on_event
        connection.domainEventDeregisterAny = lambda _: None
        return connection

    def on_close(self, call, _):
        self.closed = call

    def on_event(self, _domain, event, call, _opaque):
        self.heard[event] = call
        return event

    def go(self):
        self.is_there = False
        self.closed()


@pytest.fixture
def daemon(monkeypatch):
    daemon = Daemon()
    monkeypatch.setitem(sys.modules, "libvirt", daemon.module)
    monkeypatch.setattr(guests, "_loop", SimpleNamespace())  # no thread of libvirt's
    monkeypatch.setattr(listen, "_BACK_OFF_S", (0.02,))
    return daemon


async def next_of(listening, kind, limit_s=5.0):
    async with asyncio.timeout(limit_s):
        while True:
            for heard in await listening.wait(None):
                if isinstance(heard, kind):
                    return heard


def test_a_daemon_that_goes_is_told_once_and_connected_again_when_it_is_there(daemon):
    async def run():
        async with Listening("fake:///") as listening:
            await next_of(listening, Connected)
            daemon.go()
            await next_of(listening, Disconnected)
            assert await listening.wait(0.2) == ()  # it tries, and says nothing
            daemon.is_there = True
            await next_of(listening, Connected)

    asyncio.run(run())


def test_a_guests_events_and_a_files_are_heard(daemon, tmp_path):
    path = tmp_path / "seats.yaml"
    guest = SimpleNamespace(name=lambda: "left", UUIDString=lambda: "u1")

    async def run():
        async with Listening("fake:///", [str(path)]) as listening:
            await next_of(listening, Connected)
            daemon.heard[0](None, guest, 2, 0, None)
            assert await next_of(listening, GuestEvent) == GuestEvent("u1", 2)
            daemon.heard[15](None, guest, "ua-x", None)
            assert await next_of(listening, GuestEvent) == GuestEvent("u1")
            path.write_text("version: 1\n")
            assert await next_of(listening, FileEvent) == FileEvent(str(path))

    asyncio.run(run())


def test_what_is_heard_after_the_end_disturbs_nobody(daemon):
    async def run():
        async with Listening("fake:///"):
            pass

    asyncio.run(run())
    daemon.go()
