"""Plans, carried out on a Host as a value: what a step does to a machine, said once more here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.assign import assign
from phyllome_seat.model.assignment import Assignment
from phyllome_seat.model.devices import (
    BeforeBind,
    Console,
    Guest,
    Host,
    Hostdev,
    OurFile,
    PciDevice,
    Pending,
)
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.groups import find_blockers
from phyllome_seat.model.guest import parse_guest
from phyllome_seat.model.guest_edit import edit_guest, restore_guest
from phyllome_seat.model.guest_new import render_new_guest
from phyllome_seat.model.guest_size import resize_guest
from phyllome_seat.model.plan import find_left, plan, plan_revert
from phyllome_seat.model.plan_rules import RELOAD_PATH
from phyllome_seat.model.rules import RULES_PATH
from phyllome_seat.model.seat import PciMatch, Wish
from phyllome_seat.model.step import (
    ArmReturn,
    BindDriver,
    CreateDisk,
    CreateGuest,
    EditGuest,
    ForgetDriver,
    NoteDriver,
    ReloadUdev,
    RemoveFile,
    RemoveGuest,
    ResizeGuest,
    RestoreDriver,
    RestoreGuest,
    Step,
    WriteFile,
)
from tests.model.hosts import (
    HOST_GPU,
    HOST_USB,
    LEFT_GPU,
    LEFT_SOUND,
    LEFT_USB,
    RIGHT_GPU,
    RIGHT_USB,
    WIN11_XML,
    address,
    applied_two_seat_pc,
    two_seat_pc,
    two_seat_wish,
    with_function,
    with_pci,
)

RIGHT_UUID = "0c0ffee0-0000-5000-8000-000000000001"
LEFTS = (LEFT_GPU, LEFT_SOUND, LEFT_USB)


class Machine:
    """A PC that does what steps say: a Host, and the definitions kept from before."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.kept: dict[str, str] = {}

    def do(self, *steps: Step) -> Machine:
        for step in steps:
            self._do(step)
        return self

    def _do(self, step: Step) -> None:
        host = self.host
        match step:
            case WriteFile(path, content):
                others = tuple(file for file in host.files if file.path != path)
                self.host = replace(host, files=(*others, OurFile(path, content)))
            case RemoveFile(path):
                kept = tuple(file for file in host.files if file.path != path)
                assert len(kept) == len(host.files) - 1, f"{path} is not there"
                self.host = replace(host, files=kept)
            case BindDriver() | RestoreDriver() | NoteDriver() | ForgetDriver():
                self._do_driver(step)
            case CreateGuest():
                xml = render_new_guest(step.seat, step.guest, step.pci, RIGHT_UUID)
                guest = parse_guest(xml, state="shut off")
                self.kept[guest.uuid] = ""
                kept = tuple(sorted(self.kept))
                self.host = replace(host, guests=(*host.guests_known, guest), kept_guests=kept)
            case EditGuest():
                guest = self.guest(step.uuid)
                self.kept.setdefault(guest.uuid, guest.xml)
                edited = edit_guest(guest.xml, step.seat, step.pci, takes_usb=step.takes_usb)
                self._define(guest, edited)
            case ResizeGuest():
                guest = self.guest(step.uuid)
                self._define(guest, resize_guest(guest.xml, step.guest))
            case RestoreGuest():
                guest = self.guest(step.uuid)
                before = self.kept.pop(guest.uuid, None) or None
                self._define(guest, restore_guest(guest.xml, before))
            case RemoveGuest():
                self.kept.pop(step.uuid, None)
                rest = tuple(g for g in host.guests_known if g.uuid != step.uuid)
                kept = tuple(uuid for uuid in host.kept_guests if uuid != step.uuid)
                self.host = replace(host, guests=rest, kept_guests=kept)
            case ReloadUdev() | CreateDisk() | ArmReturn():
                pass

    def _do_driver(self, step: Step) -> None:
        host = self.host
        match step:
            case BindDriver():
                before = BeforeBind(step.address, step.id, step.was, step.override_was, step.seat)
                if all(item.address != step.address for item in host.before):
                    host = replace(host, before=(*host.before, before))
                self._drive(host, step.address, "vfio-pci", "vfio-pci")
            case RestoreDriver():
                before = tuple(b for b in host.before if b.address != step.address)
                own = two_seat_pc().by_address[step.address].driver  # as the kernel chooses
                driver = step.driver if step.known else own
                self._drive(replace(host, before=before), step.address, driver, step.override)
            case NoteDriver(where, identity, _, seat):
                note = BeforeBind(where, identity, None, None, seat, known=False)
                self.host = replace(host, before=(*host.before, note))
            case ForgetDriver(where):
                left = tuple(item for item in host.before if item.address != where)
                self.host = replace(host, before=left)

    def guest(self, uuid: str) -> Guest:
        return next(g for g in self.host.guests_known if g.uuid == uuid)

    def _drive(
        self, host: Host, where: PciAddress, driver: str | None, override: str | None
    ) -> None:
        self.host = with_function(host, str(where), driver=driver, override=override)

    def _define(self, guest: Guest, xml: str) -> None:
        new = parse_guest(xml, state=guest.state)
        new = replace(new, hostdevs=new.hostdevs + tuple(h for h in guest.hostdevs if h.live))
        guests = tuple(new if g is guest else g for g in self.host.guests_known)
        self.host = replace(self.host, guests=guests, kept_guests=tuple(sorted(self.kept)))


