"""USB devices of our own: the redirection protocol, descriptors, devices served by a thread."""

import dataclasses
import socket
import struct
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyllome_seat.lab import usbredir
from phyllome_seat.lab.describe import parse_description, parse_thing
from phyllome_seat.lab.description import UsbKind, UsbThing
from phyllome_seat.lab.errors import DescriptionError, LabError
from phyllome_seat.lab.usbmodels import (
    BUTTONS,
    FACES,
    HOSTILE,
    STRING_UNITS,
    Face,
    faces,
    gamepad_report,
)
from phyllome_seat.lab.usbredir import (
    OURS,
    Bulk,
    Capability,
    Kind,
    Packet,
    Parser,
    ProtocolError,
    Speed,
)
from phyllome_seat.lab.usbserver import ServedDevice
from phyllome_seat.lab.usbstorage import EmptyDrive

ALL_FACES = [face for each in FACES.values() for face in each]
PACKETS = st.builds(
    Packet,
    st.integers(1, 2**32 - 1),
    st.binary(max_size=200),
    st.integers(0, 2**32 - 1),
)


@given(st.lists(PACKETS, max_size=5), st.booleans(), st.lists(st.integers(1, 40)))
def test_packets_are_read_back_however_the_stream_is_cut(packets, wide, cuts):
    theirs = OURS if wide else OURS & ~Capability.IDS_64BIT
    sent = [usbredir.hello(theirs), *packets]
    stream = b"".join(usbredir.render(packet, wide=wide) for packet in sent)
    parser, got = Parser(), []
    for cut in [*cuts, len(stream)]:
        got += parser.feed(stream[:cut])
        stream = stream[cut:]
    assert got == sent
    assert parser.wide == wide


@given(st.binary(max_size=300))
def test_any_bytes_are_packets_or_a_protocol_error(data):
    try:
        list(Parser().feed(data))
    except ProtocolError as error:
        assert str(error)


def test_a_packet_that_claims_too_much_is_refused_before_it_is_waited_for():
    with pytest.raises(ProtocolError, match="claims"):
        list(Parser().feed(struct.pack("<III", 0, usbredir.BODY_LIMIT + 1, 0)))


@given(
    st.builds(Bulk, st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 9)),
    st.binary(max_size=40),
)
def test_a_bulk_packet_of_any_length_is_read_back(bulk, data):
    bulk = dataclasses.replace(bulk, data=data)
    assert usbredir.parse_bulk(bulk.render(OURS), OURS) == bulk
    short = dataclasses.replace(bulk, length=bulk.length & 0xFFFF)
    assert usbredir.parse_bulk(short.render(Capability(0)), Capability(0)) == short


def test_endpoints_and_interfaces_stand_where_the_protocol_has_them():
    body = usbredir.ep_info([(0x81, 3, 4, 0, 8), (0x02, 2, 0, 1, 512)], sizes=True).body
    assert len(body) == 160
    assert (body[17], body[2], body[1]) == (3, 2, 255)  # types
    assert (body[32 + 17], body[64 + 2]) == (4, 1)  # interval, interface
    assert struct.unpack_from("<H", body, 96 + 2 * 17) == (8,)
    assert len(usbredir.ep_info([], sizes=False).body) == 96
    body = usbredir.interface_info([(3, 1, 2), (8, 6, 0x50)]).body
    assert len(body) == 132
    assert (body[:4], body[4:6], body[36:38]) == (b"\2\0\0\0", b"\0\1", b"\3\x08")


@pytest.mark.parametrize("face", ALL_FACES, ids=lambda face: f"{face.product:04x}")
def test_every_configuration_is_as_long_as_it_says_and_has_the_endpoints_it_claims(face):
    whole = face.configuration()
    assert struct.unpack_from("<H", whole, 2) == (len(whole),)
    kinds, at = [], 0
    while at < len(whole):
        kinds.append(whole[at + 1])
        at += whole[at]
    assert at == len(whole)
    endpoints = sum(len(interface.endpoints) for interface in face.interfaces)
    assert kinds.count(4) == len(face.interfaces)
    assert kinds.count(5) == endpoints
    assert kinds.count(0x30) == (endpoints if face.speed is Speed.SUPER else 0)


@pytest.mark.parametrize("face", ALL_FACES, ids=lambda face: f"{face.product:04x}")
def test_a_device_says_its_id_and_strings(face):
    device = face.answer(0x80, 6, 0x0100, 0)
    assert len(device) == device[0] == 18
    assert struct.unpack_from("<HH", device, 8) == (face.vendor, face.product)
    for number, text in (
        (device[14], face.maker),
        (device[15], face.name),
        (device[16], face.serial),
    ):
        found = face.answer(0x80, 6, 0x0300 | number, 0x0409)
        assert found[0] == len(found) <= 255
        assert found[2:].decode("utf-16-le") == text
    assert (face.answer(0x80, 6, 0x0F00, 0) is not None) == (face.speed is Speed.SUPER)
    assert face.answer(0x80, 6, 0x0309, 0x0409) is None


