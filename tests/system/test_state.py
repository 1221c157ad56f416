"""State files: whole or not at all, and a way back that is never passed over."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from phyllome_seat.model import plan_rules, rules
from phyllome_seat.model.address import PciAddress, PciId, UsbId, UsbPort
from phyllome_seat.model.devices import BeforeBind, Pending
from phyllome_seat.model.errors import StateFileError
from phyllome_seat.model.lend import Lend, Lending, Released
from phyllome_seat.system.state import HEADER, RELOAD, RULES, State, read_state
from phyllome_seat.system.sysfs import Sysfs

ADDRESS = PciAddress.parse("0000:01:00.1")
BEFORE = BeforeBind(ADDRESS, PciId.parse("10de:22bc/1043:88e2"), "snd_hda_intel", None, "left")
UUID = "5f0bb4a4-0a47-4d5e-8d8e-111111111111"


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path))


class Proc(Sysfs):
    """A tree with the processes of the machine the test runs on."""

    def read_bytes(self, path):
        return (Sysfs("/") if path.startswith("proc/") else super()).read_bytes(path)


def kill_at(nth, work):
    """Do `work` in a process that is killed right before its `nth` change to the file system.

    Return whether it was killed: False means that there is no such change.
    """
    pid = os.fork()
    if pid == 0:
        left = nth

        def die(event, args):
            nonlocal left
            changes = event in ("os.rename", "os.remove", "os.mkdir", "os.chmod") or (
                event == "open"
                and isinstance(args[2], int)
                and args[2] & (os.O_CREAT | os.O_WRONLY)
            )
            if changes:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_what_a_function_had_is_read_back_as_it_was_written(state, tmp_path):
    unknown = BeforeBind(ADDRESS, BEFORE.id, None, None, "left", known=False)
    for before in (BEFORE, BeforeBind(ADDRESS, BEFORE.id, None, "vfio-pci", "right"), unknown):
        state.write_before(before)

        assert state.read_before(ADDRESS) == before
        assert read_state(Sysfs(str(tmp_path)))[0] == (before,)

    state.drop_before(ADDRESS)
    state.drop_before(ADDRESS)

    assert state.read_before(ADDRESS) is None
    assert read_state(Sysfs(str(tmp_path))) == ((), (), (), ())


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '"x"', "{}", '{"address": "0000:01:00.1"}', "[" * 100_000, "\0" * 200),
        '{"address": "0000:01:00.1", "id": 7, "driver": null, "override": null, "seat": "left"}',
        '{"address": "1:0", "id": "10de:22bc", "driver": null, "override": null, "seat": "left"}',
    ],
)
def test_a_broken_way_back_is_an_error_that_names_the_file(state, tmp_path, text):
    state.write_before(BEFORE)
    (tmp_path / "run/phyllome-seat/before/0000:01:00.1").write_text(text)

    with pytest.raises(StateFileError, match=r"^/run/phyllome-seat/before/0000:01:00\.1: "):
        read_state(Sysfs(str(tmp_path)))
    with pytest.raises(StateFileError, match=r"^/run/phyllome-seat/before/0000:01:00\.1: "):
        state.read_before(ADDRESS)


def test_a_write_is_pending_as_long_as_its_process_lives(state, tmp_path):
    process = subprocess.Popen(["sleep", "60"])
    pending = Pending(ADDRESS, "snd_hda_intel", process.pid, ("pid 812 (wireplumber)",))
    state.write_pending(pending)

    assert read_state(Proc(str(tmp_path)))[1] == (pending,)

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has waited yet

    assert read_state(Proc(str(tmp_path)))[1] == ()
    process.wait()
    assert read_state(Proc(str(tmp_path)))[1] == ()


def test_a_process_id_that_is_used_again_is_not_a_pending_write(state, tmp_path):
    state.write_pending(Pending(ADDRESS, "snd_hda_intel", os.getpid()))
    path = tmp_path / "run/phyllome-seat/pending/0000:01:00.1"
    text = path.read_text()
    started = text.partition('"started": ')[2].partition(",")[0]

    assert len(read_state(Proc(str(tmp_path)))[1]) == 1
    path.write_text(text.replace(f'"started": {started}', f'"started": {int(started) - 1}'))

    assert read_state(Proc(str(tmp_path)))[1] == ()


def test_a_guest_is_kept_as_it_was_first_and_for_root_alone(state, tmp_path):
    state.keep_guest(UUID, "<domain>passwd='secret'</domain>")
    state.keep_guest(UUID, "<domain>ours</domain>")
    path = tmp_path / f"var/lib/phyllome-seat/before/{UUID}.xml"

    assert state.read_guest(UUID) == "<domain>passwd='secret'</domain>"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_state(Sysfs(str(tmp_path)))[3] == (UUID,)


def test_the_files_that_are_read_are_those_that_a_plan_writes():
    assert f"/{RULES}" == rules.RULES_PATH
    assert f"/{RELOAD}" == plan_rules.RELOAD_PATH
    assert rules.HEADER == HEADER


def test_only_a_file_with_our_header_is_ours(tmp_path):
    path = tmp_path / RULES
    path.parent.mkdir(parents=True)

    path.write_text('SUBSYSTEM=="usb", ENV{ID_SEAT}="seat-mine"\n')
    assert read_state(Sysfs(str(tmp_path)))[2] == ()

    path.write_text(f"{HEADER}written by it\n")
    assert [file.path for file in read_state(Sysfs(str(tmp_path)))[2]] == [f"/{RULES}"]


def test_killed_at_any_write_the_old_or_the_new_is_there_whole(tmp_path):
    new = BeforeBind(ADDRESS, BEFORE.id, "nouveau", "nouveau", "right" * 1000)
    kills = 0
    for nth in range(1, 100):
        root = tmp_path / str(nth)
        root.mkdir()
        state = State(str(root))
        state.write_before(BEFORE)
        if not kill_at(nth, lambda state=state: state.write_before(new)):
            break
        kills += 1

        assert read_state(Sysfs(str(root)))[0] in ((BEFORE,), (new,))
        state.sweep()
        assert [path.name for path in (root / "run/phyllome-seat/before").iterdir()] == [
            str(ADDRESS)
        ]

    assert kills >= 3  # the temporary file is opened, given its mode, renamed
    assert state.read_before(ADDRESS) == new


def test_killed_at_the_first_write_ever_nothing_or_the_new_is_there(tmp_path):
    kills = 0
    for nth in range(1, 100):
        root = tmp_path / str(nth)
        root.mkdir()
        state = State(str(root))
        if not kill_at(nth, lambda state=state: state.keep_guest(UUID, "<domain/>")):
            break
        kills += 1

        assert state.read_guest(UUID) in (None, "<domain/>")
        state.sweep()
        assert read_state(Sysfs(str(root)))[3] in ((), (UUID,))

    assert kills >= 6  # and four folders are made


SAID = Lending(
    (
        Lend(UsbPort.parse("0000:00:14.0/usb2/4.1"), UsbId(1, 2), 'a"b\\', "left", since_s=5.0),
        Lend(
            UsbPort.parse("0000:00:14.0/usb3/2"), UsbId(1, 2), None, "right", "time", 9.5, 5.0, 6.0
        ),
    ),
    (Released(UsbPort.parse("0000:00:14.0/usb2/1"), UsbId(3, 4), "S", 1, 9, 5.0),),
)


def test_what_was_lent_and_taken_back_is_read_as_it_was_written(tmp_path):
    state = State(str(tmp_path))
    assert state.read_lending() == Lending()

    state.write_lending(SAID)

    assert state.read_lending() == SAID
    state.write_lending(Lending())
    assert not (tmp_path / "run/phyllome-seat/lends").exists()


@pytest.mark.parametrize(
    "change",
    [
        ('"left"', "5"),
        ('"time"', '"never"'),
        ("9.5", '"soon"'),
        ("9.5", "NaN"),
        ("9.5", "true"),
        ("usb3/2", "usb4/2"),
        ('"0001:0002"', '"1:2"'),
        ('"lends"', '"lend"'),
        ('"number": 9', '"number": 9.0'),
        ("[{", "[5,{"),
        ("{", "["),
    ],
)
def test_lends_that_do_not_parse_are_said_and_not_passed_over(tmp_path, change):
    state = State(str(tmp_path))
    state.write_lending(SAID)
    file = tmp_path / "run/phyllome-seat/lends"
    broken = file.read_text().replace(*change, 1)
    assert broken != file.read_text()
    file.write_text(broken)

    with pytest.raises(StateFileError, match="/run/phyllome-seat/lends: "):
        state.read_lending()
