"""One line of the table that `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured; without a limit it is shown only, without a value it was not run."""

    what: str
    value: float | None
    limit: float | None
    unit: str = "x"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "NOT RUN"
        if self.limit is None:
            return ""
        return "holds" if self.value <= self.limit else "MISSED"

    def __str__(self) -> str:
        value = "" if self.value is None else f"{self.value:.2f} {self.unit}"
        limit = "" if self.limit is None else f"{self.limit:g} {self.unit}"
        return f"{self.what:76} {value:>10} {limit:>8}  {self.verdict}".rstrip()
