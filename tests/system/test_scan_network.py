from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.system.ip import parse_address, parse_kernel_address, render_address
from phyllome_seat.system.routes import find_ways, read_routes
from phyllome_seat.system.scan_network import read_networks
from phyllome_seat.system.tcp import read_ssh_ports, read_tcp
from tests.system.trees import Link, make_tree, mountinfo

ROUTES = (
    "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
    "br0 00000000 010200C0 0003 0 0 100 00000000 0 0 0\n"
    "br0 000200C0 00000000 0001 0 0 100 00FFFFFF 0 0 0\n"
    "eth2 006433C6 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
    "eth3 00000000 00000000 0201 0 0 0 00000000 0 0 0\n"
)
ROUTES6 = (
    "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth2\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "fe800000000000000000000000000001 00000400 00000002 00000000 00000003 wlan0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n"
)
TCP = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
STATES = {"established": "01", "listen": "0A", "time wait": "06"}


def interface(name, path="virtual/net", state="up", lower=()):
    folder = f"sys/devices/{path}/{name}"
    files = {f"sys/class/net/{name}": Link(folder), f"{folder}/operstate": state + "\n"}
    return files | {f"{folder}/lower_{n}": Link(f"sys/class/net/{n}") for n in lower}


def nic(name, address, state="up"):
    return interface(name, f"pci0000:00/{address}/net", state)


def tcp(local, remote, state="established"):
    number = "proc/net/tcp" if len(local.partition(":")[0]) == 8 else "proc/net/tcp6"
    return {number: f"{TCP}   0: {local} {remote} {STATES[state]} 0:0 0:0 0 0 0 7 1\n"}


def read(tmp_path, *parts):
    files = {}
    for part in parts:
        files |= part
    sysfs = make_tree(tmp_path, files)
    networks, uses = read_networks(sysfs, read_tcp(sysfs))
    return {n.name: n for n in networks}, [(u.interface, u.why, u.evidence) for u in uses]


def test_a_bridge_over_a_bond_is_followed_to_its_cards(tmp_path):
    networks, uses = read(
        tmp_path,
        interface("br0", lower=("bond0", "vnet0")),
        interface("bond0", lower=("eth0", "eth1")),
        interface("vnet0", state="unknown"),
        nic("eth0", "0000:03:00.0"),
        nic("eth1", "0000:03:00.1", state="down"),
        interface("lo", state="unknown"),
        {"sys/class/net/bonding_masters": "bond0\n", "proc/net/route": ROUTES},
    )

    assert uses == [("br0", "default route", "/proc/net/route")]
    assert sorted(networks) == ["bond0", "br0", "eth0", "eth1", "vnet0"]
    assert networks["br0"].below == ("bond0", "vnet0")
    assert networks["bond0"].below == ("eth0", "eth1")
    assert networks["eth1"].pci == PciAddress.parse("0000:03:00.1")
    assert [networks[n].up for n in ("eth0", "eth1", "vnet0")] == [True, False, None]


def test_a_network_adapter_on_usb_knows_its_place(tmp_path):
    path = "pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/net"
    networks, _ = read(
        tmp_path,
        interface("enx0", path),
        {"sys/devices/pci0000:00/0000:00:14.0/usb1/idProduct": "0002\n"},
    )

    assert networks["enx0"].pci == PciAddress.parse("0000:00:14.0")
    assert networks["enx0"].usb == UsbPort.parse("0000:00:14.0/usb2/4")


def test_a_default_route_of_ipv6_is_a_use_and_a_rejecting_one_is_not(tmp_path):
    assert read(tmp_path, {"proc/net/ipv6_route": ROUTES6})[1] == [
        ("wlan0", "default route", "/proc/net/ipv6_route")
    ]


