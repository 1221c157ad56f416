"""`reconcile` against a PC on which anything happens in any order, seen or not."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from phyllome_seat.model.address import UsbId
from phyllome_seat.model.assign_usb import assign_usb
from phyllome_seat.model.guest_usb import parse_alias
from phyllome_seat.model.lend import COMES_BACK_S, NOTHING_SAID, Lend, Lending, Released
from phyllome_seat.model.owner import find_owner
from phyllome_seat.model.reconcile import reconcile
from phyllome_seat.model.seat import DeviceMatch, Seat, Wish
from tests.model.test_reconcile import socket
from tests.usb_machine import HUB, KEYBOARD, STICK, Machine, RefusedError

PAD, WHEEL = UsbId(0x045E, 0x028E), UsbId(0x046D, 0xC24F)
SOCKETS = ("6", "7", "8", "9", "10", "7.1", "7.2", "8.1")
SEATS = ("left", "right")
PORTS = 2  # fewer than there are sockets, so that they run out
# Left has a hub's socket, right one behind it, so that a nearer rule is there to win.
WISH = Wish(
    (
        Seat("left", usb=(socket(7), socket(9), DeviceMatch(WHEEL, "W")), domain="left"),
        Seat("right", usb=(socket(8), socket((7, 2)), DeviceMatch(PAD)), domain="right"),
    )
)

seats = st.sampled_from(SEATS)
things = st.sampled_from([KEYBOARD, STICK, PAD, WHEEL, HUB])


class AnyDay(RuleBasedStateMachine):
    """Hands, guests and a reconciler that is asked now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(*SEATS, ports=PORTS)
        self.said = NOTHING_SAID

    # -- what happens ------------------------------------------------------------------------------

    @initialize(names=st.sets(seats))
    def evening_before(self, names):
        for name in names:
            self.machine.start(name)

    @rule(data=st.data(), serial=st.sampled_from([None, "S", "W"]), renumbers=st.booleans())
    def plug(self, data, serial, renumbers):
        free = [c for c in SOCKETS if c not in self.machine.plugs and self.is_there(c)]
        if free:
            what = data.draw(things)
            mounted = what == STICK and data.draw(st.booleans())
            changes = {"serial": serial, "is_mounted": mounted, "renumbers": renumbers}
            self.machine.plug(data.draw(st.sampled_from(free)), what, **changes)

    def is_there(self, chain):
        """Whether a socket is the PC's own, or of a hub that is plugged in."""
        hub = chain.rpartition(".")[0]
        return not hub or (hub in self.machine.plugs and self.machine.plugs[hub].id == HUB)

    @precondition(lambda self: self.machine.plugs)
    @rule(data=st.data())
    def unplug(self, data):
        self.machine.unplug(data.draw(self.plugged()))

    def plugged(self):
        return st.sampled_from(sorted(self.machine.plugs))

    def leaves(self):
        return [c for c in sorted(self.machine.plugs) if self.machine.plugs[c].id != HUB]

    @precondition(lambda self: len(self.leaves()) > 1)
    @rule(data=st.data())
    def swap(self, data):
        one, other = data.draw(st.permutations(self.leaves()))[:2]
        self.machine.swap(one, other)

    @precondition(lambda self: self.leaves())
    @rule(data=st.data(), what=st.sampled_from([KEYBOARD, STICK, PAD]))
    def change_id(self, data, what):
        self.machine.change_id(data.draw(st.sampled_from(self.leaves())), what)

    @precondition(lambda self: self.leaves())
    @rule(data=st.data())
    def mount(self, data):
        plug = self.machine.plugs[data.draw(st.sampled_from(self.leaves()))]
        held = {e.number for d in self.machine.domains.values() for e in d.entries}
        if plug.id == STICK and plug.number not in held:
            plug.is_mounted = not plug.is_mounted

    @rule(name=seats, state=st.sampled_from(["running", "paused", "shut off"]))
    def start_or_stop(self, name, state):
        if state == "shut off":
            self.machine.stop(name)
        else:
            self.machine.start(name, state)

    @rule(seconds=st.sampled_from([0.5, 3.0, 60.0]))
    def wait(self, seconds):
        self.machine.now_s += seconds

    # -- what is said ------------------------------------------------------------------------------

    @precondition(lambda self: self.machine.plugs)
    @rule(data=st.data(), seat=seats, until=st.sampled_from(["stop", "unplug", "time"]))
    def lend(self, data, seat, until):
        device = self.machine.device(data.draw(self.plugged()))
        ends = self.machine.now_s + 30 if until == "time" else None
        lend = Lend(device.port, device.id, device.serial, seat, until, ends, self.machine.now_s)
        self.said = Lending((*self.said.lends, lend), self.said.released)

    @precondition(lambda self: any(d.entries for d in self.machine.domains.values()))
    @rule(data=st.data())
    def release(self, data):
        device = self.machine.device(data.draw(self.plugged())) if self.machine.plugs else None
        if device is not None:
            said = Released(
                device.port, device.id, device.serial, 1, device.number, self.machine.now_s
            )
            self.said = Lending(self.said.lends, (*self.said.released, said))

    # -- what is done ------------------------------------------------------------------------------

    def look(self):
        host = self.machine.host()
        assignment, problems = assign_usb(WISH, host)
        assert problems == ()
        return assignment, reconcile(assignment, host, self.said, self.machine.now_s)

    @rule(how_many=st.integers(0, 2))
    def killed_meanwhile(self, how_many):
        """A reconciler that does some of its steps and is killed before it keeps what was said."""
        _, result = self.look()
        for step in result.steps[:how_many]:
            self.try_step(step)

    @precondition(lambda self: self.machine.plugs)
    @rule(data=st.data())
    def too_late(self, data):
        """A device goes between the look and the steps."""
        _, result = self.look()
        self.machine.unplug(data.draw(self.plugged()))
        for step in result.steps:
            self.try_step(step)

    def try_step(self, step):
        try:
            self.machine.do(step)
        except RefusedError:
            return False
        return True

    @rule()
    def settle(self):
        """An event was seen, and all is compared until nothing is left to do."""
        self.settle_all()

    @rule()
    def settle_after_another_event(self):
        self.settle_all()

    def settle_all(self):
        for _ in range(8):
            assignment, result = self.look()
            self.said = result.lending
            if not result.steps:
                break
            for step in result.steps:
                assert self.try_step(step), step
        assert result.steps == ()
        self.check_settled(assignment, result)

    def check_settled(self, assignment, result):
        """All is where it belongs, and nothing is anywhere else."""
        kept = {item.device.sysname for item in result.kept}
        for name, domain in self.machine.domains.items():
            inside = self.machine.has(name)
            assert len(domain.entries) == len(inside), "a stale entry"
            for entry in domain.entries:
                place = parse_alias(entry.alias).port
                assert self.machine.plugs[str(place).rpartition("/")[2]].number == entry.number
            if domain.state == "shut off":
                continue
            for chain in self.machine.plugs:
                device = self.machine.device(chain)
                if device.sysname in kept:
                    assert chain not in inside
                    continue
                lends = [x for x in self.said.lends if x.port == device.port]
                if not lends:
                    owner = find_owner(assignment, device)
                    is_own = owner is not None and owner.seat == name
                    released = any(r.port == device.port for r in self.said.released)
                    assert (chain in inside) == (is_own and not released), chain

    @invariant()
    def nothing_is_in_two_guests(self):
        numbers = [e.number for d in self.machine.domains.values() for e in d.entries]
        assert len(numbers) == len(set(numbers))

    @invariant()
    def nothing_went_that_must_stay(self):
        assert self.machine.wrongs == []


AnyDay.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestAnyDay = AnyDay.TestCase


def test_a_lend_that_ended_leaves_nothing_behind():
    machine = Machine(*SEATS)
    machine.plug("10", KEYBOARD)
    machine.start("left")
    device = machine.device("10")
    said = Lending((Lend(device.port, device.id, None, "left", "unplug", None, machine.now_s),))

    for _ in range(3):
        host = machine.host()
        result = reconcile(assign_usb(WISH, host)[0], host, said, machine.now_s)
        said = result.lending
        for step in result.steps:
            machine.do(step)
    assert machine.has("left") == {"10"}
    machine.unplug("10")
    for _ in range(3):
        host = machine.host()
        result = reconcile(assign_usb(WISH, host)[0], host, said, machine.now_s)
        said = result.lending
        for step in result.steps:
            machine.do(step)
        machine.now_s += COMES_BACK_S
    assert machine.domains["left"].entries == []
    assert said == NOTHING_SAID
