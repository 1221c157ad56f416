"""What commands write to files of a person: never over something else."""

from __future__ import annotations

import sys

from phyllome_seat.cli.inputs import INPUT_IS_WRONG
from phyllome_seat.model.errors import PhyllomeSeatError

_PICTURE = b"<svg "


class OutputError(PhyllomeSeatError):
    """A file that is there already, or cannot be written."""

    exit_status = INPUT_IS_WRONG


def write_new(path: str, text: str) -> None:
    """Write a file that is not there yet."""
    try:
        with open(path, "x", encoding="utf-8") as file:  # noqa: PTH123 - a start without pathlib
            file.write(text)
    except FileExistsError as error:
        raise OutputError(
            f"{path} is there already and stays as it is", hint="name another file, or move it away"
        ) from error
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", hint="name another file") from error


def write_picture(path: str, svg: str) -> None:
    """Write a picture, to standard output for ``-``; over nothing but an older picture."""
    if path == "-":
        sys.stdout.write(svg)
        return
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a start without pathlib
            is_picture = file.read(len(_PICTURE)) == _PICTURE
    except OSError:
        is_picture = False
    if not is_picture:
        write_new(path, svg)
        return
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(svg)