def seats(wish: Wish | None = None, host: Host | None = None) -> Assignment:
    return assign(wish or two_seat_wish(), host or two_seat_pc())


def applied() -> Machine:
    return Machine(two_seat_pc()).do(*plan(seats(), two_seat_pc()))


def kinds(steps: tuple[Step, ...]) -> list[str]:
    return [type(step).__name__ for step in steps]


def test_the_first_plan_is_everything_in_its_order(golden):
    steps = plan(seats(), two_seat_pc())

    golden("two-seat-plan.txt", "".join(f"{step}\n" for step in steps))
    assert kinds(steps) == [
        "WriteFile",
        "WriteFile",
        "ReloadUdev",
        "RemoveFile",
        *["BindDriver"] * 6,
        "EditGuest",
        "CreateDisk",
        "CreateGuest",
    ]


def test_nothing_differs_nothing_to_do():
    machine = applied()

    assert plan(seats(), machine.host) == ()
    assert plan(seats(host=machine.host), machine.host) == ()


def test_a_plan_is_the_same_each_time():
    assert plan(seats(), two_seat_pc()) == plan(seats(), two_seat_pc())


def test_no_seats_on_a_plain_machine_is_nothing_to_do():
    assert plan(Assignment(), two_seat_pc()) == ()
    assert plan_revert(two_seat_pc()) == ()


def test_a_plan_broken_off_anywhere_is_completed_by_the_next():
    steps = plan(seats(), two_seat_pc())
    whole = applied().host
    for done in range(len(steps)):
        machine = Machine(two_seat_pc()).do(*steps[:done])
        rest = plan(seats(), machine.host)
        assert rest, f"nothing left after {done} of {len(steps)} steps"
        assert machine.do(*rest).host == whole, f"broken off after {steps[done - 1]}"


def test_revert_gives_the_machine_back():
    machine = applied()

    steps = plan_revert(machine.host)

    assert machine.do(*steps).host == two_seat_pc()
    assert plan_revert(machine.host) == ()


def test_revert_broken_off_anywhere_is_completed_by_the_next():
    steps = plan_revert(applied().host)
    for done in range(len(steps)):
        machine = applied().do(*steps[:done])
        assert machine.do(*plan_revert(machine.host)).host == two_seat_pc()


def test_revert_lets_udev_forget_before_devices_come_back():
    order = kinds(plan_revert(applied().host))

    assert order.index("ReloadUdev") < order.index("RestoreDriver")
    assert max(order.index("RestoreGuest"), order.index("RemoveGuest")) < order.index("WriteFile")


@pytest.mark.parametrize("where", [*LEFTS, RIGHT_GPU])
def test_a_function_given_back_by_hand_is_bound_again_and_nothing_else(where):
    before = two_seat_pc().by_address[address(where)]
    host = with_function(applied().host, where, driver=before.driver, override=None)

    (step,) = plan(seats(), host)

    assert isinstance(step, BindDriver)
    assert (str(step.address), step.was, step.override_was) == (where, before.driver, None)


