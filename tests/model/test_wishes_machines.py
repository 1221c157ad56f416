"""Whatever a seat asks for by name, on any machine: what is accepted leaves the host its disks."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings

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


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=80)
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


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=80)
@given(machines())
def test_a_disk_is_never_waivable(host):
    for reasons in protect(host).pci.values():
        for reason in reasons:
            assert not (reason.waivable and reason.kind in ("disk", "network", "guest", "bridge"))
