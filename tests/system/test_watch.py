"""`Watch` on a tree of files and a libvirt that is a model: what is heard is given by hand."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from phyllome_seat.cli.watch import _say_alive
from phyllome_seat.model.domain_xml import DomainXmlError
from phyllome_seat.model.guest import parse_saved
from phyllome_seat.model.lend import Lend, Lending
from phyllome_seat.model.seat_file import render_wish
from phyllome_seat.model.step import DetachUsb
from phyllome_seat.model.value import replace
from phyllome_seat.model.watch_event import (
    Attached,
    Detached,
    GivenBack,
    GuestStarted,
    GuestStopped,
    LendEnded,
    LibvirtBack,
    LibvirtLost,
    Refused,
    Renumbered,
    Restless,
    SeatFileRead,
    Stayed,
    Trouble,
    UdevOverrun,
    Watching,
)
from phyllome_seat.system import guests_now, hands, watch
from phyllome_seat.system.connection import GuestError
from phyllome_seat.system.guests import Libvirt
from phyllome_seat.system.listen import (
    Connected,
    Disconnected,
    FileEvent,
    GuestEvent,
    GuestFileEvent,
)
from phyllome_seat.system.state import LENDS
from phyllome_seat.system.udev_events import LOST, UdevEvent
from phyllome_seat.system.watch import Watch
from tests.system.fake_libvirt import FakeDomain, LibvirtError
from tests.system.test_give_back import kernel
from tests.system.test_lending import BUS, PAD, WISH, Desk, machine  # noqa: F401 - a fixture
from tests.usb_machine import KEYBOARD, STICK, RefusedError

STARTED, STOPPED = 2, 5
DGRAM = socket.SOCK_DGRAM


def ended(*_):
    raise LibvirtError(1, "internal error: client socket is closed")


class Given:
    """Stands where `Listening` does: what is heard is what the test says."""

    def __init__(self):
        self.heard, self.awake = [], asyncio.Event()
        self.may_rest, self.rests = False, 0

    async def __aenter__(self):
        self.connect()
        return self

    async def __aexit__(self, *_):
        pass

    def connect(self):
        self.hear(Connected(Libvirt("fake:///").__enter__()))

    def hear(self, *heard):
        self.heard += heard
        self.awake.set()

    async def wait(self, timeout_s):
        try:
            async with asyncio.timeout(timeout_s):
                await self.awake.wait()
        except TimeoutError:
            pass
        self.awake.clear()
        heard, self.heard = tuple(self.heard), []
        return heard

    def wake(self):
        self.awake.set()

    def lost(self, libvirt, why):
        self.hear(Disconnected(str(why)))

    def rest(self, _):
        self.may_rest = False
        self.rests += 1
        return True

    def ask(self):
        if self.rests and not self.may_rest:
            self.may_rest = True
            self.connect()


class Watched:
    """A desk that is watched: hands plug, and what was told is asked."""

    def __init__(self, desk):
        self.desk, self.machine = desk, desk.machine
        self.given, self.told = Given(), []
        self.file = desk.root / "seats.yaml"
        self.file.write_text(render_wish(WISH))
        self.watch = Watch(
            str(self.file), uri="fake:///", root=str(desk.root), listen=lambda: self.given
        )

    async def __aenter__(self):
        self.desk.lay_out()
        self.task = asyncio.create_task(self.follow())
        await self.until(lambda: self.has(Watching))
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.wait([self.task])

    async def follow(self):
        async for event in self.watch:
            self.told.append(event)

    def has(self, kind):
        return any(isinstance(event, kind) for event in self.told)

    async def until(self, is_so, limit_s=5.0):
        end = time.monotonic() + limit_s
        while not is_so():
            assert time.monotonic() < end, list(map(str, self.told))
            if self.task.done():
                self.task.result()
            await asyncio.sleep(0.005)

    async def still(self, s=0.1):
        await asyncio.sleep(s)

    def event(self, action, chain, **more):
        self.given.hear(UdevEvent(action, "usb", "usb_device", f"/devices/{BUS}/1-{chain}", **more))

    def plug(self, chain, what, **changes):
        self.machine.plug(chain, what, **changes)
        self.desk.lay_out()
        number = f"{self.machine.plugs[chain].number:03}"
        self.event("add", chain, number=number)
        self.event("bind", chain, number=number)

    def unplug(self, chain):
        self.machine.unplug(chain)
        self.desk.lay_out()
        self.event("remove", chain)

    def lifecycle(self, name, number):
        self.given.hear(GuestEvent(self.machine.domains[name].uuid, number))


def watching(story):
    """Run a story, an async function of the watched desk."""

    def test(tmp_path, machine):  # noqa: F811 - the fixture
        async def run():
            async with Watched(Desk(tmp_path, machine)) as watched:
                await story(watched)
            assert machine.wrongs == []

        asyncio.run(run())

    test.__name__ = story.__name__
    return test


def resting(story):
    """Run a story that begins when libvirt is let go."""

    async def rested(watched):
        with pytest.MonkeyPatch.context() as monkeypatch:
            await let_rest(watched, monkeypatch)
            await story(watched)

    rested.__name__ = story.__name__
    return watching(rested)


@watching
async def test_what_is_plugged_in_before_is_attached_before_it_says_that_it_watches(watched):
    kinds = [type(event) for event in watched.told]
    assert watched.machine.has("left") == {"7"}
    assert kinds.index(Attached) < kinds.index(Watching)


@watching
async def test_what_was_done_is_told_before_the_next_look(watched):
    look = watched.watch._look

    def look_slowly(*what):
        if watched.machine.has("right"):
            time.sleep(1.0)
        return look(*what)

    watched.watch._look = look_slowly
    watched.told.clear()
    watched.plug("8", KEYBOARD)
    await watched.until(lambda: watched.machine.has("right") == {"8"})
    await watched.until(lambda: watched.has(Attached), limit_s=0.8)


@watching
async def test_systemd_is_not_told_that_it_lives_while_a_comparison_does_not_end(watched):
    look, answers = watched.watch._look, threading.Event()

    def look_for_long(*what):
        answers.wait(5.0)
        return look(*what)

    where = str(watched.desk.root / "notify")
    with pytest.MonkeyPatch.context() as monkeypatch, socket.socket(socket.AF_UNIX, DGRAM) as hears:
        hears.bind(where)
        hears.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", where)
        monkeypatch.setattr(watch, "_STUCK_S", 0.1)
        monkeypatch.setattr(watched.watch, "_look", look_for_long)
        watched.unplug("7")
        await watched.until(lambda: watched.watch.is_stuck)
        alive = asyncio.create_task(_say_alive(watched.watch, 0.01))
        await watched.still()
        with pytest.raises(BlockingIOError):
            hears.recv(100)
        answers.set()
        said = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(hears, 100), 5.0)
        alive.cancel()
    assert said == b"WATCHDOG=1"


@watching
async def test_a_replug_takes_the_stale_entry_out_and_puts_the_new_device_in(watched):
    watched.unplug("7")
    await watched.until(lambda: not watched.machine.domains["left"].entries)
    watched.plug("7", KEYBOARD)
    await watched.until(lambda: watched.machine.has("left") == {"7"})
    assert len(watched.machine.domains["left"].entries) == 1


@watching
async def test_a_device_is_not_taken_before_udev_and_the_kernel_are_done_with_it(watched):
    watched.machine.plug("8", KEYBOARD)
    watched.desk.lay_out()
    watched.event("add", "8")
    watched.event("remove", "7.1")  # something else of a seat: all is compared
    await watched.still()
    assert watched.machine.has("right") == set()
    watched.event("bind", "8")
    await watched.until(lambda: watched.machine.has("right") == {"8"})


@watching
async def test_a_device_that_no_driver_takes_is_taken_after_a_while(watched):
    watched.machine.plug("8", KEYBOARD)
    watched.desk.lay_out()
    watched.event("add", "8")
    await watched.until(lambda: watched.machine.has("right") == {"8"})


@watching
async def test_what_is_there_already_when_another_has_gone_is_waited_for_like_any_other(watched):
    watched.machine.unplug("7")
    watched.machine.plug("7", KEYBOARD)
    watched.desk.lay_out()
    watched.event("remove", "7")
    await watched.until(lambda: not watched.machine.domains["left"].entries)
    await watched.still()
    assert watched.machine.has("left") == set()
    watched.event("add", "7", number=f"{watched.machine.plugs['7'].number:03}")
    await watched.still()
    assert watched.machine.has("left") == set()
    watched.event("bind", "7")
    await watched.until(lambda: watched.machine.has("left") == {"7"})


@watching
async def test_a_replug_that_gets_the_same_number_is_attached_anew(watched):
    number = watched.machine.plugs["7"].number
    watched.machine.unplug("7")
    watched.machine.plug("7", KEYBOARD)
    watched.machine.plugs["7"].number = number
    watched.desk.lay_out()
    watched.told.clear()
    for action in ("remove", "add", "bind"):
        watched.event(action, "7", number=f"{number:03}")
        await watched.still(0.05)
    await watched.until(lambda: watched.has(Attached))
    assert watched.has(Detached)
    assert watched.machine.has("left") == {"7"}


@watching
async def test_a_reload_while_it_looks_disturbs_nothing(watched):
    read_guest = Libvirt.read_guest

    def read_slowly(self, uuid, **how):
        time.sleep(0.2)
        return read_guest(self, uuid, **how)

    Libvirt.read_guest = read_slowly
    try:
        watched.lifecycle("left", STARTED)
        watched.plug("8", KEYBOARD)
        await watched.still(0.05)
        watched.watch.reread()
        await watched.until(lambda: watched.machine.has("right") == {"8"})
    finally:
        Libvirt.read_guest = read_guest


@watching
async def test_what_was_done_while_it_compared_is_done_and_told_once(watched):
    read_guest, attach = Libvirt.read_guest, watched.machine.attach

    def read_slowly(self, uuid, **how):
        time.sleep(0.3)
        return read_guest(self, uuid, **how)

    def attach_slowly(*what):
        time.sleep(0.1)
        attach(*what)

    watched.machine.attach, Libvirt.read_guest = attach_slowly, read_slowly
    try:
        watched.told.clear()
        watched.plug("8", KEYBOARD)
        await watched.still(0.05)
        watched.lifecycle("left", STARTED)  # compared with guest right as it was
        await watched.until(lambda: watched.machine.has("right") == {"8"})
        await watched.still(0.8)
        assert sum(isinstance(event, Attached) for event in watched.told) == 1
    finally:
        Libvirt.read_guest = read_guest


@watching
async def test_a_guest_that_cannot_be_read_delays_no_other(watched):
    read_guest, left = Libvirt.read_guest, watched.machine.domains["left"].uuid
    answers = threading.Event()

    def hang(self, uuid, **how):
        if uuid == left:
            answers.wait()
        return read_guest(self, uuid, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guests_now, "_READ_S", 0.1)
        patch.setattr(Libvirt, "read_guest", hang)
        watched.lifecycle("left", STARTED)
        watched.unplug("7")
        watched.plug("8", KEYBOARD)
        await watched.until(lambda: watched.machine.has("right") == {"8"})
        watched.plug("7", KEYBOARD)
        await watched.still()
        assert not watched.has(GuestStopped)
        answers.set()
        await watched.until(lambda: watched.machine.has("left") == {"7"})


@watching
async def test_a_guest_whose_late_answer_is_an_error_is_read_again(watched):
    read_guest, left = Libvirt.read_guest, watched.machine.domains["left"].uuid
    answers, failed = threading.Event(), []

    def fail_late(self, uuid, **how):
        if uuid == left and not failed:
            answers.wait()
            failed.append(uuid)
            raise GuestError("left", "cannot acquire state change lock")
        return read_guest(self, uuid, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guests_now, "_READ_S", 0.1)
        patch.setattr(Libvirt, "read_guest", fail_late)
        watched.machine.stop("left")
        watched.lifecycle("left", STOPPED)
        await watched.still(0.3)
        answers.set()
        await watched.until(lambda: watched.has(GuestStopped))


@watching
async def test_a_connection_that_ended_without_a_word_is_made_anew(watched):
    dead = watched.watch._guests.libvirt._connection
    dead.isAlive = lambda: 0
    dead.lookupByUUIDString = dead.listAllDomains = ended
    watched.lifecycle("left", STARTED)
    await watched.until(lambda: watched.has(LibvirtLost))
    assert "client socket is closed" in str(next(e for e in watched.told if "libvirt" in str(e)))


@watching
async def test_a_guests_own_connection_that_ended_is_made_anew_for_the_next_try(watched):
    for hand in watched.watch._hands.connections.values():
        hand._connection.isAlive = lambda: 0
        for domain in hand._domains.values():
            domain.XMLDesc = ended
    watched.unplug("7")
    watched.plug("7", KEYBOARD)
    await watched.until(lambda: watched.has(Refused))
    await watched.until(lambda: watched.machine.has("left") == {"7"})


@watching
async def test_what_is_in_no_seats_place_has_nothing_compared(watched):
    before = list(watched.told)
    watched.machine.plug("9.3", PAD)
    watched.desk.lay_out()
    watched.watch._look = None  # a comparison would fail aloud
    watched.event("add", "9.3", product="45e/28e/100")
    watched.event("bind", "9.3", product="45e/28e/100")
    watched.event("change", "7")
    await watched.still()
    assert not watched.task.done() and watched.told == before


@watching
async def test_udev_triggered_anew_takes_nothing_from_anyone(watched):
    number = watched.machine.plugs["7"].number
    for _ in range(20):
        for action in ("remove", "add", "bind"):
            watched.event(action, "7", number=f"{number:03}", asked_for=True)
    watched.given.hear(UdevEvent(LOST))  # as in a storm that is too much
    watched.event("add", "7", number=f"{number:03}")
    await watched.still()
    assert watched.machine.has("left") == {"7"}
    assert not watched.has(Detached) and not watched.has(Restless)


@watching
async def test_a_guest_that_starts_gets_what_is_there_and_one_that_stops_is_told(watched):
    watched.machine.stop("left")
    watched.lifecycle("left", STOPPED)
    await watched.until(lambda: watched.has(GuestStopped))
    watched.told.clear()
    watched.machine.start("left")
    watched.lifecycle("left", STARTED)
    await watched.until(lambda: watched.has(Attached))
    assert watched.has(GuestStarted)
    assert watched.machine.has("left") == {"7"}


@watching
async def test_a_guest_that_was_started_again_before_it_was_read_is_told_to_have_stopped(watched):
    device = watched.machine.device("7")
    with watched.desk.state.lock("the test"):
        lend = Lend(device.port, device.id, device.serial, "right")
        watched.desk.state.write_lending(Lending((lend,)))
    watched.given.hear(FileEvent(f"{watched.desk.state.root}/{LENDS}"))
    await watched.until(lambda: watched.machine.has("right") == {"7"})
    watched.told.clear()
    watched.machine.stop("right")
    watched.machine.start("right")
    watched.lifecycle("right", STARTED)
    await watched.until(lambda: watched.machine.has("left") == {"7"})
    assert watched.has(LendEnded)
    said = [
        type(event) for event in watched.told if isinstance(event, (GuestStopped, GuestStarted))
    ]
    assert said == [GuestStopped, GuestStarted]


@watching
async def test_what_a_killed_guest_has_left_without_a_driver_is_the_hosts_again(watched):
    with kernel(watched.desk.root) as asked:
        watched.machine.stop("left")
        watched.lifecycle("left", STOPPED)
        await watched.until(lambda: watched.has(GivenBack))
    assert asked == ["1-7:1.0"]
    told = [str(event) for event in watched.told if isinstance(event, GivenBack)]
    assert "usb2/7" in told[0] and "guest left left it without a driver" in told[0]
    assert len(told) == 1


@watching
async def test_what_a_guest_got_as_it_was_killed_is_the_hosts_again(watched):
    real = FakeDomain.attachDeviceFlags

    def die_of_it(self, xml, flags):
        real(self, xml, flags)
        self._machine.stop(self._domain.name)

    watched.unplug("7")
    await watched.until(lambda: not watched.machine.domains["left"].entries)
    watched.machine.plug("7", KEYBOARD)
    watched.desk.lay_out()
    with kernel(watched.desk.root) as asked, pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeDomain, "attachDeviceFlags", die_of_it)
        number = f"{watched.machine.plugs['7'].number:03}"
        watched.event("add", "7", number=number)
        watched.event("bind", "7", number=number)
        await watched.until(lambda: watched.machine.domains["left"].state == "shut off")
        watched.lifecycle("left", STOPPED)
        await watched.until(lambda: watched.has(GivenBack))
    assert "1-7:1.0" in asked


def test_what_a_guest_left_that_was_killed_while_nobody_watched_is_the_hosts_again(
    tmp_path,
    machine,  # noqa: F811 - the fixture
):
    async def run():
        desk = Desk(tmp_path, machine)
        async with Watched(desk):
            assert machine.has("left") == {"7"}
        machine.stop("left")
        desk.lay_out()
        again = Watched(desk)
        with kernel(tmp_path) as asked, pytest.MonkeyPatch.context() as patch:
            patch.setattr(desk, "lay_out", lambda: None)  # the kernel is below it
            async with again:
                await again.until(lambda: again.has(GivenBack))
        assert asked == ["1-7:1.0"]

    asyncio.run(run())


@pytest.mark.parametrize("kind", ("8/6/80", "255/6/80"))
def test_a_reader_whose_card_was_mounted_while_its_guest_was_off_stays(
    tmp_path,
    machine,  # noqa: F811 - the fixture
    kind,
):
    async def run():
        machine.stop("left")
        machine.unplug("7")
        machine.plug("7", STICK)
        desk = Desk(tmp_path, machine, stick=kind)
        async with Watched(desk) as watched:
            machine.plugs["7"].is_mounted = True
            desk.lay_out()
            machine.start("left")
            watched.lifecycle("left", STARTED)
            await watched.until(lambda: watched.has(Stayed) or watched.has(Refused))
            assert machine.has("left") == set()
        assert machine.wrongs == []

    asyncio.run(run())


@watching
async def test_what_another_seat_is_to_have_of_a_killed_guest_is_not_given_to_the_host(watched):
    watched.machine.start("right")
    watched.lifecycle("right", STARTED)
    with kernel(watched.desk.root) as asked:
        device = next(d for d in watched.watch._usb.known.usb if d.sysname == "1-7")
        with watched.desk.state.lock("the test"):
            lend = Lend(device.port, device.id, device.serial, "right")
            watched.desk.state.write_lending(Lending((lend,)))
        watched.machine.stop("left")
        watched.lifecycle("left", STOPPED)
        await watched.until(lambda: watched.machine.has("right") == {"7"})
        await watched.still()
    assert asked == []


@watching
async def test_a_saved_guest_is_told_what_was_plugged_in_again(watched):
    watched.machine.save("left")
    watched.lifecycle("left", STOPPED)
    await watched.until(lambda: watched.has(GuestStopped))
    watched.unplug("7")
    watched.plug("7", KEYBOARD)
    await watched.until(lambda: watched.has(Renumbered))

    (had,) = parse_saved(watched.machine.domains["left"].saved)
    assert had.usb_number == watched.machine.plugs["7"].number
    watched.told.clear()
    watched.event("bind", "7")
    await watched.still()
    assert not watched.has(Renumbered)


@watching
async def test_a_lost_event_costs_nothing_after_an_overrun(watched):
    watched.machine.unplug("7")
    watched.machine.plug("8", KEYBOARD)
    watched.desk.lay_out()
    watched.given.hear(UdevEvent(LOST))
    await watched.until(lambda: watched.machine.has("right") == {"8"})
    await watched.until(lambda: not watched.machine.domains["left"].entries)
    assert watched.has(UdevOverrun)


@watching
async def test_what_happened_while_libvirt_was_gone_is_done_when_it_is_back(watched):
    watched.given.hear(Disconnected("its daemon went"))
    await watched.until(lambda: watched.has(LibvirtLost))
    watched.machine.swap("7", "9")
    watched.machine.plugs["7"].id = KEYBOARD
    watched.desk.lay_out()
    watched.event("remove", "7")
    watched.event("add", "7")
    watched.event("bind", "7")
    await watched.still()
    watched.given.connect()
    await watched.until(lambda: watched.machine.has("left") == {"7"})
    assert watched.has(LibvirtBack)
    assert len(watched.machine.domains["left"].entries) == 1


@watching
async def test_a_new_seat_file_holds_at_once_and_a_broken_one_never(watched):
    watched.file.write_text("version: 1\nseats: [")
    watched.given.hear(FileEvent(str(watched.file)))
    await watched.until(lambda: watched.has(Trouble))
    assert watched.machine.has("left") == {"7"}
    text = render_wish(WISH).replace('"7"', '"9"')
    assert text != render_wish(WISH)
    watched.file.write_text(text)
    watched.given.hear(FileEvent(str(watched.file)))
    await watched.until(lambda: watched.machine.has("left") == {"9"})
    assert watched.has(SeatFileRead)


@watching
async def test_a_new_seat_file_in_which_two_seats_name_one_port_takes_nothing_from_either(watched):
    left, right = WISH.seats
    tied = replace(WISH, seats=(left, replace(right, usb=(*right.usb, *left.usb))))
    watched.told.clear()
    watched.file.write_text(render_wish(tied))
    watched.given.hear(FileEvent(str(watched.file)))
    await watched.until(lambda: watched.has(Trouble))

    await watched.still()
    assert watched.machine.has("left") == {"7"}
    assert not watched.has(SeatFileRead) and not watched.has(Detached)
    (trouble,) = (str(event) for event in watched.told if isinstance(event, Trouble))
    assert "of seat right is another seat's too" in trouble and "still holds" in trouble


@watching
async def test_a_stick_that_is_mounted_while_a_step_before_it_drags_on_stays(watched):
    pc, do_usb = watched.machine, Libvirt.do_usb

    def drag(self, step, *known, **how):
        if isinstance(step, DetachUsb):
            pc.plugs["8"].is_mounted = True
            watched.desk.lay_out()
            time.sleep(0.4)
        return do_usb(self, step, *known, **how)

    with watched.desk.state.lock("the test"):
        pc.plug("8", STICK)
        watched.desk.lay_out()
        device = pc.device("8")
        lend = Lend(device.port, device.id, device.serial, "left")
        watched.desk.state.write_lending(Lending((lend,)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Libvirt, "do_usb", drag)
        pc.unplug("7")
        watched.desk.lay_out()
        watched.event("remove", "7")
        watched.event("bind", "8")
        await watched.until(lambda: watched.has(Detached))
        await watched.until(lambda: watched.has(Stayed))
    assert pc.has("left") == set()
    assert pc.wrongs == []


@watching
async def test_a_lend_until_stop_goes_on_while_its_guest_does_not_answer(watched):
    device = watched.machine.device("7")
    with watched.desk.state.lock("the test"):
        lend = Lend(device.port, device.id, device.serial, "right")
        watched.desk.state.write_lending(Lending((lend,)))
    watched.given.hear(FileEvent(f"{watched.desk.state.root}/{LENDS}"))
    await watched.until(lambda: watched.machine.has("right") == {"7"})

    read_guest, right = Libvirt.read_guest, watched.machine.domains["right"].uuid
    answers = threading.Event()

    def hang(self, uuid, **how):
        if uuid == right:
            answers.wait()
        return read_guest(self, uuid, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guests_now, "_READ_S", 0.1)
        patch.setattr(Libvirt, "read_guest", hang)
        watched.told.clear()
        watched.watch.reread()
        await watched.still(0.5)
        watched.watch._guests._told.clear()  # as after a start of the service
        watched.watch.reread()
        await watched.still(0.5)
        assert not watched.has(LendEnded)
        answers.set()
        await watched.still(0.3)
    assert watched.machine.has("right") == {"7"}
    assert not watched.has(LendEnded) and not watched.has(Detached)


@watching
async def test_a_guest_that_cannot_be_read_at_all_keeps_nothing_from_the_others(watched):
    read_guest, right = Libvirt.read_guest, watched.machine.domains["right"].uuid
    asked = []

    def fail(self, uuid, **how):
        if uuid == right:
            asked.append(uuid)
            raise DomainXmlError("no domain at all")
        return read_guest(self, uuid, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guests_now, "_AGAIN_S", 0.3)
        patch.setattr(Libvirt, "read_guest", fail)
        watched.told.clear()
        watched.watch.reread()
        watched.unplug("7")
        await watched.until(lambda: not watched.machine.domains["left"].entries)
        watched.plug("7", KEYBOARD)
        await watched.until(lambda: watched.machine.has("left") == {"7"})
        await watched.until(lambda: len(asked) > 2)
    said = [str(event) for event in watched.told if isinstance(event, Trouble)]
    assert len(said) == 1 and "no domain at all" in said[0]

    watched.lifecycle("right", STARTED)
    watched.plug("8", KEYBOARD)
    await watched.until(lambda: watched.machine.has("right") == {"8"})


@watching
async def test_a_lend_by_the_command_is_carried_out_and_ends_in_time(watched):
    state = watched.desk.state
    device = watched.machine.device("9")
    now = time.time()
    with state.lock("test", 1.0):
        state.write_lending(
            Lending((Lend(device.port, device.id, "P1", "right", "time", now + 0.6, now),))
        )
    watched.given.hear(FileEvent(f"{watched.desk.state.root}/{LENDS}"))
    await watched.until(lambda: watched.machine.has("right") == {"9"})
    await watched.until(lambda: watched.has(Detached))
    assert watched.machine.has("right") == set()


def test_a_refused_device_is_tried_again_and_then_given_up(tmp_path, machine, monkeypatch):  # noqa: F811
    monkeypatch.setattr(hands, "_RETRIES_S", (0.05, 0.05))
    attach, tries = machine.attach, []

    def refuse(name, *rest):
        tries.append(name)
        if name == "right":
            raise RefusedError(1, "the guest said no")
        attach(name, *rest)

    machine.attach = refuse
    machine.plug("8", STICK)

    async def run():
        async with Watched(Desk(tmp_path, machine)) as watched:
            await watched.until(lambda: [e for e in watched.told if getattr(e, "why", "")][2:])
            refusals = [event for event in watched.told if isinstance(event, Refused)]
            assert [event.again_s for event in refusals] == [0.05, 0.05, None]
            assert "the guest said no" in str(refusals[-1])
            assert machine.has("left") == {"7"}  # the rest goes on
            count = len(tries)
            await watched.still(0.3)
            assert len(tries) == count
            machine.attach = attach
            watched.lifecycle("right", STARTED)
            await watched.until(lambda: machine.has("right") == {"8"})

    asyncio.run(run())


def test_what_goes_while_it_is_attached_holds_up_no_other(tmp_path, machine, monkeypatch):  # noqa: F811
    monkeypatch.setattr("phyllome_seat.system.guests_usb._RETRIES_S", (20.0, 20.0))

    async def run():
        async with Watched(Desk(tmp_path, machine)) as watched:
            attach, tries = machine.attach, []

            def attach_late(name, *rest):
                if not tries:
                    watched.machine.unplug("8")
                    watched.desk.lay_out()
                tries.append(name)
                attach(name, *rest)

            machine.attach = attach_late
            watched.plug("8", STICK)
            await watched.until(lambda: watched.has(Refused))
            watched.event("remove", "8")
            watched.plug("8", STICK)
            await watched.until(lambda: machine.has("right") == {"8"})
            assert len(tries) == 2

    asyncio.run(run())


def test_a_state_that_cannot_be_read_is_said_and_what_is_plugged_in_meanwhile_is_not_lost(
    tmp_path,
    machine,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr(watch, "_TROUBLE_S", 0.2)

    async def run():
        desk = Desk(tmp_path, machine)
        path = tmp_path / LENDS
        path.parent.mkdir(parents=True)
        path.write_text("{")
        async with Watched(desk) as watched:
            await watched.until(lambda: watched.has(Trouble))
            watched.plug("8", KEYBOARD)
            await watched.still(0.05)
            assert machine.has("right") == set()
            path.unlink()
            await watched.until(lambda: machine.has("right") == {"8"})

    asyncio.run(run())


def test_a_guest_whose_step_hangs_is_not_read_before_that_ends(tmp_path, machine, monkeypatch):  # noqa: F811
    import threading

    attach, read_guest, go_on = machine.attach, Libvirt.read_guest, threading.Event()
    right = machine.domains["right"].uuid

    def hang(name, *rest):
        if name == "right":
            go_on.wait(5)
        attach(name, *rest)

    def read_or_hang(self, uuid, **how):
        if uuid == right:
            go_on.wait(5)
        return read_guest(self, uuid, **how)

    async def run():
        async with Watched(Desk(tmp_path, machine)) as watched:
            machine.attach = hang
            monkeypatch.setattr(Libvirt, "read_guest", read_or_hang)
            watched.plug("8", KEYBOARD)
            await watched.still()
            watched.lifecycle("right", STARTED)
            watched.unplug("7")
            watched.plug("7", KEYBOARD)
            await watched.until(lambda: machine.has("left") == {"7"}, limit_s=3.0)
            go_on.set()
            await watched.until(lambda: machine.has("right") == {"8"})

    asyncio.run(run())


def test_the_event_of_an_attach_begins_no_comparison_beside_it(tmp_path, machine, monkeypatch):  # noqa: F811
    attach, go_on, looks = machine.attach, threading.Event(), []
    right = machine.domains["right"].uuid
    look = watch.Watch._look

    def hang(*step):
        go_on.wait(5)
        attach(*step)

    def look_and_count(self):
        looks.append(self)
        return look(self)

    async def run():
        async with Watched(Desk(tmp_path, machine)) as watched:
            machine.attach = hang
            watched.plug("8", KEYBOARD)
            await watched.until(lambda: watched.watch._hands.busy)
            monkeypatch.setattr(watch.Watch, "_look", look_and_count)
            watched.given.hear(GuestEvent(right))
            await watched.still()
            assert looks == []
            go_on.set()
            await watched.until(lambda: machine.has("right") == {"8"} and looks)
            machine.detach("right", machine.domains["right"].entries[0].alias)  # somebody else's
            watched.given.hear(GuestEvent(right))
            await watched.until(lambda: machine.has("right") == {"8"})

    asyncio.run(run())


def test_a_guest_that_does_not_answer_is_not_asked_for_the_rest_of_its_steps(
    tmp_path,
    machine,  # noqa: F811
    monkeypatch,
):
    from phyllome_seat.system.limit import NoAnswerError

    monkeypatch.setattr(hands, "_RETRIES_S", (0.3, 0.3))
    do_usb, asked = Libvirt.do_usb, []

    def hang(_, step, *_args, **_how):
        asked.append(step)
        raise NoAnswerError("libvirt", "attaching", 30.0)

    async def run():
        async with Watched(Desk(tmp_path, machine)) as watched:
            monkeypatch.setattr(Libvirt, "do_usb", hang)
            watched.unplug("7")
            watched.plug("7", KEYBOARD)
            await watched.until(lambda: watched.has(Refused))
            await watched.still()
            assert len({step.uuid for step in asked}) == len(asked) == 1
            assert sum(isinstance(event, Refused) for event in watched.told) == 2
            monkeypatch.setattr(Libvirt, "do_usb", do_usb)
            await watched.until(lambda: machine.has("left") == {"7"})

    asyncio.run(run())


def test_what_happens_while_apply_has_the_lock_is_done_after_it(tmp_path, machine, monkeypatch):  # noqa: F811
    monkeypatch.setattr(watch, "_LOCK_S", 0.05)
    monkeypatch.setattr(watch, "_LOCKED_S", 0.05)

    async def run():
        async with Watched(Desk(tmp_path, machine)) as watched:
            with watched.desk.state.lock("phyllome-seat apply", 1.0):
                machine.stop("left")
                watched.lifecycle("left", STOPPED)
                await watched.still(0.05)
                machine.start("left")
                watched.lifecycle("left", STARTED)
                watched.plug("8", KEYBOARD)
                await watched.still(0.3)
                assert machine.has("left") == machine.has("right") == set()
            await watched.until(lambda: machine.has("left") == {"7"})
            await watched.until(lambda: machine.has("right") == {"8"})
            await watched.until(lambda: watched.watch._lock is None)
            await watched.still()
            with watched.desk.state.lock("phyllome-seat apply", 0.0):
                pass  # it is free while nothing happens

    asyncio.run(run())


def test_a_guest_that_hangs_delays_no_other(tmp_path, machine, monkeypatch):  # noqa: F811
    import threading

    attach, go_on = machine.attach, threading.Event()

    def hang(name, *rest):
        if name == "right":
            go_on.wait(5)
        attach(name, *rest)

    async def run():
        async with Watched(Desk(tmp_path, machine)) as watched:
            machine.attach = hang
            watched.plug("8", KEYBOARD)
            await watched.still()
            watched.unplug("7")
            watched.plug("7", KEYBOARD)
            await watched.until(lambda: machine.has("left") == {"7"})
            assert machine.has("right") == set()
            go_on.set()
            await watched.until(lambda: machine.has("right") == {"8"})

    asyncio.run(run())


@watching
async def test_a_device_that_resets_itself_over_and_over_is_given_up(watched):
    for _ in range(8):
        watched.unplug("7")
        watched.plug("7", KEYBOARD)
        await watched.still(0.02)
    await watched.until(lambda: watched.has(Restless))
    await watched.until(lambda: not watched.machine.domains["left"].entries)
    attached = sum(isinstance(event, Attached) for event in watched.told)
    watched.unplug("7")
    watched.plug("7", KEYBOARD)
    await watched.still(0.3)
    assert sum(isinstance(event, Attached) for event in watched.told) == attached


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_plugged_and_started_ends_right(tmp_path, machine, seed, monkeypatch):  # noqa: F811
    import random

    from phyllome_seat.system import usb_now

    monkeypatch.setattr(usb_now, "come", lambda coming, _: coming)  # hands are quicker than time
    chance = random.Random(seed)

    async def run():
        async with Watched(Desk(tmp_path, machine)) as watched:
            for _ in range(25):
                match chance.randrange(4):
                    case 0 | 1:
                        chain = chance.choice(("7", "8"))
                        if chain in machine.plugs:
                            watched.unplug(chain)
                        else:
                            watched.plug(chain, KEYBOARD)
                    case 2:
                        name = chance.choice(("left", "right"))
                        is_off = machine.domains[name].state == "shut off"
                        (machine.start if is_off else machine.stop)(name)
                        watched.lifecycle(name, STARTED if is_off else STOPPED)
                    case 3:
                        await watched.still(chance.random() / 50)

            def is_right():
                return all(
                    machine.has(name) == ({chain} & set(machine.plugs))
                    and len(machine.domains[name].entries) == len(machine.has(name))
                    for name, chain in (("left", "7"), ("right", "8"))
                    if machine.domains[name].state != "shut off"
                )

            await watched.until(is_right)

    asyncio.run(run())


async def let_rest(watched, monkeypatch):
    """Waits until connections are let go, as they are when nothing happens for a while."""
    monkeypatch.setattr(watch, "_REST_S", 0.1)
    watched.given.may_rest = True
    watched.given.wake()
    await watched.until(lambda: watched.given.rests == 1)
    assert watched.watch._guests.libvirt is None
    assert watched.watch._hands.connections == {}
    monkeypatch.setattr(watch, "_REST_S", 60.0)
    watched.told.clear()


@resting
async def test_what_is_plugged_in_while_libvirt_is_let_go_has_it_asked_again(watched):
    watched.plug("8", KEYBOARD)
    await watched.until(lambda: watched.machine.has("right") == {"8"})
    await watched.until(lambda: watched.has(Attached))
    await watched.still()
    assert watched.watch._guests.libvirt is not None
    assert [type(event) for event in watched.told] == [Attached]
    watched.unplug("8")
    await watched.until(lambda: not watched.machine.domains["right"].entries)


@resting
async def test_a_guest_that_starts_or_stops_while_libvirt_is_let_go_is_known_by_its_files(watched):
    watched.machine.stop("left")
    watched.given.hear(GuestFileEvent("/run/libvirt/qemu/left.pid"))
    await watched.until(lambda: watched.has(GuestStopped))
    watched.machine.start("left")
    watched.lifecycle("left", STARTED)
    await watched.until(lambda: watched.machine.has("left") == {"7"})


@resting
async def test_a_device_of_nobodys_leaves_libvirt_alone(watched):
    watched.plug("9.4", PAD)
    await watched.still(0.2)
    assert watched.watch._guests.libvirt is None


@watching
async def test_where_all_guests_are_off_a_plug_asks_no_libvirt(watched):
    for name in ("left", "right"):
        watched.machine.stop(name)
        watched.lifecycle(name, STOPPED)
    await watched.until(lambda: watched.has(GuestStopped))
    with pytest.MonkeyPatch.context() as monkeypatch:
        await let_rest(watched, monkeypatch)
        watched.unplug("7")
        watched.plug("7", KEYBOARD)
        await watched.still(0.2)
    assert watched.watch._guests.libvirt is None
    assert watched.told == []


@resting
async def test_a_reload_while_libvirt_is_let_go_reads_all_again(watched):
    watched.machine.plug("8", KEYBOARD)
    watched.desk.lay_out()
    watched.watch.reread()
    await watched.until(lambda: watched.machine.has("right") == {"8"})


@watching
async def test_what_happens_to_nobodys_devices_keeps_no_libvirt_awake(watched):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(watch, "_REST_S", 0.3)
        watched.given.may_rest = True
        watched.given.wake()
        for _ in range(20):
            watched.event("change", "9.4", product="45e/28e/100")
            await watched.still(0.05)
    assert watched.given.rests == 1


@resting
async def test_a_guest_that_libvirt_is_still_starting_is_not_given_anything_yet(watched):
    watched.machine.stop("left")
    watched.given.hear(GuestFileEvent("/run/libvirt/qemu/left.pid"))
    await watched.until(lambda: watched.has(GuestStopped))
    state = FakeDomain.state
    with pytest.MonkeyPatch.context() as monkeypatch:
        watched.machine.start("left", "paused")
        # paused, starting up: what libvirt says before QEMU has answered it
        monkeypatch.setattr(
            FakeDomain, "state", lambda own: (3, 11) if own.name() == "left" else state(own)
        )
        watched.lifecycle("left", STARTED)
        await watched.still(0.3)
        assert not watched.has(Attached)
    watched.lifecycle("left", STARTED)
    await watched.until(lambda: watched.has(Attached))


def test_a_plain_loop_hears_the_same_and_can_be_left(tmp_path, machine, monkeypatch):  # noqa: F811
    desk = Desk(tmp_path, machine)
    desk.lay_out()
    file = tmp_path / "seats.yaml"
    file.write_text(render_wish(WISH))
    monkeypatch.setattr(watch, "Listening", lambda *_, **__: Given())
    monkeypatch.setattr(watch, "State", lambda _: desk.state)
    monkeypatch.setattr(watch, "Sysfs", lambda _: desk.on["sysfs"])

    told = []
    for event in watch.watch_forever(str(file), uri="fake:///"):
        told.append(event)
        if isinstance(event, Watching):
            break

    assert any(isinstance(event, Attached) for event in told)
    assert machine.has("left") == {"7"}
