"""Binding: by address, identity first, holders first, read back; on a tree that reacts."""

import os
import shutil
from dataclasses import replace

import pytest

from phyllome_seat.model.address import PciAddress, PciId
from phyllome_seat.model.devices import BeforeBind
from phyllome_seat.model.errors import ApplyError, HeldError, ReadBackError
from phyllome_seat.model.step import BindDriver, ForgetDriver, NoteDriver, RestoreDriver
from phyllome_seat.system.bind import bind, check, forget, note, restore
from phyllome_seat.system.state import State, read_state
from tests.system.binding import SCENARIOS, Bench
from tests.system.fake_kernel import FakeKernel, Function
from tests.system.own_node import OwnNode

SOUND = Function("0000:01:00.1", (0x10DE, 0x22BC, 0x1043, 0x88E2), "snd_hda_intel")
TWIN = Function("0000:02:00.1", (0x10DE, 0x22BC, 0x1043, 0x88E2), "snd_hda_intel", group=2)
ADDRESS = PciAddress.parse(SOUND.address)
ID = PciId(*SOUND.id)
DRIVERS = ("vfio-pci", "snd_hda_intel", "nouveau")


@pytest.fixture
def kernel(tmp_path):
    return FakeKernel(tmp_path, (SOUND, TWIN), DRIVERS)


@pytest.fixture
def state(kernel):
    return State(kernel.root)


def bind_step(was="snd_hda_intel", override=None, identity=ID, address=ADDRESS):
    return BindDriver(address, identity, "GeForce sound", was, override, "left")


def restore_step(driver="snd_hda_intel", override=None):
    return RestoreDriver(ADDRESS, ID, "GeForce sound", driver, override)


@pytest.fixture
def node():
    node = OwnNode()
    yield node
    node.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name, kernel, state):
    address = SOUND.address
    hands = {"hold": lambda: kernel.hold(address), "let_go": lambda: kernel.let_go(address)}
    bench = Bench(kernel, state, address, **hands)

    SCENARIOS[name](bench)


def test_its_twin_keeps_its_driver(kernel, state):
    bind(bind_step(), kernel, state)

    assert kernel.driver(TWIN.address) == "snd_hda_intel"
    assert kernel.override(TWIN.address) == "(null)"


def test_another_device_at_the_address_is_refused_and_nothing_written(kernel, state):
    wrong = PciId.parse("10de:2786/1043:88e2")

    with pytest.raises(ApplyError) as refused:
        bind(bind_step(identity=wrong), kernel, state)

    assert str(refused.value).startswith(
        "0000:01:00.1 is now 10de:22bc/1043:88e2, not 10de:2786/1043:88e2"
    )
    assert kernel.override(SOUND.address) == "(null)"
    assert read_state(kernel)[0] == ()


def test_another_maker_s_board_with_the_same_chip_is_refused(kernel, state):
    with pytest.raises(ApplyError, match="is now 10de:22bc/1043:88e2, not 10de:22bc/1462:5103"):
        bind(bind_step(identity=PciId.parse("10de:22bc/1462:5103")), kernel, state)


def test_a_device_that_is_gone_is_refused(kernel, state):
    kernel.unplug(SOUND.address)

    with pytest.raises(ApplyError, match=r"^0000:01:00\.1 is not there, not 10de:22bc"):
        bind(bind_step(), kernel, state)


def test_a_driver_that_was_not_planned_for_is_refused(kernel, state):
    with pytest.raises(ApplyError, match="has driver snd_hda_intel now, nouveau when"):
        bind(bind_step(was="nouveau"), kernel, state)


def test_a_function_in_use_is_refused_its_holder_named_and_nothing_written(kernel, state, node):
    folder = kernel.path / f"sys/devices/pci0000:00/{ADDRESS}/sound/card1/controlC1"
    folder.mkdir(parents=True)
    (folder / "dev").write_text(f"{node.number}\n")
    (folder / "subsystem").symlink_to("/sys/class/sound")
    with node:
        with pytest.raises(HeldError, match=rf"is in use by pid {os.getpid()} \("):
            check(bind_step(), kernel)
        with pytest.raises(HeldError):
            bind(bind_step(), kernel, state)

    assert kernel.driver(SOUND.address) == "snd_hda_intel"
    assert kernel.override(SOUND.address) == "(null)"
    assert read_state(kernel) == ((), (), (), ())
    bind(bind_step(), kernel, state)


