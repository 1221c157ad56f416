"""Listening with a libvirt that comes and goes; udev's and inotify's events are the kernel's."""

import asyncio
import errno
import os
import sys
import threading
from types import SimpleNamespace

import pytest

from phyllome_seat.system import connection, listen
from phyllome_seat.system.guests import Libvirt
from phyllome_seat.system.limit import NoAnswerError
from phyllome_seat.system.listen import (
    Connected,
    Disconnected,
    FileEvent,
    GuestEvent,
    GuestFileEvent,
    Listening,
)
from phyllome_seat.system.udev_events import LOST, UdevEvents
from tests.system.fake_libvirt import FakeConnection, LibvirtError, fake_libvirt
from tests.usb_machine import Machine

pytest.importorskip("pyudev")


class Daemon:
    """libvirt's binding over a daemon that can go: it keeps what was registered, and calls it."""

    def __init__(self):
        self.is_there, self.is_listened_to = True, True
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
        if not self.is_listened_to:
            raise LibvirtError(1, "client socket is closed")
        self.heard[event] = call
        return event

    def go(self):
        self.is_there = False
        self.closed()


@pytest.fixture
def daemon(monkeypatch):
    daemon = Daemon()
    monkeypatch.setitem(sys.modules, "libvirt", daemon.module)
    monkeypatch.setattr(connection, "_loop", SimpleNamespace())  # no thread of libvirt's
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


def test_a_daemon_that_goes_while_its_events_are_asked_for_is_tried_again(daemon):
    async def run():
        async with Listening("fake:///") as listening:
            await next_of(listening, Connected)
            daemon.go()
            daemon.is_listened_to, daemon.is_there = False, True
            await next_of(listening, Disconnected)
            assert await listening.wait(0.2) == ()
            daemon.is_listened_to = True
            await next_of(listening, Connected)

    asyncio.run(run())


class Socket:
    """What pyudev's monitor does, in this order: an error it raises, or an event."""

    def __init__(self, *happens):
        self.happens = list(happens)
        self.own, self.other = os.pipe()

    def fileno(self):
        return self.own

    def poll(self, timeout):
        assert timeout == 0
        what = self.happens.pop(0) if self.happens else None
        if isinstance(what, OSError):
            raise what
        return what


def device(action):
    return SimpleNamespace(
        action=action,
        subsystem="usb",
        device_type="usb_device",
        device_path="/devices/1-2",
        device_node=None,
        properties={"SYNTH_UUID": "0"} if action == "change" else {},
    )


def test_an_overrun_between_poll_and_read_is_told_and_the_next_events_are_heard():
    events = UdevEvents("usb")
    events._monitor = Socket(device("add"), OSError(errno.ENOBUFS, "no room"), device("change"))
    heard = events.read()
    assert [event.action for event in heard] == ["add", LOST, "change"]
    assert [event.asked_for for event in heard] == [False, False, True]


def test_a_socket_of_no_more_use_ends_the_listening_and_is_not_polled_for_ever(daemon):
    async def run():
        async with Listening("fake:///") as listening:
            await next_of(listening, Connected)
            listening._udev._monitor = Socket(OSError(errno.EBADF, "gone"))
            listening._udev._take_error = lambda: False
            listening._read_udev()
            with pytest.raises(OSError, match="gone"):
                await listening.wait(1)

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


def test_a_connection_is_let_go_and_made_again_and_its_end_is_no_loss(daemon, tmp_path):
    async def run():
        async with Listening("fake:///", guest_folders=[str(tmp_path)]) as listening:
            first = (await next_of(listening, Connected)).libvirt
            assert listening.may_rest
            listening.ask()  # nothing to do
            listening.rest(listening._libvirt)
            daemon.closed()
            assert not listening.may_rest
            assert await listening.wait(0.1) == ()
            listening.ask()
            listening.ask()
            assert (await next_of(listening, Connected)).libvirt is not first
            assert await listening.wait(0.1) == ()

    asyncio.run(run())