@pytest.mark.parametrize(
    ("local", "remote", "interface_name", "peer"),
    [
        # 192.0.2.7 called at 192.0.2.2; then 198.51.100.9 at 198.51.100.1, on a link of its own
        ("020200C0:0016", "070200C0:E000", "br0", "192.0.2.7"),
        ("016433C6:0016", "096433C6:E000", "eth2", "198.51.100.9"),
        # the same on an IPv6 socket, and IPv6
        ("0000000000000000FFFF0000016433C6:0016", "0" * 16 + "FFFF0000096433C6:E000", "eth2",
         "198.51.100.9"),
        ("B80D0120000000000000000002000000:0016", "B80D0120000000000000000009000000:E000", "eth2",
         "2001:db8::9"),
    ],
)  # fmt: skip
def test_a_session_from_elsewhere_is_a_use_of_what_carries_it(
    tmp_path, local, remote, interface_name, peer
):
    _, uses = read(
        tmp_path,
        tcp(local, remote),
        {"proc/net/route": ROUTES.replace("\nbr0 00000000", "\nxx0 00000000")},
        {"proc/net/if_inet6": "20010db8000000000000000000000002 04 40 00 82 eth2\n"},
        {"proc/net/ipv6_route": ROUTES6.splitlines()[0]},
    )

    sessions = [(name, why) for name, why, _ in uses if why != "default route"]
    assert sessions == [(interface_name, f"SSH session from {peer}")]


@pytest.mark.parametrize(
    "socket",
    [
        tcp("020200C0:0016", "00000000:0000", "listen"),
        tcp("020200C0:0016", "070200C0:E000", "time wait"),
        tcp("020200C0:E000", "070200C0:0016"),
        tcp("0100007F:0016", "0100007F:E000"),
    ],
    ids=["listening", "gone", "outgoing", "from itself"],
)
def test_what_is_no_session_from_elsewhere_is_no_use(tmp_path, socket):
    assert read(tmp_path, socket, {"proc/net/if_inet6": ""})[1] == []


def test_a_session_on_a_port_of_the_configuration_is_found(tmp_path):
    _, uses = read(
        tmp_path,
        tcp("016433C6:08AE", "096433C6:E000"),
        {"etc/ssh/sshd_config.d/port.conf": "# here\nPort = 2222\n"},
        {"proc/net/route": ROUTES},
    )

    assert ("eth2", "SSH session from 198.51.100.9", "/proc/net/tcp") in uses


def test_the_ports_of_an_ssh_server_are_those_configured_and_22(tmp_path):
    text = "ListenAddress [::1]:2200\nListenAddress ::1\nPort 1\nPort " + "9" * 5000
    sysfs = make_tree(tmp_path, {"etc/ssh/sshd_config": text})

    assert read_ssh_ports(sysfs) == {22, 1, 2200}


def test_a_session_whose_interface_nobody_knows_is_a_use_of_one_that_is_not_there(tmp_path):
    networks, uses = read(tmp_path, tcp("020200C0:0016", "070200C0:E000"))

    assert uses == [("?", "SSH session from 192.0.2.7", "/proc/net/tcp")]
    assert "?" not in networks


def test_disks_and_file_systems_of_other_machines_use_the_way_to_them(tmp_path):
    _, uses = read(
        tmp_path,
        {"proc/net/route": ROUTES},
        {"sys/class/iscsi_connection/connection1:0/persistent_address": "198.51.100.9\n"},
        {
            "sys/class/nvme/nvme1/address": "traddr=192.0.2.9,trsvcid=4420\n",
            "sys/class/nvme/nvme0/address": "0000:01:00.0\n",
            "sys/class/block/nbd0/pid": "77\n",
        },
        {
            "proc/self/mountinfo": "1 1 0:44 / / rw - nfs4 nas:/root rw,vers=4,addr=198.51.100.3\n"
            "2 1 0:45 / /home rw - nfs nas:/home rw,addr=192.0.2.3\n"
            "3 1 0:46 / /tmp rw - tmpfs tmpfs rw\n"
        },
    )

    assert [(name, why) for name, why, _ in uses if why != "default route"] == [
        ("?", "disk nbd0"),
        ("br0", "disk by NVMe over network"),
        ("br0", "nfs mount at /home"),
        ("eth2", "disk by iSCSI"),
        ("eth2", "root file system"),
    ]


def test_the_most_exact_route_is_the_way_and_equal_ones_are_all(tmp_path):
    routes = read_routes(make_tree(tmp_path, {"proc/net/route": ROUTES + ROUTES.split("\n")[1]}))

    assert find_ways(routes, parse_address("198.51.100.200")) == ("eth2",)
    assert find_ways(routes, parse_address("203.0.113.1")) == ("br0",)
    assert find_ways(routes, parse_address("2001:db8::1")) == ()
    both = (*routes, dataclasses.replace(routes[2], interface="eth9"))
    assert find_ways(both, parse_address("198.51.100.200")) == ("eth2", "eth9")


@given(st.ip_addresses())
def test_an_address_is_printed_and_parsed_back(address):
    assert parse_address(render_address(address.packed)) == address.packed