def test_a_function_a_guest_holds_is_not_taken_back(kernel, state, node):
    bind(bind_step(), kernel, state)
    group = kernel.path / "sys/class/vfio/1"
    group.mkdir(parents=True)
    (group / "dev").write_text(f"{node.number}\n")
    with node, pytest.raises(HeldError, match=rf"is in use by pid {os.getpid()} \("):
        restore(restore_step(), kernel, state)

    assert kernel.driver(SOUND.address) == "vfio-pci"
    assert len(read_state(kernel)[0]) == 1


def test_a_bind_that_did_not_happen_names_what_is_and_what_was_wanted(tmp_path):
    alone = Function("0000:03:00.0", (0x1AF4, 0x1050, 0x1AF4, 0x1100), None, group=None)
    kernel = FakeKernel(tmp_path, (alone,))  # without an IOMMU group vfio-pci takes no device
    address = PciAddress.parse(alone.address)

    with pytest.raises(ReadBackError, match="its driver is none, not vfio-pci") as failed:
        bind(bind_step(None, None, PciId(*alone.id), address), kernel, State(kernel.root))

    assert "journalctl -k -g 0000:03:00.0" in failed.value.hint


def test_a_driver_that_fails_on_the_way_back_is_said_and_the_way_back_kept(kernel, state):
    bind(bind_step(), kernel, state)
    kernel.broken(SOUND.address)

    with pytest.raises(ReadBackError, match="its driver is none, not snd_hda_intel"):
        restore(restore_step(), kernel, state)

    assert len(read_state(kernel)[0]) == 1


def test_a_host_driver_in_a_group_that_a_guest_has_is_said(kernel, state):
    bind(bind_step(), kernel, state)
    kernel.claim(1)

    with pytest.raises(ReadBackError):
        restore(restore_step(), kernel, state)


def test_a_function_without_a_driver_gets_none_back(tmp_path):
    idle = Function("0000:03:00.2", (0x10DE, 0x1AD8, 0x1043, 0x88E2))
    kernel = FakeKernel(tmp_path, (idle,))
    state = State(kernel.root)
    address, identity = PciAddress.parse(idle.address), PciId(*idle.id)

    bind(bind_step(None, None, identity, address), kernel, state)
    assert kernel.driver(idle.address) == "vfio-pci"
    restore(RestoreDriver(address, identity, "USB-C", None, None), kernel, state)

    assert (kernel.driver(idle.address), kernel.override(idle.address)) == (None, "(null)")


def test_what_was_on_vfio_before_us_stays_there(kernel, state):
    kernel.begin_write(f"sys/bus/pci/devices/{ADDRESS}/driver_override").finish("vfio-pci", 5)
    kernel.begin_write(f"sys/bus/pci/devices/{ADDRESS}/driver/unbind").finish(str(ADDRESS), 5)
    kernel.begin_write("sys/bus/pci/drivers_probe").finish(str(ADDRESS), 5)

    bind(bind_step(was="vfio-pci", override="vfio-pci"), kernel, state)
    restore(restore_step("vfio-pci", "vfio-pci"), kernel, state)

    assert (kernel.driver(SOUND.address), kernel.override(SOUND.address)) == ("vfio-pci",) * 2
    assert read_state(kernel)[0] == ()


def test_the_first_before_is_the_one_that_is_kept(kernel, state):
    first = BeforeBind(ADDRESS, ID, "snd_hda_intel", "snd_hda_intel", "left")
    state.write_before(first)
    kernel.begin_write(f"sys/bus/pci/devices/{ADDRESS}/driver/unbind").finish(str(ADDRESS), 5)

    bind(bind_step(was=None), kernel, state)

    assert state.read_before(ADDRESS) == first