def test_an_override_removed_by_hand_is_set_again():
    (step,) = plan(seats(), with_function(applied().host, LEFT_GPU, override=None))

    assert isinstance(step, BindDriver)
    assert step.was == "vfio-pci"


def test_what_a_function_had_before_us_is_remembered_through_a_broken_bind():
    host = with_function(two_seat_pc(), LEFT_GPU, override="vfio-pci")
    before = BeforeBind(
        address(LEFT_GPU), host.by_address[address(LEFT_GPU)].id, "nouveau", None, "left"
    )
    steps = plan(seats(), replace(host, before=(before,)))

    step = next(s for s in steps if isinstance(s, BindDriver))
    assert (step.was, step.override_was) == ("nouveau", None)


def test_rules_removed_by_hand_are_written_again_and_nothing_else():
    host = replace(applied().host, files=())

    steps = plan(seats(), host)

    assert kinds(steps) == ["WriteFile", "WriteFile", "ReloadUdev", "RemoveFile"]
    assert Machine(host).do(*steps).host == applied().host


def test_rules_changed_by_hand_are_put_right_where_they_were_changed():
    (file,) = applied().host.files
    broken = OurFile(file.path, file.content.replace(f'KERNELS=="{LEFT_GPU}"', 'KERNELS=="x"'))

    steps = plan(seats(), replace(applied().host, files=(broken,)))

    (reload,) = [s for s in steps if isinstance(s, ReloadUdev)]
    assert [str(a) for a in reload.devices] == [LEFT_GPU]


def test_udev_that_has_not_looked_yet_looks_after_a_run_that_ended():
    mark = OurFile(RELOAD_PATH, f"# phyllome-seat: x\n{LEFT_USB}\n0000:77:00.0\n")
    host = replace(applied().host, files=(*applied().host.files, mark))

    assert plan(seats(), host) == (
        ReloadUdev((address(LEFT_USB),)),
        RemoveFile(RELOAD_PATH),
    )


def test_udev_looks_below_every_controller_for_a_device_known_by_its_serial():
    steps = plan(seats(), two_seat_pc())

    (reload,) = [s for s in steps if isinstance(s, ReloadUdev)]
    assert {HOST_USB, LEFT_USB, RIGHT_USB} <= {str(a) for a in reload.devices}


def test_a_domain_changed_by_hand_is_edited_again_and_nothing_else():
    machine = applied()
    win11 = next(g for g in machine.host.guests_known if g.name == "win11")
    broken = parse_guest(win11.xml.replace('managed="no"', 'managed="yes"', 1), state="shut off")
    guests = tuple(broken if g is win11 else g for g in machine.host.guests_known)

    steps = plan(seats(), replace(machine.host, guests=guests))

    assert kinds(steps) == ["EditGuest"]
    assert steps[0].uuid == win11.uuid


def test_a_clone_of_a_guest_that_we_made_is_its_owners():
    machine = applied()
    clone = replace(machine.guest(RIGHT_UUID), name="right-clone", uuid="c10e")
    host = replace(machine.host, guests=(*machine.host.guests_known, clone))

    steps = plan_revert(host)

    assert [step.uuid for step in steps if isinstance(step, RemoveGuest)] == [RIGHT_UUID]
    assert clone.uuid in [step.uuid for step in steps if isinstance(step, RestoreGuest)]


def test_a_created_domain_that_is_gone_is_created_again():
    guests = tuple(g for g in applied().host.guests_known if g.name == "win11")

    steps = plan(seats(), replace(applied().host, guests=guests))

    assert kinds(steps) == ["RemoveFile", "CreateDisk", "CreateGuest"]


@pytest.mark.parametrize("created", [True, False])
def test_the_disk_that_we_made_is_made_again_where_it_is_gone(created):
    host = applied().host
    path = two_seat_wish().seats[1].create.disk_path
    guests = tuple(
        replace(g, gone=(path, "/else.img"), created=created) if g.name == "right" else g
        for g in host.guests_known
    )

    steps = plan(seats(), replace(host, guests=guests))

    assert kinds(steps) == (["CreateDisk"] if created else [])
    assert not created or steps[0].path == path


def resized(**changes: object) -> Wish:
    """Return the wish with other values in what `right` creates."""
    left, right = two_seat_wish().seats
    create = replace(right.create, **changes)
    return two_seat_wish(seats=(left, replace(right, create=create)))


