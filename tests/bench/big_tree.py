"""A machine far larger than any, as files: what grows faster than the machine shows here.

``python -m tests.bench.big_tree FOLDER [FUNCTIONS [USB]]`` makes one to look at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.system.device_trees import (
    Files,
    connector,
    edid,
    event,
    hub_port,
    interface,
    pci,
    root_hub,
    usb,
)
from tests.system.trees import make_tree

_GPUS = 64
_HUB_PORTS = 6  # six ports on each of two tiers: 42 devices below a controller


def make_big_tree(root: Path, functions: int = 1000, usb_devices: int = 4000) -> None:
    """Write a machine of so many PCI functions (64 of them GPUs) and USB devices below `root`.

    Each USB device is one on a hub on a hub, every third a keyboard; each function is alone in its
    IOMMU group and hangs below a bridge, 8 to a bus.
    """
    gpus = min(_GPUS, functions // 4)
    controllers = -(-usb_devices // (_HUB_PORTS + _HUB_PORTS**2))
    for n in range(functions):
        path = _path(n)
        if n < gpus:
            make_tree(root, _gpu(n, path))
        elif n < gpus + controllers:
            make_tree(root, _controller(n, path))
        else:
            make_tree(root, _function(n, path, "20000", "igc"))
    left = usb_devices
    for n in range(controllers):
        make_tree(root, _bus(n, _path(gpus + n), min(left, _HUB_PORTS + _HUB_PORTS**2)))
        left -= _HUB_PORTS + _HUB_PORTS**2


def _path(n: int) -> str:
    domain, bus, device = n // 2000, 1 + n // 8 % 250, n % 8
    bridge = f"{domain:04x}:00:{1 + n // 8 % 250 // 8:02x}.{n // 8 % 8}"
    return f"pci{domain:04x}:00/{bridge}/{domain:04x}:{bus:02x}:{device:02x}.0"


def _function(n: int, path: str, class_code: str, driver: str) -> Files:
    return pci(
        path,
        class_code=class_code,
        driver=driver,
        udev="E:ID_VENDOR_FROM_DATABASE=Maker of Chips\nE:ID_MODEL_FROM_DATABASE=Chip\n",
        revision="0xa1\n",
        driver_override="(null)\n",
        iommu_group=f"sys/kernel/iommu_groups/{n}",
        reset_method="flr bus\n",
        numa_node="0\n",
        max_link_speed="16.0 GT/s PCIe\n",
        max_link_width="16\n",
        current_link_speed="8.0 GT/s PCIe\n",
        current_link_width="16\n",
    )


def _gpu(n: int, path: str) -> Files:
    files = _function(n, path, "30000", "amdgpu")
    for output in range(4):
        screen = f"{path}/drm/card{n}/card{n}-DP-{output}"
        files |= connector(screen, enabled="enabled\n", edid=edid(name=f"screen {n}.{output}"))
    return files


def _controller(n: int, path: str) -> Files:
    return _function(n, path, "C0330", "xhci_hcd")


def _bus(n: int, path: str, devices: int) -> Files:
    """One bus: hubs on the root hub's ports first, then what is plugged into them."""
    bus = n + 1
    files = root_hub(path, bus)
    top = f"{path}/usb{bus}"
    chains: list[tuple[int, ...]] = [(port,) for port in range(1, _HUB_PORTS + 1)]
    chains += [(hub, port) for hub in range(1, _HUB_PORTS + 1) for port in range(1, _HUB_PORTS + 1)]
    for number, chain in enumerate(chains[:devices], start=2):
        files |= _device(top, bus, number, chain)
    for port in range(1, _HUB_PORTS + 1):
        files |= hub_port(f"{top}/{bus}-0:1.0", f"usb{bus}-port{port}", connect_type="hotplug")
    return files


def _device(top: str, bus: int, number: int, chain: tuple[int, ...]) -> Files:
    folder = top
    name = ""
    for depth in range(len(chain)):
        name = f"{bus}-" + ".".join(map(str, chain[: depth + 1]))
        folder += "/" + name
    is_hub = len(chain) == 1
    kind, driver = ("9/0/0", "hub") if is_hub else ("3/1/1", "usbhid")
    files = usb(
        folder,
        number=number,
        device_class="9/0/0" if is_hub else "0/0/0",
        manufacturer="Maker\n",
        speed="480\n",
        serial=f"{bus}.{number}\n",
    )
    files |= interface(f"{folder}/{name}:1.0", kind, driver=driver)
    if is_hub:
        for port in range(1, _HUB_PORTS + 1):
            files |= hub_port(f"{folder}/{name}:1.0", f"{name}-port{port}", connect_type="hotplug")
    elif number % 3 == 0:
        node = bus * 64 + number
        udev = "E:ID_INPUT=1\nE:ID_INPUT_KEY=1\nE:ID_INPUT_KEYBOARD=1\n"
        files |= event(f"{folder}/{name}:1.0/0003:1:2.{node}/input/input{node}", node, udev=udev)
    return files


def _numbers(arguments: list[str]) -> Iterator[int]:
    return (int(argument) for argument in arguments)


if __name__ == "__main__":
    make_big_tree(Path(sys.argv[1]), *_numbers(sys.argv[2:]))