def test_what_a_superspeed_device_can_do_is_as_long_as_it_says():
    (face,) = FACES[UsbKind.SUPERSPEED]
    bos = face.bos()
    assert struct.unpack_from("<H", bos, 2) == (len(bos),)
    assert bos[5] + bos[5 + bos[5]] == len(bos) - 5


def test_the_gamepads_report_has_the_bits_its_descriptor_promises():
    (face,) = FACES[UsbKind.GAMEPAD]
    report = face.interfaces[0].report
    assert face.answer(0x81, 6, 0x2200, 0) == report
    sizes = {0x75: 0, 0x95: 0}  # report size, report count: the input item multiplies them
    bits, at = 0, 0
    while at < len(report):
        head, length = report[at], report[at] & 3
        if head in sizes:
            sizes[head] = report[at + 1]
        if head == 0x81:
            bits += sizes[0x75] * sizes[0x95]
        at += 1 + length
    assert bits == 8 * len(gamepad_report(0, 0, frozenset()))
    assert gamepad_report(1, 2, frozenset({"south", "thumbr"})) == b"\1\2\1\x40"
    assert len(BUTTONS) == 15


def test_the_hostile_serial_is_as_long_as_usb_allows_and_has_all_that_hurts():
    (face,) = FACES[UsbKind.HOSTILE]
    assert len(face.serial.encode("utf-16-le")) == 2 * STRING_UNITS
    assert face.serial.startswith(HOSTILE)
    assert set("\"'\n%\x1b\\<`$") <= set(HOSTILE)
    with pytest.raises(ValueError, match="at most 126"):
        Face(1, 1, "name", "x" * 127, ())


def test_a_serial_of_ones_own_is_shown_by_every_face():
    shown = faces(UsbThing("stick", UsbKind.MODEM, "1", serial="MINE"))
    assert [face.serial for face in shown] == ["MINE", "MINE"]


def test_a_served_device_is_refused_in_a_pc_that_is_kept_as_a_snapshot():
    text = 'version: 1\nusb: [{id: usb, plugged: [{id: pad, kind: gamepad, port: "1"}]}]\n'
    with pytest.raises(
        DescriptionError, match="pad: a gamepad device is in no snapshot"
    ) as refused:
        parse_description(text)
    assert "lab plug usb" in refused.value.hint
    assert parse_thing('{id: pad, kind: gamepad, port: "1"}').kind is UsbKind.GAMEPAD


def test_an_empty_drive_answers_every_command_and_can_be_ejected():
    drive = EmptyDrive()

    def ask(wanted, *command):
        drive.take(struct.pack("<4sIIBBB16s", b"USBC", 7, wanted, 0x80, 0, 6, bytes(command)))
        said = list(drive.answers)
        drive.answers.clear()
        return said

    inquiry, status = ask(36, 0x12)
    assert len(inquiry) == 36
    assert status == struct.pack("<4sIIB", b"USBS", 7, 0, 0)
    assert ask(0, 0x00)[0][-1] == 1
    assert ask(18, 0x03)[0][12] == 0x3A
    assert [len(said) for said in ask(512, 0x28)] == [0, 13]
    drive.take(b"not a command")
    assert not drive.answers
    assert not drive.ejected
    ask(0, 0x1B, 0, 0, 0, 2)
    assert drive.ejected


class Guest:
    """QEMU's side of the protocol, as much as a test asks of it."""

    def __init__(self, path, capabilities=OURS):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.parser = Parser(capabilities)
        self.left = []
        self.send(usbredir.hello(capabilities))

    def send(self, packet):
        self.socket.sendall(usbredir.render(packet, wide=self.parser.wide))

    def next(self, kind):
        while True:
            while self.left:
                packet = self.left.pop(0)
                if packet.kind == kind:
                    return packet
            data = self.socket.recv(7)
            assert data, f"the device ended before it sent {kind!r}"
            self.left += self.parser.feed(data)

    def control(self, *setup):
        body = usbredir.CONTROL.pack(0x80, setup[1], setup[0], 0, *setup[2:])
        self.send(Packet(Kind.CONTROL_PACKET, body, 5))
        return self.next(Kind.CONTROL_PACKET)


@pytest.fixture
def served(tmp_path):
    devices = []

    def serve(kind, capabilities=OURS):
        path = tmp_path / f"{kind}.usb"
        devices.append(ServedDevice(path, FACES[kind]))
        guest = Guest(path, capabilities)
        return devices[-1], guest

    yield serve
    for device in devices:
        device.close()
        device.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("usb ")]
    assert not list(tmp_path.glob("*.usb"))


def test_a_device_is_connected_and_answers(served):
    _, guest = served(UsbKind.GAMEPAD)
    connect = usbredir.CONNECT.unpack(guest.next(Kind.DEVICE_CONNECT).body)
    assert connect == (Speed.FULL, 0, 0, 0, 0x1209, 0x0001, 0x0100)
    answer = guest.control(0x80, 6, 0x0100, 0, 8)
    assert answer.id == 5
    assert answer.body[usbredir.CONTROL.size :] == FACES[UsbKind.GAMEPAD][0].device()[:8]
    refused = guest.control(0x80, 6, 0x7700, 0, 8)
    assert refused.body[3] == usbredir.Status.STALL


