"""``python -m phyllome_seat.cli``: the command where its entry point is not on the path."""

import sys

from phyllome_seat.cli import main

sys.exit(main())
