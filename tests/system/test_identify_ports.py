"""Learning sockets in a tree that gets a stick while we wait."""

import os
import threading
import time
from contextlib import closing

import pytest

from phyllome_seat.system.identify_ports import watch_sockets
from tests.system.bell import Bell
from tests.system.device_trees import hub_port, pci, root_hub, usb
from tests.system.trees import make_tree

CONTROLLER = "pci0000:00/0000:00:14.0"


@pytest.fixture
def tree(tmp_path):
    slow, fast = f"{CONTROLLER}/usb1/1-0:1.0", f"{CONTROLLER}/usb2/2-0:1.0"
    files = (
        pci(CONTROLLER, identity="8086:7AE0", class_code="C0330", driver="xhci_hcd")
        | root_hub(CONTROLLER, 1)
        | root_hub(CONTROLLER, 2, product=3)
        | hub_port(slow, "usb1-port3", peer=f"{fast}/usb2-port13")
        | hub_port(fast, "usb2-port13", peer=f"{slow}/usb1-port3")
        | usb(f"{CONTROLLER}/usb1/1-1", number=2)
    )
    return tmp_path, make_tree(tmp_path, files)


def test_a_plug_is_told_once_with_both_speeds_and_quiet_ends_it(tree):
    folder, sysfs = tree
    bell = Bell()

    def hands():
        make_tree(folder, usb(f"{CONTROLLER}/usb2/2-13", number=5, manufacturer="Ultra\n"))
        bell.ring()

    threading.Timer(0.2, hands).start()
    began = time.monotonic()

    sockets = list(watch_sockets(sysfs, bell, timeout_s=1.0))

    assert [list(map(str, socket.ports)) for socket in sockets] == [
        ["0000:00:14.0/usb2/3", "0000:00:14.0/usb3/13"]
    ]
    assert time.monotonic() - began < 6


def test_enter_ends_it_at_once(tree):
    shell, typed = os.openpty()
    os.write(shell, b"\n")
    began = time.monotonic()

    with closing(watch_sockets(tree[1], Bell(), timeout_s=20, terminal=typed)) as sockets:
        assert list(sockets) == []

    assert time.monotonic() - began < 5
