"""What the host would need, on machines that were recorded elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from phyllome_seat.model.devices import Mount, NetworkUse
from phyllome_seat.model.host_json import parse_host, render_host
from phyllome_seat.model.protect import protect
from tests.recorded import MACHINES


@pytest.fixture(params=(*MACHINES, "thinkpad-t60"))
def machine(request, read_machine):
    return read_machine(request.param)[0]


def needs(host, kind):
    """The functions other than bridges that a host needs for a kind of reason."""
    bridges = {device.address for device in host.pci if device.is_bridge}
    found = {a for a, reasons in protect(host).pci.items() if any(r.kind == kind for r in reasons)}
    return found - bridges


def test_a_recorded_machine_is_the_same_after_json(machine):
    assert parse_host(render_host(machine)) == machine


def test_each_disk_of_a_recorded_machine_keeps_its_controller_when_it_is_in_use(machine):
    assert machine.blocks
    for block in machine.blocks:
        (controller,) = needs(replace(machine, mounts=(Mount(block.name, "/"),)), "disk")
        device = machine.by_address.get(controller)

        # mass storage, a card reader or USB; a recording may lack the function itself
        assert device is None or device.class_code >> 16 in (0x01, 0x08, 0x0C), block


def test_each_card_of_a_recorded_machine_stays_when_the_default_route_is_its_own(machine):
    cards = [interface for interface in machine.networks if interface.pci]
    assert cards
    for card in cards:
        use = NetworkUse(card.name, "default route", "/proc/net/route")
        assert needs(replace(machine, network_uses=(use,)), "network") == {card.pci}
