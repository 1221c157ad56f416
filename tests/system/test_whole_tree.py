"""From a tree of files to what a seat gets: all rooms that only read, one after the other."""

from __future__ import annotations

from phyllome_seat.model.address import UsbPort
from phyllome_seat.model.assign import assign
from phyllome_seat.model.owner import find_owner
from phyllome_seat.model.rules import render_rules
from phyllome_seat.model.seat_file import parse_wish
from phyllome_seat.system.scan import scan
from tests.system.device_trees import hub_port, interface, pci, root_hub, usb
from tests.system.trees import make_tree

XHCI = "pci0000:00/0000:00:14.0"
SLOW, FAST = f"{XHCI}/usb1", f"{XHCI}/usb2"
WISH = """\
version: 1
seats:
  left:
    usb:
      - port: {{controller: "0000:00:14.0", id: "8086:7ae0", {number}}}
"""


def test_a_socket_whose_two_speeds_have_unequal_numbers_goes_to_a_seat_by_either(tmp_path):
    """As on boards: the slow half of a stick's socket is 3, its fast half 13, and 3 is another."""
    sysfs = make_tree(
        tmp_path,
        pci(XHCI, identity="8086:7AE0", class_code="C0330", driver="xhci_hcd")
        | root_hub(XHCI, 1)
        | root_hub(XHCI, 2, product=3)
        | {f"sys/devices/{SLOW}/speed": "480", f"sys/devices/{FAST}/speed": "10000"}
        | hub_port(f"{SLOW}/1-0:1.0", "usb1-port3", peer=f"{FAST}/2-0:1.0/usb2-port13")
        | hub_port(f"{FAST}/2-0:1.0", "usb2-port13", peer=f"{SLOW}/1-0:1.0/usb1-port3")
        | hub_port(f"{SLOW}/1-0:1.0", "usb1-port13")
        | hub_port(f"{FAST}/2-0:1.0", "usb2-port3")
        | usb(f"{FAST}/2-13", product="781/5581/100")
        | interface(f"{FAST}/2-13/2-13:1.0", "8/6/80", driver="usb-storage")
        | usb(f"{FAST}/2-3", product="bda/8153/3000", number=3)
        | interface(f"{FAST}/2-3/2-3:1.0", "255/255/0", driver="r8152"),
    )
    host = scan(sysfs)

    for number in ('usb2: "3"', 'usb3: "13"', 'usb2: "3", usb3: "13"'):
        assignment = assign(parse_wish(WISH.format(number=number), "seats.yaml"), host)
        (seat,) = assignment.seats
        assert seat.ports == tuple(
            UsbPort.parse(f"0000:00:14.0/{port}") for port in ("usb2/3", "usb3/13")
        )
        assert [d.sysname for d in host.usb if find_owner(assignment, d)] == ["2-13"]
        rules = render_rules(assignment, host)
        assert "[0-9]-13|" in rules
        assert "[0-9]-3|" in rules
