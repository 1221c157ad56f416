"""One thing that `check` found."""

from __future__ import annotations

from phyllome_seat.model.printable import one_line
from phyllome_seat.model.value import dataclass

SEVERITIES = ("error", "warning", "note")  # worst first


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, with what, which file says so, and what to do on this distribution.

    ``severity`` is of SEVERITIES: an error keeps seats from working, a warning may, a note is good
    to know. ``evidence`` is empty where no file says it, ``fix`` where there is nothing to do.
    """

    severity: str
    subject: str
    words: str
    evidence: str
    fix: str

    def __str__(self) -> str:
        """Return one line, harmless on a terminal."""
        evidence = f" [{self.evidence}]" if self.evidence else ""
        fix = f"; {self.fix}" if self.fix else ""
        return one_line(f"{self.severity}: {self.subject}: {self.words}{evidence}{fix}")