def test_a_daemon_that_ended_while_it_was_let_go_is_tried_until_it_is_there(daemon, tmp_path):
    async def run():
        async with Listening("fake:///", guest_folders=[str(tmp_path)]) as listening:
            await next_of(listening, Connected)
            listening.rest(listening._libvirt)
            daemon.is_there = False
            listening.ask()
            await next_of(listening, Disconnected)
            daemon.is_there = True
            await next_of(listening, Connected)

    asyncio.run(run())


def test_what_libvirt_writes_of_a_guest_is_heard_and_nothing_else_in_its_folder(daemon, tmp_path):
    folder = tmp_path / "qemu"
    folder.mkdir()

    async def run():
        async with Listening("fake:///", guest_folders=[str(folder)]) as listening:
            await next_of(listening, Connected)
            for name in ("driver.pid", "left.log", "left.xml.new"):
                (folder / name).write_text("")
            assert await listening.wait(0.1) == ()
            (folder / "left.pid").write_text("1")
            (folder / "left.xml.new").rename(folder / "left.xml")
            heard = {await next_of(listening, GuestFileEvent)}
            heard |= set(await listening.wait(0.1))
            assert {GuestFileEvent(f"{folder}/left.{kind}") for kind in ("pid", "xml")} >= heard
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            while await listening.wait(0.1):
                pass
            assert not listening.may_rest

    asyncio.run(run())


def test_where_libvirt_writes_nowhere_that_is_known_it_is_not_let_go(daemon, tmp_path):
    async def run():
        for folders in ((), (str(tmp_path), f"{tmp_path}/none")):
            async with Listening("fake:///", guest_folders=folders) as listening:
                await next_of(listening, Connected)
                assert not listening.may_rest

    asyncio.run(run())


def test_only_the_connection_that_there_is_can_be_let_go(daemon, tmp_path):
    async def run():
        async with Listening("fake:///", guest_folders=[str(tmp_path)]) as listening:
            old = (await next_of(listening, Connected)).libvirt
            daemon.go()
            await next_of(listening, Disconnected)
            assert not listening.rest(None)
            daemon.is_there = True
            new = (await next_of(listening, Connected)).libvirt
            assert not listening.rest(old)
            listening.ask()
            assert await listening.wait(0.1) == ()
            assert listening.rest(new)

    asyncio.run(run())


def test_a_daemon_that_hangs_while_it_is_let_go_is_closed_when_it_goes_on(
    daemon, tmp_path, monkeypatch
):
    monkeypatch.setattr(listen, "Libvirt", lambda uri, **how: Libvirt(uri, limit_s=0.1, **how))
    go_on, closed, troubles = threading.Event(), threading.Event(), []

    async def run():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: troubles.append(what))
        async with Listening("fake:///", guest_folders=[str(tmp_path)]) as listening:
            libvirt = (await next_of(listening, Connected)).libvirt
            libvirt._connection.close = lambda: closed.set() or 0
            libvirt._callbacks[1:] = [lambda: go_on.wait(5)] * 3
            assert listening.rest(libvirt)
            await asyncio.sleep(0.3)
            assert not closed.is_set()
            go_on.set()
            assert await asyncio.to_thread(closed.wait, 5)

    asyncio.run(run())
    assert troubles == []


def test_a_connection_that_does_not_answer_is_closed_when_it_does(daemon):
    closed = threading.Event()

    async def run():
        async with Listening("fake:///") as listening:
            libvirt = (await next_of(listening, Connected)).libvirt
            libvirt._connection.close = lambda: closed.set() or 0
            listening.lost(libvirt, NoAnswerError("libvirt", "reading", 1.0))
            await next_of(listening, Connected)
            assert await asyncio.to_thread(closed.wait, 5)

    asyncio.run(run())


def test_the_folder_that_a_daemon_makes_when_it_is_first_asked_is_heard(daemon, tmp_path):
    folder, connect = tmp_path / "qemu", daemon.module.open

    def begin(uri):
        folder.mkdir()
        return connect(uri)

    daemon.module.open = begin

    async def run():
        async with Listening("fake:///", guest_folders=[str(folder)]) as listening:
            await next_of(listening, Connected)
            assert listening.may_rest

    asyncio.run(run())