def test_what_another_device_had_at_this_place_is_not_kept(kernel, state):
    state.write_before(BeforeBind(ADDRESS, PciId.parse("1002:ab28"), "none", None, "right"))

    bind(bind_step(), kernel, state)

    assert state.read_before(ADDRESS) == BeforeBind(ADDRESS, ID, "snd_hda_intel", None, "left")


def test_a_device_pulled_out_meanwhile_has_nothing_to_be_given_back(kernel, state):
    bind(bind_step(), kernel, state)
    kernel.unplug(SOUND.address)

    restore(restore_step(), kernel, state)

    assert read_state(kernel)[0] == ()


def test_a_driver_its_owner_gave_it_since_stays(kernel, state):
    bind(bind_step(), kernel, state)
    place = f"sys/bus/pci/devices/{ADDRESS}"
    kernel.begin_write(f"{place}/driver_override").finish("nouveau", 5)
    kernel.begin_write(f"{place}/driver/unbind").finish(str(ADDRESS), 5)
    kernel.begin_write("sys/bus/pci/drivers_probe").finish(str(ADDRESS), 5)

    restore(restore_step(), kernel, state)

    assert (kernel.driver(SOUND.address), kernel.override(SOUND.address)) == ("nouveau",) * 2
    assert read_state(kernel)[0] == ()


# -- notes that are lost ---------------------------------------------------------------------------


def lose_note(kernel, state):
    """Bind the function, and lose what it had."""
    bind(bind_step(), kernel, state)
    state.drop_before(ADDRESS)
    return NoteDriver(ADDRESS, ID, "sound", "left")


@pytest.mark.parametrize("driver", ["there", "a module", "none"])
def test_a_function_whose_note_was_lost_gets_the_driver_the_kernel_chooses(
    driver, kernel, state, tmp_path, monkeypatch
):
    step = lose_note(kernel, state)
    loads = f"mkdir -p {kernel.root}/sys/bus/pci/drivers/snd_hda_intel" * (driver == "a module")
    modprobe = tmp_path / "modprobe"
    modprobe.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/calls\n{loads or 'exit 1'}\n")
    modprobe.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if driver != "there":
        shutil.rmtree(kernel.path / "sys/bus/pci/drivers/snd_hda_intel")

    for _ in range(2):
        note(step, kernel, state)
        assert read_state(kernel)[0] == (BeforeBind(ADDRESS, ID, None, None, "left", known=False),)
    for _ in range(2):
        restore(RestoreDriver(ADDRESS, ID, "sound", None, None, known=False), kernel, state)

    assert kernel.driver(SOUND.address) == (None if driver == "none" else "snd_hda_intel")
    assert kernel.override(SOUND.address) == "(null)"
    assert read_state(kernel)[0] == ()
    calls = (tmp_path / "calls").read_text().split("\n") if driver != "there" else []
    assert set(calls) <= {"-- pci:v000010DEd000022BC", ""}


def test_a_note_that_is_there_again_is_not_written_over(kernel, state):
    step = lose_note(kernel, state)
    bound = BeforeBind(ADDRESS, ID, "snd_hda_intel", None, "left")
    state.write_before(bound)

    note(step, kernel, state)

    assert state.read_before(ADDRESS) == bound


def test_a_note_is_of_the_function_it_was_planned_for(kernel, state):
    step = replace(lose_note(kernel, state), id=PciId.parse("1002:ab28"))

    with pytest.raises(ApplyError, match="no longer 1002:ab28"):
        note(step, kernel, state)

    assert read_state(kernel)[0] == ()


def test_only_what_is_gone_is_forgotten(kernel, state):
    bind(bind_step(), kernel, state)

    forget(ForgetDriver(ADDRESS, ID), kernel, state)
    assert [kept.address for kept in read_state(kernel)[0]] == [ADDRESS]

    kernel.unplug(SOUND.address)
    for _ in range(2):
        forget(ForgetDriver(ADDRESS, ID), kernel, state)
        assert read_state(kernel)[0] == ()
