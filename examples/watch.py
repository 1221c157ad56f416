"""USB that follows its seats, in ten lines: attaches what is plugged in, and says where it went.

Needs root, and does what the service does:  sudo python3 examples/watch.py [SEATS.YAML]
"""

import sys

from phyllome_seat import watch_forever
from phyllome_seat.model.watch_event import Attached

for event in watch_forever(*sys.argv[1:2]):
    if isinstance(event, Attached):
        print(f"{event.step.device.name} is in {event.step.guest} after {event.took_s:.2f} s")
    else:
        print(event)