def test_a_created_guest_gets_the_size_that_the_file_says_now_once():
    machine = applied()
    wish = resized(memory_bytes=16 * 2**30, cpus=8)

    steps = plan(seats(wish, machine.host), machine.host)

    assert [str(step) for step in steps] == [
        "change guest right: memory 8 GiB → 16 GiB, CPUs 4 → 8"
    ]
    machine.do(*steps)
    assert plan(seats(wish, machine.host), machine.host) == ()


def test_a_running_guest_gets_its_new_size_at_its_next_start_and_is_left_alone():
    host = applied().host
    guests = tuple(replace(g, state="running") if g.created else g for g in host.guests_known)
    host = replace(host, guests=guests)

    steps = plan(seats(resized(cpus=2), host), host)

    assert [str(step) for step in steps] == [
        "change guest right: CPUs 4 → 2; it runs, so it has them from its next start on"
    ]


def test_a_size_that_was_changed_by_hand_in_a_guest_of_ours_is_put_right():
    machine = applied()
    right = machine.guest(RIGHT_UUID)
    machine._define(
        right, resize_guest(right.xml, replace(two_seat_wish().seats[1].create, cpus=2))
    )

    steps = plan(seats(host=machine.host), machine.host)

    assert [str(step) for step in steps] == ["change guest right: CPUs 2 → 4"]


def test_a_guest_named_by_domain_keeps_its_size_also_where_we_made_it():
    machine = applied()
    left, right = two_seat_wish().seats
    wish = two_seat_wish(seats=(left, replace(right, create=None, domain="right")))

    assert plan(seats(wish, machine.host), machine.host) == ()


def test_a_seat_that_is_gone_from_the_file_is_given_back_and_the_other_stays():
    left = two_seat_wish(seats=two_seat_wish().seats[:1])
    machine = applied()

    steps = plan(seats(left, machine.host), machine.host)

    names = kinds(steps)
    assert names[0] == "RemoveGuest"
    assert names[-3:] == ["RestoreDriver"] * 3
    assert "BindDriver" not in names
    only_left = Machine(two_seat_pc()).do(*plan(seats(left), two_seat_pc()))
    assert machine.do(*steps).host == only_left.host


def test_swapped_cards_change_guests_and_keep_their_driver():
    first, second = two_seat_wish().seats
    swapped = two_seat_wish(
        seats=(
            replace(first, gpu=second.gpu, monitor=None),
            replace(second, gpu=first.gpu, monitor=None),
        )
    )
    machine = applied()

    steps = plan(seats(swapped, machine.host), machine.host)

    assert {"BindDriver", "RestoreDriver"}.isdisjoint(kinds(steps))
    assert kinds(steps)[-2:] == ["EditGuest", "EditGuest"]
    assert plan(seats(swapped, machine.host), machine.do(*steps).host) == ()


def running(host: Host, name: str, *live: str) -> Host:
    guest = next(g for g in host.guests_known if g.name == name)
    hostdevs = tuple(Hostdev(pci=address(a), alias="ua-phyllome-x-1", live=True) for a in live)
    up = replace(guest, state="running", hostdevs=guest.hostdevs + hostdevs)
    return replace(host, guests=tuple(up if g is guest else g for g in host.guests_known))


def test_revert_while_a_guest_runs_names_it_and_how_to_stop_it():
    host = running(applied().host, "win11", *LEFTS)

    with pytest.raises(AssignmentError) as refusal:
        plan_revert(host)

    (words,) = refusal.value.conflicts
    assert "win11 is running" in words
    assert LEFT_GPU in words
    assert "phyllome-seat stop left" in words


def test_a_device_does_not_change_hands_while_a_guest_has_it():
    left, right = two_seat_wish().seats
    host = running(applied().host, "win11", *LEFTS)
    less = two_seat_wish(seats=(replace(left, usb=()), right))

    with pytest.raises(AssignmentError, match=f"win11 is running and has {LEFT_USB}"):
        plan(seats(less, applied().host), host)


def test_guests_that_run_with_what_they_should_have_are_no_difference():
    host = running(applied().host, "win11", *LEFTS)

    assert plan(seats(), host) == ()