def test_a_guest_of_an_older_protocol_gets_the_shorter_packets(served):
    _, guest = served(UsbKind.GAMEPAD, Capability(0))
    assert len(guest.next(Kind.EP_INFO).body) == 96
    assert len(guest.next(Kind.DEVICE_CONNECT).body) == usbredir.CONNECT.size - 2


def test_a_press_arrives_where_it_is_listened_for(served):
    device, guest = served(UsbKind.GAMEPAD)
    guest.next(Kind.DEVICE_CONNECT)
    with pytest.raises(LabError, match="nothing in the PC reads it"):
        device.report(b"", timeout_s=0.1)
    guest.send(Packet(Kind.START_INTERRUPT_RECEIVING, b"\x81", 9))
    assert guest.next(Kind.INTERRUPT_RECEIVING_STATUS) == Packet(17, b"\0\x81", 9)
    device.press("east", hold_s=0)
    reports = [guest.next(Kind.INTERRUPT_PACKET).body[4:] for _ in range(2)]
    assert reports == [b"\x80\x80\2\0", b"\x80\x80\0\0"]
    with pytest.raises(LabError, match="trigger: not a gamepad's button"):
        device.press("trigger")


def test_a_changing_device_waits_until_it_is_let_go_and_comes_back_as_another(served):
    device, guest = served(UsbKind.CHANGING)
    guest.next(Kind.DEVICE_CONNECT)
    changing = threading.Thread(target=device.change_id, args=(0x1234, 0x5678))
    changing.start()
    guest.next(Kind.DEVICE_DISCONNECT)
    assert device.connects == 1
    guest.send(Packet(Kind.DEVICE_DISCONNECT_ACK))
    connect = usbredir.CONNECT.unpack(guest.next(Kind.DEVICE_CONNECT).body)
    assert connect[4:6] == (0x1234, 0x5678)
    changing.join()


def test_a_resetting_device_comes_back_as_often_as_it_was_told(served):
    device, guest = served(UsbKind.RESETTING)
    device.reset_loop(3, every_s=0.01)
    with pytest.raises(LabError, match="resets itself already"):
        device.reset_loop(1)
    for _ in range(3):
        guest.next(Kind.DEVICE_DISCONNECT)
        guest.send(Packet(Kind.DEVICE_DISCONNECT_ACK))
        guest.next(Kind.DEVICE_CONNECT)
    end = time.monotonic() + 5  # it counts after it has sent
    while device.connects < 4:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert device.connects == 4


def test_a_device_that_nobody_asked_for_says_so(tmp_path):
    with (
        ServedDevice(tmp_path / "alone.usb", FACES[UsbKind.RESETTING]) as device,
        pytest.raises(LabError, match="QEMU has not asked for it yet"),
    ):
        device.show(device.face, timeout_s=0.1)


def test_a_device_that_qemu_let_go_says_so_at_once(served):
    device, guest = served(UsbKind.RESETTING)
    guest.next(Kind.DEVICE_CONNECT)
    guest.socket.close()
    with pytest.raises(LabError, match=r"its connection with QEMU ended|QEMU let it go"):
        device.report(b"", timeout_s=600)
    with pytest.raises(LabError, match=r"its connection with QEMU ended|QEMU let it go"):
        device.reset()


def test_closing_waits_for_no_reset_that_nobody_answers(served):
    device, guest = served(UsbKind.RESETTING)
    guest.next(Kind.DEVICE_CONNECT)
    device.reset_loop(1, every_s=0)
    guest.next(Kind.DEVICE_DISCONNECT)
    started = time.monotonic()
    device.close()
    assert time.monotonic() - started < 5


def test_a_modems_disc_becomes_the_modem_when_it_is_ejected(served):
    _, guest = served(UsbKind.MODEM)
    guest.next(Kind.DEVICE_CONNECT)
    command = struct.pack("<4sIIBBB16s", b"USBC", 1, 0, 0, 0, 6, bytes((0x1B, 0, 0, 0, 2)))
    guest.send(Packet(Kind.BULK_PACKET, Bulk(2, 31, data=command).render(OURS), 1))
    guest.send(Packet(Kind.BULK_PACKET, Bulk(0x81, 13).render(OURS), 2))
    guest.next(Kind.DEVICE_DISCONNECT)
    guest.send(Packet(Kind.DEVICE_DISCONNECT_ACK))
    assert usbredir.CONNECT.unpack(guest.next(Kind.DEVICE_CONNECT).body)[5] == 8


def test_a_cancelled_read_is_answered_as_cancelled(served):
    _, guest = served(UsbKind.SUPERSPEED)
    guest.next(Kind.DEVICE_CONNECT)
    guest.send(Packet(Kind.BULK_PACKET, Bulk(0x81, 64).render(OURS), 3))
    guest.send(Packet(Kind.CANCEL_DATA_PACKET, b"", 3))
    answer = guest.next(Kind.BULK_PACKET)
    assert (answer.id, answer.body[1]) == (3, usbredir.Status.CANCELLED)
