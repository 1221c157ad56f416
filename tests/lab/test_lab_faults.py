"""What is taken for the emulator's fault: from registers as a guest's QEMU printed them."""

import pytest

from phyllome_seat.lab.faults import SAMPLES, find_restarted, find_standing, look
from tests.lab.story import Story

# QEMU 10.0 in a PC of QEMU 11.1, one thread for all processors: the guest waits for its run queue.
STANDS = """\
guest left
CPU#0
RAX=0000000000000001 RBX=ff17853756e36040 RCX=000000009c1b5efb RDX=0000000000000000
RIP={place:016x} RFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
"""
WAITS = (
    "guest right\nCPU#0\nRIP=ffffffff81d20acf RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\n"
)
# Seen under QEMU 10.0: the guest has its host's registers, and no code at that place.
FAULTS = """\
guest left
CPU#0
RIP=ffffffffc0f840b0 RFL=00010246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0
"""
LOOP = 0xFFFFFFFF8F11E880


def test_a_processor_that_waits_with_interrupts_off_for_seconds_stands_still():
    samples = "".join(STANDS.format(place=LOOP - 2 * (i % 2)) + WAITS for i in range(SAMPLES))

    assert find_standing(samples) == "processor 0 of guest left stands still at ffffffff8f11e880"


def test_a_processor_that_faults_at_one_instruction_for_seconds_stands_still():
    assert (
        find_standing(FAULTS * SAMPLES)
        == "processor 0 of guest left stands still at ffffffffc0f840b0"
    )


@pytest.mark.parametrize(
    "samples",
    [
        WAITS * SAMPLES,
        WAITS.replace("HLT=1", "HLT=0") * SAMPLES,  # in a loop, but interrupts are on
        STANDS.format(place=LOOP) * (SAMPLES - 1),  # not looked at for long enough
        STANDS.format(place=LOOP) * (SAMPLES - 1) + STANDS.format(place=LOOP + 0x1000),
        STANDS.format(place=0xE61C) * SAMPLES,  # firmware, whose own loops wait like that
        STANDS.format(place=LOOP).replace("HLT=0", "HLT=1") * SAMPLES,  # off for good: `halt`
        FAULTS * (SAMPLES - 1) + FAULTS.replace("c0f840b0", "c0f840b4"),  # it goes on
        "error: Domain is not running\n",
        "",
    ],
)
def test_whatever_goes_on_or_sleeps_is_no_fault_of_the_emulators(samples):
    assert find_standing(samples) == ""


def test_a_guest_that_booted_more_often_than_it_was_started_restarted():
    assert find_restarted("left 1 1\nright 3 2\n") == "guest right restarted"


@pytest.mark.parametrize(
    "counted",
    [
        "left 1 1\nright 2 2\n",
        "left 0 1\n",  # it has not come up
        "left 2 \n",  # libvirt's log is not there
        "* 0 0\n",  # no guest at all
        "",
    ],
)
def test_a_guest_that_booted_at_each_start_or_not_yet_did_not(counted):
    assert find_restarted(counted) == ""


@pytest.mark.lab
def test_in_a_pc_a_guest_that_runs_is_no_fault_and_one_that_restarts_is(pc):
    story = Story(pc)
    story.prepare()
    pc.run("virsh -q start left", timeout_s=180)
    first = story.wait_ready("left").boot
    assert look(pc) == ""

    pc.run("virsh -q reset left")
    pc.wait("test $(grep -c '^guest seat=left' /var/log/libvirt/qemu/left-serial.log) = 2")
    assert story.log("left").boot != first
    assert look(pc) == "guest left restarted"
