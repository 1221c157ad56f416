"""The command: reads its line, calls the library, prints, exits. The only room that does.

Everything is imported where a command needs it: ``--help`` answers at once.
"""

from __future__ import annotations

import io
import sys

from phyllome_seat.cli.inputs import DONE, MACHINE_SAYS_NO
from phyllome_seat.cli.line import COMMANDS, parse_line
from phyllome_seat.model.errors import PhyllomeSeatError, SeatFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main", "parse_line"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 the machine said no, 2 wrong input."""
    # a terminal that cannot show a device's name, or an arrow, must not end what is under way
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    args = parse_line(arguments)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except SeatFileError as error:
        for problem in error.problems:
            _complain(problem)
        return error.exit_status
    except PhyllomeSeatError as error:
        _complain(error)
        return error.exit_status
    except BrokenPipeError:  # an OSError
        sys.stderr.close()  # else Python complains about standard output once more at exit
        return DONE
    except OSError as error:
        return _complain_of_file(error)
    except KeyboardInterrupt:
        return 130


def _complain_of_file(error: OSError) -> int:
    from phyllome_seat.model.printable import one_line

    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    print(f"phyllome-seat: {one_line(f'{where}{error.strerror or error}')}", file=sys.stderr)
    return MACHINE_SAYS_NO


def _complain(error: PhyllomeSeatError) -> None:
    from phyllome_seat.model.printable import one_line

    for line in error.lines:
        print(f"phyllome-seat: {one_line(line)}", file=sys.stderr)
    if error.hint:
        print(f"  ({one_line(error.hint)})", file=sys.stderr)
