"""The generated machines: worth a property only if they are whole, and as odd as they say."""

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from phyllome_seat.model.host_json import parse_host, render_host
from phyllome_seat.model.printable import one_line
from phyllome_seat.model.protect import protect
from tests.model.machines import machines
from tests.model.texts import map_texts

_SEARCH = settings(  # an example is enough, it need not be the smallest
    max_examples=3000,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=50)
@given(machines())
def test_a_generated_machine_is_whole(host):
    assert len(host.by_address) == len(host.pci)
    assert {c.gpu for c in host.connectors} <= {d.address for d in host.pci if d.is_gpu}
    places = [d.port for d in host.usb]
    assert len(set(places)) == len(places)
    assert {port.controller for port in places} <= set(host.by_address)
    assert {i.usb for i in host.inputs if i.usb} <= set(places)
    assert {d.parent for d in host.pci if d.parent} <= set(host.by_address)
    assert parse_host(render_host(host)) == map_texts(host, lambda _, text: one_line(text))


def is_mounted_through(*names):
    def follows(host):
        blocks = {block.name: block for block in host.blocks}
        return any(
            set(names) <= {m.device, *(blocks[m.device].below if m.device in blocks else ())}
            for m in host.mounts
        )

    return follows


def kinds(host):
    return {reason.kind for reasons in protect(host).pci.values() for reason in reasons}


@pytest.mark.parametrize(
    "is_odd",
    [
        is_mounted_through("dm-1", "dm-0"),
        is_mounted_through("md0"),
        lambda host: any(n.name == "br0" and n.below == ("bond0",) for n in host.networks),
        lambda host: len({d.id for d in host.pci if d.is_gpu}) < sum(d.is_gpu for d in host.pci),
        lambda host: any(
            {d.class_code >> 16 for d in members} >= {0x01, 0x03}
            for members in host.groups.values()
        ),
        lambda host: {cpu.kind for cpu in host.cpus} == {"core", "atom"},
        lambda host: sum(d.is_usb_controller for d in host.pci) == 1 and len(host.inputs) > 2,
        lambda host: {"disk", "network", "console", "keyboard"} <= kinds(host),
        lambda host: not host.groups,
        lambda host: any("\x1b" in device.name for device in host.usb),
        lambda host: bool(host.before),
    ],
    ids=lambda _: "",
)
def test_each_oddity_is_among_the_generated(is_odd):
    found = find(machines(), is_odd, settings=_SEARCH)

    assert is_odd(found)