def test_a_running_domain_that_only_gets_more_is_edited_for_its_next_start():
    steps = plan(seats(), running(two_seat_pc(), "win11"))

    assert "EditGuest" in kinds(steps)


def test_an_edit_that_ended_before_it_was_made_is_given_back_too():
    (win11,) = two_seat_pc().guests_known
    host = replace(two_seat_pc(), kept_guests=(win11.uuid,))

    assert plan_revert(host) == (RestoreGuest("win11", win11.uuid),)


def test_a_definition_kept_for_a_domain_that_is_gone_goes_too():
    host = replace(two_seat_pc(), guests=(), kept_guests=(RIGHT_UUID,))

    assert plan_revert(host) == (RemoveFile(f"/var/lib/phyllome-seat/before/{RIGHT_UUID}.xml"),)


def test_domains_of_others_are_left_alone():
    xml = WIN11_XML.replace("win11", "other").replace("9b1a01", "9b1a09")
    other = parse_guest(xml, state="running")
    host = replace(applied().host, guests=(*applied().host.guests_known, other))

    assert plan(seats(), host) == ()
    assert "other" not in "".join(map(str, plan_revert(host)))


def test_a_plan_without_libvirt_says_what_it_would_ask_of_it():
    steps = plan(seats(), replace(two_seat_pc(), guests=None))

    assert kinds(steps)[-3:] == ["EditGuest", "CreateDisk", "CreateGuest"]
    assert "edit guest win11 for seat left" in str(steps[-3])


def test_revert_without_libvirt_gives_back_the_rest_and_says_what_is_left():
    host = replace(applied().host, guests=None)

    assert kinds(plan_revert(host))[-6:] == ["RestoreDriver"] * 6
    (left,) = find_left(host)
    assert two_seat_pc().guests_known[0].uuid in left
    assert find_left(applied().host) == ()


@pytest.mark.parametrize("now", [None, "1b73:1009"])
def test_a_function_that_is_gone_or_another_one_now_is_given_nothing_and_forgotten(now):
    def change(device: PciDevice) -> PciDevice | None:
        if str(device.address) != LEFT_USB:
            return device
        return (
            replace(device, id=PciId.parse(now), driver="xhci_hcd", override=None) if now else None
        )

    machine = Machine(with_pci(applied().host, change))

    steps = plan_revert(machine.host)

    (forget,) = [step for step in steps if isinstance(step, ForgetDriver)]
    assert str(forget) == (
        "forget 0000:03:00.0 (1b73:1100): it is gone, nothing is to be given back to it"
    )
    assert LEFT_USB not in {str(s.address) for s in steps if isinstance(s, RestoreDriver)}
    machine.do(*steps)
    assert plan_revert(machine.host) == ()
    assert machine.host.before == ()


def test_a_function_that_is_gone_is_kept_in_mind_while_the_kernel_writes_for_it():
    gone = with_pci(applied().host, lambda d: None if str(d.address) == LEFT_USB else d)
    pending = replace(gone, pending=(Pending(address(LEFT_USB), "xhci_hcd", 7),))

    assert "ForgetDriver" not in kinds(plan_revert(pending))


# -- notes that are lost ---------------------------------------------------------------------------


def without_notes(*places: str) -> Machine:
    """The PC that was set up, seen as a scan does, and some notes of what was before gone."""
    done = applied()
    seen = applied_two_seat_pc()
    host = replace(seen, files=done.host.files, guests=done.host.guests)
    lost = {address(place) for place in places}
    before = tuple(item for item in host.before if item.address not in lost)
    machine = Machine(replace(host, before=before, kept_guests=done.host.kept_guests))
    machine.kept = done.kept
    return machine


def test_a_lost_note_is_made_anew_and_that_is_all():
    machine = without_notes(LEFT_GPU)

    steps = plan(seats(host=machine.host), machine.host)

    assert [str(step) for step in steps] == [
        "note that 0000:01:00.0 (GeForce RTX 4070) was bound for seat left: what it had before is "
        "lost, so the kernel chooses its driver when it is given back"
    ]
    machine.do(*steps)
    assert plan(seats(host=machine.host), machine.host) == ()


