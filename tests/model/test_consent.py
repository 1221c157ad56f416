"""What a seat file gives up by naming it, and what no word gives up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from phyllome_seat.model.assign import assign
from phyllome_seat.model.assign_usb import assign_usb
from phyllome_seat.model.check import check
from phyllome_seat.model.devices import BlockDevice, Mount, NetworkInterface, NetworkUse
from phyllome_seat.model.errors import AssignmentError, SeatFileError
from phyllome_seat.model.given_up import find_given_up, name_given_up
from phyllome_seat.model.plan import plan
from phyllome_seat.model.protect import protect
from phyllome_seat.model.reconcile import reconcile
from phyllome_seat.model.remap import edit_text, remap
from phyllome_seat.model.seat import PciMatch, Seat, Wish
from phyllome_seat.model.seat_file import parse_wish, render_wish
from phyllome_seat.model.step import ArmReturn
from tests.model.hosts import (
    HOST_GPU,
    HOST_USB,
    LEFT_GPU,
    LEFT_USB,
    address,
    bound,
    port,
    two_seat_pc,
    with_function,
)
from tests.model.machines import machines
from tests.model.test_remap import moved

GPU = f'gpu: {{pci: "{HOST_GPU}", id: "8086:a780"}}'
CONTROLLER = f'{{pci: "{LEFT_USB}", id: "1b73:1100"}}'
PORT = f'{{controller: "{LEFT_USB}", id: "1b73:1100", usb2: "3"}}'
OTHER = '{pci: "0000:04:00.0", id: "1b73:1100"}'


def wish(wants, *gives_up, console="keep"):
    """One seat that wants something, as its seat file says it."""
    lines = "".join(f"\n    - {line}" for line in gives_up)
    given_up = f"  gives-up:{lines or ' []'}\n"
    return parse_wish(
        f"version: 1\nhost:\n  console: {console}\n{given_up}seats:\n  left:\n    {wants}\n", "f"
    )


def with_adapter(*whys):
    """The PC with its network on an adapter in socket 3 of left's controller."""
    place = port(f"{LEFT_USB}/usb2/3")
    return replace(
        two_seat_pc(),
        networks=(NetworkInterface("enx0", pci=address(LEFT_USB), usb=place, up=True),),
        network_uses=tuple(NetworkUse("enx0", why, "/proc/net/route") for why in whys),
    )


def refusals(wanted, host):
    with pytest.raises(AssignmentError) as caught:
        assign(wanted, host)
    return caught.value.conflicts


@pytest.mark.parametrize("console", ["keep", "none"])
@pytest.mark.parametrize(
    ("wants", "line"),
    [
        (f"usb: [controller: {CONTROLLER}]", f"- function: {CONTROLLER}"),
        (f"usb: [port: {PORT}]", f"- port: {PORT}"),
    ],
    ids=["controller", "port"],
)
@pytest.mark.parametrize("why", ["default route", "SSH session from 192.0.2.7"])
def test_the_way_to_the_network_goes_when_the_line_that_the_refusal_names_is_written(
    console, wants, line, why
):
    host = with_adapter(why)

    (refusal,) = refusals(wish(wants, console=console), host)
    given_up = assign(wish(wants, line.removeprefix("- "), console=console), host)

    assert f"carries the {why} (enx0)" in refusal
    assert f"or write `{line}` under `host: gives-up:` (f:" in refusal
    assert any("is given up: carries the" in note for note in given_up.seats[0].notes)


def test_another_device_that_is_given_up_is_not_this_one():
    wants = f"usb: [controller: {CONTROLLER}]"

    assert refusals(wish(wants, f"function: {OTHER}"), with_adapter("default route"))


def test_the_boot_card_goes_by_its_name_and_the_host_keeps_all_else():
    wants = GPU
    line = f'function: {{pci: "{HOST_GPU}", id: "8086:a780"}}'
    only = tuple(i for i in two_seat_pc().inputs if str(i.usb) == f"{HOST_USB}/usb2/1")
    host = replace(two_seat_pc(), inputs=only)
    keyboard = f'{{controller: "{HOST_USB}", id: "8086:7ae0", usb2: "1"}}'

    assert assign(wish(wants, line), host).addresses == (address(HOST_GPU),)
    both = wish(f"{wants}\n    usb: [port: {keyboard}]", line)
    (refusal,) = refusals(both, host)
    assert "last keyboard" in refusal
    assert f"`- port: {keyboard}`" in refusal
    assert assign(
        wish(f"{wants}\n    usb: [port: {keyboard}]", line, 'device: {id: "04d9:0024"}'), host
    )


def test_what_shares_the_group_of_what_is_given_up_goes_with_it():
    host = with_function(two_seat_pc(), LEFT_GPU, boot_vga=True)
    host = replace(host, console=replace(host.console, gpu=address(LEFT_GPU)))
    wants = f'gpu: {{pci: "{LEFT_GPU}", id: "10de:2786"}}'

    assert len(refusals(wish(wants), host)) == 2
    line = f'function: {{pci: "{LEFT_GPU}", id: "10de:2786"}}'
    assert len(assign(wish(wants, line), host).addresses) == 2


