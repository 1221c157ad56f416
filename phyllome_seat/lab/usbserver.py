"""A USB device that QEMU does not have, alive: a thread that serves it to QEMU's `usb-redir`."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from phyllome_seat.lab import usbredir
from phyllome_seat.lab.errors import LabError
from phyllome_seat.lab.usbmodels import BUTTONS, Face, gamepad_report
from phyllome_seat.lab.usbredir import Bulk, Capability, Kind, Packet, Parser, Status
from phyllome_seat.lab.usbstorage import EmptyDrive

_STICK_REST = 128
_MASS_STORAGE = 8


class ServedDevice:
    """One device, from `open` until `close`; its methods are what hands do at it."""

    def __init__(self, path: Path, faces: Sequence[Face]) -> None:
        self.faces = tuple(faces)
        self.face = self.faces[0]
        self.connects = 0  # how often QEMU was told of a device
        self._parser = Parser()
        self._peer: socket.socket | None = None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._listening: set[int] = set()  # interrupt endpoints that QEMU reads
        self._waiting: deque[tuple[int, Bulk]] = deque()  # reads with nothing to read yet, by id
        self._drive = EmptyDrive()
        self._connected = self._ended = False
        self._closed = threading.Event()
        self._error = ""
        self._loop: threading.Thread | None = None
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, name=f"usb {path.name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Pulls the device and ends its threads. Can be called twice."""
        self._closed.set()
        self._end("it is pulled")
        for each in (self._listener, self._peer):
            if each is not None:
                with contextlib.suppress(OSError):  # not connected, or closed already
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        for thread in (self._loop, self._thread):
            if thread is not None and thread is not threading.current_thread():
                thread.join(10)
        self._path.unlink(missing_ok=True)

    # ── what hands do ───────────────────────────────────────────────────────────────────────────

    def press(self, *buttons: str, hold_s: float = 0.05) -> None:
        """Presses a gamepad's buttons together and lets go: `south`, `start`, ..."""
        for name in buttons:
            if name not in BUTTONS:
                raise LabError(f"{name}: not a gamepad's button; they are {', '.join(BUTTONS)}")
        self.report(gamepad_report(_STICK_REST, _STICK_REST, frozenset(buttons)))
        self._closed.wait(hold_s)
        self.report(gamepad_report(_STICK_REST, _STICK_REST, frozenset()))

    def report(self, data: bytes, *, timeout_s: float = 10.0) -> None:
        """Sends an input report; LabError when nothing in the PC reads the device."""
        endpoint = self.face.interfaces[0].endpoints[0].address
        with self._changed:
            self._changed.wait_for(lambda: endpoint in self._listening or self._ended, timeout_s)
            if endpoint not in self._listening:
                why = self._error or "nothing in the PC reads it"
                raise LabError(f"{self.face.name}: {why}", hint="open its /dev/input/event* first")
            head = usbredir.INTERRUPT.pack(endpoint, Status.SUCCESS, len(data))
            self._send(Packet(Kind.INTERRUPT_PACKET, head + data))

    def change_id(self, vendor: int, product: int) -> None:
        """Comes back under another id, as firmware does that was just loaded."""
        self.show(self.face.with_id(vendor, product))

    def change(self) -> None:
        """Comes back with the next of its faces."""
        at = self.faces.index(self.face) if self.face in self.faces else -1
        self.show(self.faces[(at + 1) % len(self.faces)])

    def reset(self) -> None:
        """Goes away and comes back as it is."""
        self.show(self.face)

    def reset_loop(self, times: int, every_s: float = 1.0) -> None:
        """Goes on resetting itself in a thread of its own; returns at once."""
        if self._loop is not None and self._loop.is_alive():
            raise LabError(f"{self.face.name}: resets itself already")
        self._loop = threading.Thread(target=self._reset, args=(times, every_s), daemon=True)
        self._loop.start()

    def show(self, face: Face, *, timeout_s: float = 10.0) -> None:
        """Goes away, and comes back with this face."""
        with self._changed:
            self._need_connection(timeout_s)
            self._leave(timeout_s)
            self.face = face
            self._arrive()

    # ── the protocol ────────────────────────────────────────────────────────────────────────────

    def _reset(self, times: int, every_s: float) -> None:
        for _ in range(times):
            if self._closed.wait(every_s):
                return
            try:
                self.reset()
            except (LabError, OSError) as error:
                self._error = str(error)
                return

    def _need_connection(self, timeout_s: float) -> None:
        self._changed.wait_for(lambda: self.connects > 0 or self._ended, timeout_s)
        if self._ended or not self.connects:
            raise LabError(f"{self.face.name}: {self._error or 'QEMU has not asked for it yet'}")

    def _serve(self) -> None:
        try:
            self._peer, _ = self._listener.accept()
            if self._closed.is_set():  # close() came between and did not see this connection
                self._peer.close()
                return
            self._send(usbredir.hello())
            while data := self._peer.recv(1 << 16):
                for packet in self._parser.feed(data):
                    with self._changed:
                        self._take(packet)
                        self._changed.notify_all()
        except (OSError, LabError, struct.error) as error:
            self._end(f"its connection with QEMU ended: {error}")
        else:
            self._end("QEMU let it go")

    def _end(self, why: str) -> None:
        with self._changed:
            self._ended = True
            self._error = self._error or why
            self._listening.clear()
            self._changed.notify_all()

    def _send(self, packet: Packet) -> None:
        with self._lock:
            if self._peer is None:
                raise LabError(f"{self.face.name}: QEMU is not connected")
            self._peer.sendall(usbredir.render(packet, wide=self._parser.wide))

    def _arrive(self) -> None:
        both = self._parser.both
        self._drive = EmptyDrive()
        self._listening.clear()
        self._waiting.clear()
        self._describe()
        head = (self.face.speed, 0, 0, 0, self.face.vendor, self.face.product, self.face.version)
        body = usbredir.CONNECT.pack(*head)
        with_version = Capability.CONNECT_DEVICE_VERSION in both
        self._send(Packet(Kind.DEVICE_CONNECT, body if with_version else body[:-2]))
        self._connected = True
        self.connects += 1
        self._changed.notify_all()

    def _leave(self, timeout_s: float) -> None:
        self._send(Packet(Kind.DEVICE_DISCONNECT))
        self._listening.clear()
        if Capability.DEVICE_DISCONNECT_ACK not in self._parser.both:
            self._connected = False
        # What still comes before the answer is about the device that was (the protocol's
        # usb_redir_device_disconnect_ack).
        self._changed.wait_for(lambda: self._ended or not self._connected, timeout_s)
        if self._ended or self._connected:
            why = self._error or f"QEMU did not let it go within {timeout_s:g} s"
            raise LabError(f"{self.face.name}: {why}")

    def _describe(self) -> None:
        interfaces = self.face.interfaces
        sizes = Capability.EP_INFO_MAX_PACKET_SIZE in self._parser.both
        self._send(usbredir.interface_info([each.kind for each in interfaces]))
        endpoints = [
            (each.address, each.kind, each.interval, number, each.size)
            for number, interface in enumerate(interfaces)
            for each in interface.endpoints
        ]
        self._send(usbredir.ep_info(endpoints, sizes=sizes))

    def _take(self, packet: Packet) -> None:
        body = packet.body
        match packet.kind:
            case Kind.HELLO:
                self._arrive()
            case Kind.DEVICE_DISCONNECT_ACK:
                self._connected = False
            case Kind.SET_CONFIGURATION | Kind.GET_CONFIGURATION:
                if packet.kind == Kind.SET_CONFIGURATION:
                    self._describe()
                answer = bytes((Status.SUCCESS, body[0] if body else 1))
                self._send(Packet(Kind.CONFIGURATION_STATUS, answer, packet.id))
            case Kind.SET_ALT_SETTING | Kind.GET_ALT_SETTING:
                if packet.kind == Kind.SET_ALT_SETTING:
                    self._describe()
                answer = bytes((Status.SUCCESS, body[0], 0))
                self._send(Packet(Kind.ALT_SETTING_STATUS, answer, packet.id))
            case Kind.START_INTERRUPT_RECEIVING | Kind.STOP_INTERRUPT_RECEIVING:
                started = packet.kind == Kind.START_INTERRUPT_RECEIVING
                (self._listening.add if started else self._listening.discard)(body[0])
                answer = bytes((Status.SUCCESS, body[0]))
                self._send(Packet(Kind.INTERRUPT_RECEIVING_STATUS, answer, packet.id))
            case Kind.CONTROL_PACKET:
                self._control(packet)
            case Kind.BULK_PACKET:
                self._bulk(packet)
            case Kind.CANCEL_DATA_PACKET:
                self._cancel(packet.id)
            case Kind.FILTER_REJECT:
                self._error = "QEMU rejected it; qemu.log beside its sockets may say why"

    def _control(self, packet: Packet) -> None:
        endpoint, request, of, _, value, index, length = usbredir.CONTROL.unpack_from(packet.body)
        answer = self.face.answer(of, request, value, index)
        data = (answer or b"")[:length]
        status = Status.STALL if answer is None else Status.SUCCESS
        done = length if not of & 0x80 else len(data)
        head = usbredir.CONTROL.pack(endpoint, request, of, status, value, index, done)
        self._send(Packet(Kind.CONTROL_PACKET, head + data, packet.id))

    def _bulk(self, packet: Packet) -> None:
        asked = usbredir.parse_bulk(packet.body, self._parser.both)
        if asked.endpoint & 0x80:
            self._waiting.append((packet.id, asked))
        else:
            self._answer(packet.id, replace(asked, data=b""))
            if self.face.interfaces[0].kind[0] == _MASS_STORAGE:
                self._drive.take(asked.data)
        while self._waiting and self._drive.answers:
            number, asked = self._waiting.popleft()
            data = self._drive.answers.popleft()[: asked.length]
            self._answer(number, replace(asked, length=len(data), data=data))
        if self._drive.ejected and not self._drive.answers and len(self.faces) > 1:
            self._drive = EmptyDrive()
            # Not here: this thread is the one that hears that QEMU let the device go.
            self._loop = threading.Thread(target=self.change, daemon=True)
            self._loop.start()

    def _cancel(self, number: int) -> None:
        for waiting in [each for each in self._waiting if each[0] == number]:
            self._waiting.remove(waiting)
            self._answer(number, replace(waiting[1], length=0, status=Status.CANCELLED))

    def _answer(self, number: int, bulk: Bulk) -> None:
        self._send(Packet(Kind.BULK_PACKET, bulk.render(self._parser.both), number))
