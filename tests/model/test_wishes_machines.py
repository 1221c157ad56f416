"""Whatever a seat asks for by name, on any machine: what is accepted leaves the host its disks."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phyllome_seat.model.assign import assign
from phyllome_seat.model.errors import AssignmentError
from phyllome_seat.model.protect import protect
from phyllome_seat.model.seat import PciMatch, Seat, Wish
from tests.model.machines import machines


def wishes(host):
    """Every card, every USB controller and every disk controller, each alone, console given up."""
    for device in host.pci:
        match = PciMatch(device.address, device.id)
        if device.is_usb_controller:
            yield Seat("left", usb=(match,))
        else:
            yield Seat("left", gpu=match)


@settings(suppress_health_check=list(HealthCheck), max_examples=80)
@given(machines())
def test_no_accepted_seat_takes_what_a_mount_is_on_nor_its_group(host):
    host = replace(host, before=())
    kept = {
        address
        for address, reasons in protect(host).pci.items()
        if any(reason.kind in ("disk", "network") for reason in reasons)
    }
    for seat in wishes(host):
        try:
            assignment = assign(Wish((seat,), console="none"), host)
        except AssignmentError:
            continue
        (given_away,) = assignment.seats
        taken = {device.address for device in given_away.pci}
        assert taken
        assert not taken & kept
        for address in taken:
            assert not {member.address for member in host.group_of(address)} & kept - bridges(host)


def bridges(host):
    return {device.address for device in host.pci if device.is_bridge}


@settings(suppress_health_check=list(HealthCheck), max_examples=80)
@given(machines())
def test_a_disk_is_never_waivable(host):
    for reasons in protect(host).pci.values():
        for reason in reasons:
            assert not (reason.waivable and reason.kind in ("disk", "network", "guest", "bridge"))


def disks_below(host, name):
    """The block devices that one is made of, itself first; None for one that nobody knows."""
    block = {b.name: b for b in host.blocks}.get(name)
    found = [block]
    for below in block.below if block else ():
        found += disks_below(host, below)
    return found


def kept_for_disks(host):
    """Every function that a mount needs, in no other way than by asking each function for it."""
    kept = set()
    for mount in host.mounts:
        disks = disks_below(host, mount.device)
        kept |= {address for disk in disks if disk for address in disk.pci}
        if None in disks:
            kept |= {d.address for d in host.pci if d.class_code >> 16 == 1}
    kept -= bridges(host)
    return {m.address for a in kept for m in host.group_of(a)} - bridges(host)


@settings(suppress_health_check=list(HealthCheck), max_examples=80)
@given(machines(), st.data())
def test_whatever_is_about_to_leave_the_disks_below_each_mount_stay_with_their_groups(host, data):
    leaving = data.draw(st.lists(st.sampled_from([d.address for d in host.pci]), max_size=6))
    ports = data.draw(st.lists(st.sampled_from([d.port for d in host.usb] or [None]), max_size=4))
    for protected in (protect(host), protect(host, tuple(leaving), tuple(filter(None, ports)))):
        for address in kept_for_disks(host):
            reasons = [r for r in protected.pci[address] if r.kind == "disk"]
            assert reasons
            assert not any(reason.waivable for reason in reasons)
        for disk in (d for m in host.mounts for d in disks_below(host, m.device)):
            if disk and disk.usb:
                assert any(r.kind == "disk" for r in protected.usb[disk.usb])


@settings(suppress_health_check=list(HealthCheck), max_examples=80)
@given(machines())
def test_what_the_board_is_made_of_stays_on_every_machine(host):
    protected = protect(host)
    for device in host.pci:
        if device.is_bridge or device.class_code >> 8 == 0x0C05:
            assert "bridge" in {reason.kind for reason in protected.pci[device.address]}