def test_a_line_gives_up_what_its_own_device_is_needed_for_and_no_other_of_its_group():
    group = {"iommu_group": 90}
    host = with_function(with_adapter("default route"), LEFT_USB, **group)
    host = with_function(host, LEFT_GPU, boot_vga=True, driver=None, **group)
    host = replace(host, console=replace(host.console, gpu=address(LEFT_GPU)))
    wants = f"usb: [controller: {CONTROLLER}]"
    card = f'function: {{pci: "{LEFT_GPU}", id: "10de:2786"}}'

    (refusal,) = refusals(wish(wants, f"function: {CONTROLLER}"), host)
    assert f"shares IOMMU group 90 with {LEFT_GPU}" in refusal
    assert f"or write `- {card}` under" in refusal
    assert assign(wish(wants, f"function: {CONTROLLER}", card), host).addresses


@pytest.mark.parametrize(
    "why", ["root file system", "nfs4 mount at /srv", "disk by iSCSI", "disk rbd0"]
)
def test_a_disk_of_another_machine_is_as_little_given_up_as_one_of_its_own(why):
    wants = f"usb: [controller: {CONTROLLER}]"
    named = wish(wants, f"function: {CONTROLLER}", console="none")

    (refusal,) = refusals(named, with_adapter(why))

    assert why in refusal
    assert "gives-up" not in refusal


def test_a_disk_in_use_is_given_up_by_no_word():
    stick = BlockDevice("sdb", "8:16", pci=(address(LEFT_USB),), usb=port(f"{LEFT_USB}/usb2/3"))
    host = replace(two_seat_pc(), blocks=(stick,), mounts=(Mount("sdb", "/"),))
    for wants in (f"usb: [controller: {CONTROLLER}]", f"usb: [port: {PORT}]"):
        words = (f"function: {CONTROLLER}", f"port: {PORT}")
        (refusal,) = refusals(wish(wants, *words, console="none"), host)

        assert "no word gives it up" in refusal


def test_a_place_that_holds_something_else_gives_nothing_up():
    stale = 'function: {pci: "0000:03:00.0", id: "10de:2684"}'

    found = refusals(wish(f"usb: [controller: {CONTROLLER}]", stale), with_adapter("default route"))

    assert any("0000:03:00.0 is not 10de:2684" in sentence for sentence in found)
    assert any("carries the default route" in sentence for sentence in found)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"controller: {CONTROLLER}", "expected one of function, port, device, found 'controller'"),
        ("{}", "expected either function or port or device, found none"),
        (f"function: {CONTROLLER}\n    - function: {CONTROLLER}", "the same is in the list"),
        ('function: {pci: "0000:03:00.0"}', "expected the key 'id' here"),
    ],
)
def test_a_line_that_names_nothing_is_refused_with_file_line_and_key(line, words):
    with pytest.raises(SeatFileError) as caught:
        wish("usb: []", line)

    problem = next(p for p in caught.value.problems if words in p.expected)
    assert (problem.file, problem.line) == ("f", 6 if "same" in words else 5)
    assert problem.key.startswith("host.gives-up[")


def test_what_is_given_up_is_written_as_it_was_read():
    read = wish("usb: []", f"function: {CONTROLLER}", f"port: {PORT}", 'device: {id: "04d9:0024"}')

    assert render_wish(parse_wish(render_wish(read))) == render_wish(read)
    assert "  gives-up:\n    - function: " + CONTROLLER in render_wish(read)


def test_the_way_back_is_armed_before_the_network_goes_and_the_second_plan_is_none_of_it():
    wanted = wish(f"usb: [controller: {CONTROLLER}]", f"function: {CONTROLLER}")
    host = with_adapter("default route")

    assert isinstance(plan(assign(wanted, host), host)[0], ArmReturn)
    other = with_adapter()
    assert not any(isinstance(step, ArmReturn) for step in plan(assign(wanted, other), other))


def test_a_running_guest_gets_the_adapter_that_is_given_up_and_no_other():
    host = with_adapter("default route")
    named = wish(f"usb: [port: {PORT}]\n    guest: {{domain: win11}}", f"port: {PORT}")
    unnamed = wish(f"usb: [port: {PORT}]\n    guest: {{domain: win11}}")
    adapter = replace(host.usb[6], port=port(f"{LEFT_USB}/usb2/3"), sysname="3-3", number=9)
    running = replace(host.guests[0], state="running", seat="left")
    host = replace(host, usb=(*host.usb, adapter), guests=(running,))

    for wanted, goes in ((named, True), (unnamed, False)):
        assignment, _ = assign_usb(wanted, host)
        result = reconcile(assignment, host)
        assert [step.device.sysname for step in result.steps] == (["3-3"] if goes else [])


