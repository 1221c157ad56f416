"""The library in ten lines: what would `phyllome-seat apply` do on this machine?

Needs no root and changes nothing:  python3 examples/library.py SEATS.YAML [HOST.JSON]
"""

import sys
from pathlib import Path

from phyllome_seat import Sysfs, assign, parse_host, parse_wish, plan, scan

wish = parse_wish(Path(sys.argv[1]).read_text(), sys.argv[1])
host = parse_host(Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else scan(Sysfs("/"))
for gpu in (device for device in host.pci if device.is_gpu):
    print(gpu.address, gpu.name, [c.monitor for c in host.connectors if c.gpu == gpu.address])
for step in plan(assign(wish, host), host):
    print(step)
