"""The files sysfs has for PCI functions, USB devices, connectors and input devices."""

from __future__ import annotations

from tests.system.trees import Link

Files = dict[str, "str | bytes | Link"]


def pci(
    path: str,
    *,
    identity: str = "10DE:2786",
    subsystem: str = "1043:88E2",
    class_code: str = "30000",
    driver: str = "",
    udev: str = "",
    **attributes: str,
) -> Files:
    """One function, its folder ``sys/devices/<path>``; a link is an attribute that has a slash."""
    folder = f"sys/devices/{path}"
    address = path.rpartition("/")[2]
    uevent = f"DRIVER={driver}\n" if driver else ""
    uevent += f"PCI_CLASS={class_code}\nPCI_ID={identity}\nPCI_SUBSYS_ID={subsystem}\n"
    files: Files = {
        f"sys/bus/pci/devices/{address}": Link(folder),
        f"{folder}/uevent": uevent + f"PCI_SLOT_NAME={address}\n",
    }
    if driver:
        files[f"{folder}/driver"] = Link(f"sys/bus/pci/drivers/{driver}")
    if udev:
        files[f"run/udev/data/+pci:{address}"] = udev
    for name, value in attributes.items():
        files[f"{folder}/{name}"] = Link(value) if "/" in value and " " not in value else value
    return files


def root_hub(controller: str, bus: int, *, product: int = 2) -> Files:
    """The root hub of a bus with its one interface, below the controller's folder."""
    folder = f"{controller}/usb{bus}"
    uevent = f"DEVTYPE=usb_device\nDRIVER=usb\nPRODUCT=1d6b/{product}/612\nTYPE=9/0/1\n"
    return {
        f"sys/bus/usb/devices/usb{bus}": Link(f"sys/devices/{folder}"),
        f"sys/devices/{folder}/uevent": uevent + f"BUSNUM={bus:03}\nDEVNUM=001\n",
    } | interface(f"{folder}/{bus}-0:1.0", "9/0/0", driver="hub")


def usb(
    path: str,
    *,
    product: str = "46d/c52b/1201",
    device_class: str = "0/0/0",
    number: int = 2,
    **attributes: str | bytes,
) -> Files:
    """One device without its interfaces, its folder ``sys/devices/<path>``."""
    name = path.rpartition("/")[2]
    bus = int(name.partition("-")[0])
    uevent = f"DEVTYPE=usb_device\nDRIVER=usb\nPRODUCT={product}\nTYPE={device_class}\n"
    files: Files = {
        f"sys/bus/usb/devices/{name}": Link(f"sys/devices/{path}"),
        f"sys/devices/{path}/uevent": uevent
        + f"BUSNUM={bus:03}\nDEVNUM={number:03}\nMAJOR=189\nMINOR={(bus - 1) * 128 + number - 1}\n",
    }
    return files | {f"sys/devices/{path}/{name}": value for name, value in attributes.items()}


def interface(path: str, kind: str, *, driver: str = "") -> Files:
    """One interface of a USB device: class, subclass, protocol in decimal."""
    name = path.rpartition("/")[2]
    uevent = "DEVTYPE=usb_interface\n" + (f"DRIVER={driver}\n" if driver else "")
    return {
        f"sys/bus/usb/devices/{name}": Link(f"sys/devices/{path}"),
        f"sys/devices/{path}/uevent": uevent + f"INTERFACE={kind}\n",
    }


def hub_port(hub: str, name: str, *, peer: str = "", connect_type: str = "") -> Files:
    """One port in the folder of a hub's interface, with the path of its other speed's."""
    folder = f"sys/devices/{hub}/{name}"
    files: Files = {f"{folder}/connect_type": connect_type or "unknown"}
    if peer:
        files[f"{folder}/peer"] = Link(f"sys/devices/{peer}")
    return files


def connector(path: str, *, status: str = "connected", **attributes: str | bytes) -> Files:
    """One connector, its folder ``sys/devices/<path>``."""
    folder = f"sys/devices/{path}"
    name = path.rpartition("/")[2]
    files: Files = {
        f"sys/class/drm/{name}": Link(folder),
        f"{folder}/status": status + "\n",
    }
    return files | {f"{folder}/{name}": value for name, value in attributes.items()}


def event(path: str, node: int, *, name: str = "Keyboard", udev: str = "", **bits: str) -> Files:
    """One evdev node below the input device whose folder is ``sys/devices/<path>``."""
    folder = f"sys/devices/{path}"
    files: Files = {
        f"sys/class/input/event{node}": Link(f"{folder}/event{node}"),
        f"{folder}/event{node}/dev": f"13:{64 + node}\n",
        f"{folder}/name": name + "\n",
    }
    for number, value in zip(
        ("bustype", "vendor", "product", "version"), ("0003", "046d", "c52b", "0111"), strict=True
    ):
        files[f"{folder}/id/{number}"] = value + "\n"
    for bitmap, value in bits.items():
        files[f"{folder}/capabilities/{bitmap}"] = value + "\n"
    if udev:
        files[f"run/udev/data/c13:{64 + node}"] = udev
    return files


def edid(*, name: str = "", maker: bytes = b"\x10\xac", product: int = 0x41B1) -> bytes:
    """A base block that is right but for what a test does not look at."""
    block = bytearray(128)
    block[0:8] = b"\x00\xff\xff\xff\xff\xff\xff\x00"
    block[8:10] = maker
    block[10:12] = product.to_bytes(2, "little")
    block[18:21] = b"\x01\x04\xa5"
    if name:
        block[72:90] = b"\x00\x00\x00\xfc\x00" + name.encode().ljust(13, b"\n")[:13]
    block[127] = -sum(block[:127]) % 256
    return bytes(block)