def test_check_says_what_is_given_up():
    host = with_adapter("default route")
    wanted = wish(f"usb: [controller: {CONTROLLER}]", f"function: {CONTROLLER}")

    found = [f for f in check(host, wanted) if f.evidence == "f"]

    assert [f.severity for f in found] == ["note"]
    assert "is given up: carries the default route (enx0)" in found[0].words


def test_a_device_that_moved_is_given_up_at_its_new_place():
    text = render_wish(wish(GPU, f"function: {GPU.removeprefix('gpu: ')}"))
    host = moved(two_seat_pc(), {HOST_GPU: "0000:0a:00.0"})

    found = remap(parse_wish(text), host)

    assert edit_text(text, found) == text.replace(HOST_GPU, "0000:0a:00.0")
    assert text.count(HOST_GPU) == 2


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(machines())
def test_on_any_machine_all_words_together_give_up_no_disk_and_no_more_than_is_named(host):
    host = replace(host, before=())
    named = tuple(PciMatch(d.address, d.id) for d in host.pci)
    for device in host.pci:
        match = PciMatch(device.address, device.id)
        wants = {"usb": (match,)} if device.is_usb_controller else {"gpu": match}
        for gives_up in ((), named):
            wanted = Wish((Seat("left", **wants),), gives_up=gives_up)
            try:
                taken = assign(wanted, host).addresses
            except AssignmentError:
                continue
            reasons = [r for a in taken for r in protect(host, taken).pci.get(a, ())]
            assert {r.kind for r in reasons} <= {"console", "keyboard", "network"}
            assert gives_up or not reasons


KEYBOARD = f'{{controller: "{HOST_USB}", id: "8086:7ae0", usb2: "1"}}'


def with_one_keyboard():
    """The PC with its host's keyboard alone: the last."""
    return replace(two_seat_pc(), inputs=two_seat_pc().inputs[:1])


def test_what_one_word_gives_up_is_named_device_by_device():
    host = with_one_keyboard()
    wanted = wish(f"{GPU}\n    usb: [port: {KEYBOARD}]", console="none")

    named = name_given_up(host, wanted)

    lines = render_wish(named).splitlines()
    assert lines[1:6] == [
        "host:",
        "  console: none",
        "  gives-up:",
        f"    - function: {GPU.removeprefix('gpu: ')}",
        f"    - port: {KEYBOARD}",
    ]
    words = [given.words for given in find_given_up(host, wanted)]
    assert [w.partition(", which ")[2] for w in words] == [
        "shows the host's console",
        "has the host's last keyboard, Host Keyboard (event3)",
    ]
    assert plan(assign(named, host), host) == plan(assign(wanted, host), host)


def test_where_nothing_the_host_needs_is_taken_no_line_is_written():
    wanted = wish(f"usb: [controller: {CONTROLLER}]", console="none")

    assert name_given_up(two_seat_pc(), wanted) == wanted
    assert name_given_up(two_seat_pc(), replace(wanted, console="keep")).gives_up == ()


def test_what_a_person_named_stays_and_is_not_written_twice():
    line = f"function: {GPU.removeprefix('gpu: ')}"
    wanted = wish(GPU, f"port: {PORT}", line, console="none")

    named = name_given_up(two_seat_pc(), wanted)

    assert render_wish(named).count(line) == 1
    assert f"port: {PORT}" in render_wish(named)


def test_the_network_is_named_by_nobody_but_the_person():
    host = with_adapter("default route")
    wanted = wish(f"usb: [controller: {CONTROLLER}]", console="none")

    assert name_given_up(host, wanted).gives_up == ()
    assert refusals(wanted, host)


def test_what_seats_have_already_keeps_its_line_when_the_file_is_written_anew():
    wanted = wish(f"{GPU}\n    usb: [port: {KEYBOARD}]", console="none")
    before = name_given_up(with_one_keyboard(), wanted)
    set_up = bound(with_one_keyboard(), {"left": (HOST_GPU,)})
    set_up = replace(set_up, console=replace(set_up.console, gpu=None))

    assert find_given_up(set_up, wanted) == find_given_up(with_one_keyboard(), wanted)[1:]
    assert render_wish(name_given_up(set_up, wanted, before)) == render_wish(before)
    other = wish(f"usb: [controller: {CONTROLLER}]", console="none")
    assert name_given_up(set_up, other, before).gives_up == ()


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(machines())
def test_on_any_machine_the_named_lines_say_all_that_one_word_says_and_nothing_more(host):
    for device in host.pci:
        match = PciMatch(device.address, device.id)
        wants = {"usb": (match,)} if device.is_usb_controller else {"gpu": match}
        wanted = Wish((Seat("left", **wants),), console="none")
        try:
            taken = assign(wanted, host).addresses
        except AssignmentError:
            continue
        named = replace(name_given_up(host, wanted), console="keep")
        assert assign(named, host).addresses == taken
        for number in range(len(named.gives_up)):
            fewer = (*named.gives_up[:number], *named.gives_up[number + 1 :])
            with pytest.raises(AssignmentError):
                assign(replace(named, gives_up=fewer), host)