@pytest.mark.parametrize("noted", [False, True])
def test_revert_lets_the_kernel_choose_where_a_note_is_lost(noted):
    machine = without_notes(*LEFTS)
    if noted:
        machine.do(*plan(seats(host=machine.host), machine.host))

    steps = plan_revert(machine.host)

    names = kinds(steps)
    assert names.count("NoteDriver") == (0 if noted else 3)
    # a run that ends after the guest was given back, which was the mark, must know it still
    assert "NoteDriver" not in names[names.index("RestoreGuest") :]
    restored = {str(s.address): s for s in steps if isinstance(s, RestoreDriver)}
    assert str(restored[LEFT_GPU]) == (
        "give 0000:01:00.0 (GeForce RTX 4070) back to the driver that the kernel chooses"
    )
    assert [s.known for place, s in restored.items() if place not in LEFTS] == [True] * 3
    machine.do(*steps)
    assert {(d.driver, d.override) for d in machine.host.pci} == {
        (d.driver, d.override) for d in two_seat_pc().pci
    }
    assert plan_revert(machine.host) == ()


def test_revert_that_was_broken_off_anywhere_still_gives_back_where_notes_were_lost():
    steps = plan_revert(without_notes(*LEFTS).host)
    for done in range(len(steps)):
        machine = without_notes(*LEFTS).do(*steps[:done])
        machine.do(*plan_revert(machine.host))
        assert machine.host.by_address[address(LEFT_GPU)].driver == "nouveau", done


def test_what_its_owner_had_on_vfio_before_us_is_no_lost_note():
    bound_at_boot = with_function(two_seat_pc(), LEFT_USB, driver="vfio-pci", override="vfio-pci")
    none_seen = tuple(u for u in bound_at_boot.usb if str(u.port.controller) != LEFT_USB)
    machine = Machine(replace(bound_at_boot, usb=none_seen))
    machine.do(*plan(seats(host=machine.host), machine.host))

    assert plan(seats(host=machine.host), machine.host) == ()
    machine.do(*plan_revert(machine.host))
    left = machine.host.by_address[address(LEFT_USB)]
    assert (left.driver, left.override) == ("vfio-pci", "vfio-pci")


def test_the_group_of_a_function_that_the_host_had_counts_as_the_hosts():
    host = with_function(applied_two_seat_pc(), LEFT_USB, iommu_group=1)
    before = tuple(
        replace(b, driver=None, known=False) if str(b.address) == LEFT_USB else b
        for b in host.before
    )

    blockers = find_blockers(replace(host, before=before), address(LEFT_GPU), ())

    assert LEFT_USB in {str(device.address) for device in blockers}


def console_less(host: Host) -> Assignment:
    left, right = two_seat_wish().seats
    host_card = PciMatch(address(HOST_GPU), host.by_address[address(HOST_GPU)].id)
    wish = two_seat_wish(seats=(left, replace(right, gpu=host_card)), console="none")
    return assign(wish, host)


def test_the_way_back_is_armed_before_the_console_goes():
    host = replace(two_seat_pc(), console=Console(gpu=address(HOST_GPU), ssh=True))

    steps = plan(console_less(host), host)

    assert kinds(steps)[0] == "ArmReturn"
    after = Machine(host).do(*steps).host
    assert plan(console_less(host), after) == ()


def test_the_way_back_is_armed_when_the_last_keyboard_goes():
    host = two_seat_pc()
    inputs = tuple(i for i in host.inputs if i.pci in (address(LEFT_USB), address(RIGHT_USB)))
    bare = replace(host, inputs=inputs, console=Console(gpu=address(HOST_GPU), ssh=True))
    assignment = assign(two_seat_wish(console="none"), bare)

    assert kinds(plan(assignment, bare))[0] == "ArmReturn"
    assert kinds(plan(assign(two_seat_wish(), host), host)).count("ArmReturn") == 0


def test_a_kept_console_needs_no_way_back():
    steps = plan(seats(two_seat_wish(console="none")), two_seat_pc())

    assert "ArmReturn" not in kinds(steps)


def test_the_plan_after_a_scan_that_only_remembers_is_empty():
    machine = applied()
    host = replace(applied_two_seat_pc(), files=machine.host.files, guests=machine.host.guests)

    assert plan(seats(host=host), replace(host, kept_guests=machine.host.kept_guests)) == ()
    assert [f.path for f in machine.host.files] == [RULES_PATH]
