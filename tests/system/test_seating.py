"""What a command says no to, and what keeps one from giving back what it can."""

from __future__ import annotations

import threading

import pytest

from phyllome_seat.model.address import PciId
from phyllome_seat.model.assign import assign
from phyllome_seat.model.devices import NetworkInterface, NetworkUse
from phyllome_seat.model.errors import ApplyError, UnknownSeatError
from phyllome_seat.model.plan import plan
from phyllome_seat.model.seat import PciMatch
from phyllome_seat.model.step import ArmReturn
from phyllome_seat.model.value import replace
from phyllome_seat.system import connection, console_return, seating, service
from phyllome_seat.system.seating import revert, start_seats, stop_seats
from phyllome_seat.system.state import State
from phyllome_seat.system.sysfs import Sysfs
from tests.model.hosts import LEFT_USB, address, two_seat_pc, two_seat_wish
from tests.system.fake_libvirt import FakeDomain
from tests.system.test_give_back import kernel
from tests.system.test_lending import WISH, Desk, machine  # noqa: F401 - a fixture


@pytest.mark.parametrize("work", [start_seats, stop_seats])
def test_a_seat_that_the_file_has_not_is_wrong_input_with_the_nearest_that_it_has(work):
    with pytest.raises(UnknownSeatError) as refused:
        work(two_seat_wish(), ["right", "lfet"], say=print, uri="test:///default")

    assert str(refused.value) == "seat lfet is not in seats.yaml: it has left, right"
    assert refused.value.hint == "did you mean left?"
    assert refused.value.exit_status == 2


@pytest.fixture
def at_desk(tmp_path, machine, monkeypatch):  # noqa: F811 - the fixture
    """A desk whose commands work on its tree; what else revert does is not asked here."""
    desk = Desk(tmp_path, machine)
    desk.settle()
    monkeypatch.setattr(seating, "Sysfs", lambda _: Sysfs(str(tmp_path)))
    monkeypatch.setattr(seating, "State", lambda _: State(str(tmp_path)))
    monkeypatch.setattr(service, "remove_service", lambda: False)
    monkeypatch.setattr(console_return, "is_armed", lambda: False)
    return desk


@pytest.mark.parametrize("way", ["stop", "revert"])
def test_what_a_guest_leaves_whose_power_is_cut_is_the_hosts_again(at_desk, monkeypatch, way):
    monkeypatch.setattr(FakeDomain, "shutdown", lambda _: None, raising=False)

    def destroy(self):
        self._machine.stop(self._domain.name)

    monkeypatch.setattr(FakeDomain, "destroy", destroy, raising=False)
    monkeypatch.setattr(seating, "apply", lambda *_, **__: None)
    with kernel(at_desk.root) as asked:
        if way == "stop":
            stop_seats(WISH, ["left"], say=print, timeout_s=0.1, force=True, uri="fake:///")
        else:
            revert(say=print, stop_first_s=0.1, uri="fake:///")

    assert asked == ["1-7:1.0"]


def test_a_guest_that_does_not_answer_keeps_nobody_from_giving_back(at_desk, monkeypatch):
    begun, said, answers = [], [], threading.Event()
    monkeypatch.setattr(seating, "apply", lambda steps, *_, **__: begun.append(steps))
    monkeypatch.setattr(FakeDomain, "XMLDesc", lambda *_: answers.wait(20))
    limits = {"read_only": False, "limit_s": 0.2}
    monkeypatch.setattr(connection.Connection.__init__, "__kwdefaults__", limits)

    revert(say=said.append, stop_first_s=0.1, uri="fake:///")
    answers.set()

    assert len(begun) == 1
    assert "did not answer" in said[0] and "what needs libvirt is not given back" in said[0]


@pytest.mark.parametrize("goes", [True, False])
def test_ssh_is_no_way_in_where_the_network_goes_with_the_screen(goes):
    lan = NetworkInterface("enx0", pci=address(LEFT_USB), up=True)
    use = NetworkUse("enx0", "default route", "/proc/net/route")
    host = two_seat_pc()
    console = replace(host.console, ssh=True, serial=())
    host = replace(host, console=console, networks=(lan,), network_uses=(use,) if goes else ())
    given_up = (PciMatch(address(LEFT_USB), PciId.parse("1b73:1100")),)
    steps = plan(assign(two_seat_wish(gives_up=given_up, console="none"), host), host)
    asked = []

    def no(question):
        asked.append(question)
        return False

    armed = (ArmReturn(120), *(step for step in steps if not isinstance(step, ArmReturn)))
    if goes:
        with pytest.raises(ApplyError, match="its network goes"):
            seating._ask(armed, host, no)
        assert "you can reach it again in 120 s only" in asked[0]
    else:
        seating._ask(armed, host, no)
        assert asked == []