@given(st.ip_addresses(v=4))
def test_the_kernels_numbers_are_read_in_wire_order(address):
    text = f"{int.from_bytes(address.packed, 'little'):08X}"
    assert parse_kernel_address(text) == address.packed


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80)
words = st.lists(
    st.sampled_from(["0" * 8, "0" * 32, "01", "0A", "020200C0:0016", "eth0", "-1", "zz", "٣"]),
    max_size=12,
).map(" ".join)
table = st.lists(text | words, max_size=4).map("\n".join)


@given(table, table, table)
def test_any_text_in_the_tables_is_read_to_its_end(tmp_path_factory, sockets, routes, other):
    sysfs = make_tree(
        tmp_path_factory.mktemp("tree"),
        {"proc/net/tcp": "x\n" + sockets, "proc/net/tcp6": "x\n" + other}
        | {"proc/net/route": "x\n" + routes, "proc/net/ipv6_route": routes}
        | {"proc/net/if_inet6": other, "etc/ssh/sshd_config": other}
        | mountinfo("0:40 / nfs x"),
    )

    networks, _ = read_networks(sysfs, read_tcp(sysfs))

    assert networks == ()


SESSION = "REMOTE=1\nREMOTE_HOST={host}\nSERVICE={service}\nSTATE={state}\nUSER=alice\n"


def login(host, service="sshd", state="active", name="7"):
    text = SESSION.format(host=host, service=service, state=state)
    return {f"run/systemd/sessions/{name}": text, f"run/systemd/sessions/{name}.ref": ""}


@pytest.mark.parametrize(
    ("host", "service", "expected"),
    [
        ("198.51.100.9", "sshd", ("eth2", "SSH session from 198.51.100.9")),
        ("203.0.113.5", "sshd", ("br0", "SSH session from 203.0.113.5")),
        ("203.0.113.5", "xrdp-sesman", ("br0", "session from 203.0.113.5")),
        ("laptop.example", "sshd", ("?", "SSH session from laptop.example")),
        ("a\x1b[31mb", "sshd", ("?", "SSH session from a [31mb")),
        ("", "sshd", ("?", "SSH session from elsewhere")),
    ],
)
def test_a_login_from_elsewhere_on_a_port_nobody_configured_is_found_by_logind(
    tmp_path, host, service, expected
):
    _, uses = read(tmp_path, {"proc/net/route": ROUTES}, login(host, service))

    sessions = [(name, why) for name, why, _ in uses if why != "default route"]
    assert sessions == [expected]


@pytest.mark.parametrize(
    "parts",
    [
        [login("198.51.100.9", state="closing")],
        [login("127.0.0.1")],
        [{"run/systemd/sessions/2": "REMOTE=0\nSEAT=seat0\nSTATE=active\n"}],
    ],
    ids=["closing", "from itself", "at the screen"],
)
def test_a_login_that_comes_over_no_network_is_no_use(tmp_path, parts):
    assert read(tmp_path, *parts)[1] == []


def test_a_session_that_both_a_socket_and_logind_show_is_one(tmp_path):
    _, uses = read(
        tmp_path,
        {"proc/net/route": ROUTES},
        tcp("016433C6:0016", "096433C6:E000"),
        login("198.51.100.9"),
    )

    assert [use for use in uses if "session" in use[1]] == [
        ("eth2", "SSH session from 198.51.100.9", "/proc/net/tcp")
    ]


@pytest.mark.parametrize("name", ["rbd0", "etherd!e0.0"])
def test_a_disk_of_another_machine_needs_a_network_nobody_knows_which(tmp_path, name):
    _, uses = read(tmp_path, {f"sys/class/block/{name}": Link(f"sys/devices/virtual/block/{name}")})

    assert uses == [("?", f"disk {name}", f"/sys/class/block/{name}")]


@pytest.mark.parametrize("kind", ["vlan", "macvlan", "macvtap", "team", "ipvlan"])
def test_what_is_made_of_a_card_names_it_whatever_it_is(tmp_path, kind):
    networks, uses = read(
        tmp_path,
        interface(f"{kind}0", lower=("eth0",)),
        nic("eth0", "0000:03:00.0"),
        {"proc/net/route": ROUTES.replace("br0", f"{kind}0")},
    )

    assert uses[0][0] == f"{kind}0"
    assert networks[f"{kind}0"].below == ("eth0",)
