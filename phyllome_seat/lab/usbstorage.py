"""A drive with nothing in it, as USB mass storage shows it. Pure.

Sources: "USB Mass Storage Class, Bulk-Only Transport 1.0"; SCSI SPC-4 for the three commands.
"""

from __future__ import annotations

import struct
from collections import deque

_COMMAND = struct.Struct("<4sIIBBB16s")  # signature, tag, length, flags, unit, length, command
_INQUIRY = (
    bytes((0, 0x80, 5, 2, 31, 0, 0, 0)) + b"Phyllome".ljust(8) + b"Empty drive".ljust(16) + b"1   "
)
_NO_MEDIUM = bytes((0x70, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3A, 0, 0, 0, 0, 0))


class EmptyDrive:
    """Takes what is written to it; ``answers`` is what it has to say, in order."""

    def __init__(self) -> None:
        self.answers: deque[bytes] = deque()
        self.ejected = False

    def take(self, data: bytes) -> None:
        """Takes a command; what is none is let go."""
        if len(data) != _COMMAND.size or data[:4] != b"USBC":
            return
        _, tag, wanted, flags, _, _, command = _COMMAND.unpack(data)
        # START STOP UNIT with "load or eject" and without "start".
        ejects = command[0] == 0x1B and command[4] & 3 == 2
        self.ejected = self.ejected or ejects
        said = {0x12: _INQUIRY, 0x03: _NO_MEDIUM}.get(command[0])
        if flags & 0x80 and wanted:
            said = said[:wanted] if said else said
            self.answers.append(said or b"")
        failed = said is None and not ejects
        left = wanted - len(said or b"") if wanted else 0
        self.answers.append(struct.pack("<4sIIB", b"USBS", tag, left, failed))
