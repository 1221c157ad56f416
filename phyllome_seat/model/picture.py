"""A Host as a picture in text: cards with their monitors, controllers with what hangs on them."""

from __future__ import annotations

from collections.abc import Iterator

from phyllome_seat.model.address import PciAddress, UsbPort
from phyllome_seat.model.devices import Connector, Host, PciDevice, UsbDevice
from phyllome_seat.model.lost import render_lost
from phyllome_seat.model.protect import Protected, Reason

_DRIVERLESS = "no driver"


def render_picture(host: Host, protected: Protected) -> str:
    """Return the whole PC as lines of text; ends with a line feed."""
    parts = [_machine(host), _gpus(host, protected), _controllers(host, protected)]
    parts += [_others(host, protected), _guests(host), _rest(host)]
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part))) + "\n"


def _machine(host: Host) -> Iterator[str]:
    online = [cpu for cpu in host.cpus if cpu.online]
    if online:
        cores = len({cpu.core for cpu in online})
        caches = len({cpu.l3 for cpu in online if cpu.l3})
        nodes = len({cpu.numa_node for cpu in online if cpu.numa_node is not None})
        words = [f"{cores} cores", f"{len(online)} threads"]
        words += [f"{caches} L3 caches"] if caches > 1 else []
        words += [f"{nodes} NUMA nodes"] if nodes > 1 else []
        words += _kinds(host)
        yield "CPU     " + ", ".join(words)
    if host.memory:
        pools = [
            f"{p.total} × {p.size_kib // 1024} MiB huge pages"
            for p in host.memory.huge_pages
            if p.total
        ]
        yield "memory  " + ", ".join([f"{host.memory.total_kib / 2**20:.1f} GiB", *pools])
    if host.iommu.groups:
        units = ", ".join(host.iommu.units) or "unit not named"
        yield f"IOMMU   on ({units}), {host.iommu.groups} groups"
    else:
        why = (
            "firmware has it, the kernel does not use it"
            if host.iommu.firmware_tables
            else "not seen"
        )
        yield f"IOMMU   off ({why}): no card can go to a guest"


def _kinds(host: Host) -> list[str]:
    names = {"core": "performance", "atom": "efficiency"}
    counts = {kind: sum(cpu.kind == kind for cpu in host.cpus) for kind in names}
    return [f"{count} {names[kind]}" for kind, count in counts.items() if count]


def _gpus(host: Host, protected: Protected) -> Iterator[str]:
    for gpu in host.pci:
        if not gpu.is_gpu:
            continue
        yield _function(gpu, protected)
        others = [d for d in host.functions_of(gpu.address) if d.address != gpu.address]
        lines = [_companion(d, gpu, protected) for d in others if not d.is_gpu]
        lines += [_connector(c) for c in host.connectors if c.gpu == gpu.address]
        yield from _branches(lines)


def _companion(device: PciDevice, gpu: PciDevice, protected: Protected) -> str:
    """Return the line of a function beside its card, without what is said of the card already."""
    reasons = protected.pci.get(device.address, ())
    kept = tuple(reason for reason in reasons if reason.about != gpu.address)
    return _function(device, Protected({device.address: kept}, {}))


def _connector(connector: Connector) -> str:
    monitor = connector.monitor
    state = " (remembered)" if connector.remembered else ""
    if monitor is None:
        return f"{connector.name}  " + (
            "a monitor without a readable EDID" if connector.connected else "–"
        )
    words = [monitor.maker, monitor.name, f"serial {monitor.serial}" if monitor.serial else None]
    if monitor.preferred:
        words.append("{}×{}".format(*monitor.preferred))
    return f"{connector.name}  {' '.join(word for word in words if word)}{state}"


def _controllers(host: Host, protected: Protected) -> Iterator[str]:
    for controller in host.pci:
        if controller.is_usb_controller:
            yield _function(controller, protected)
            yield from _branches(list(_sockets(host, controller.address, protected)))


def _sockets(host: Host, controller: PciAddress, protected: Protected) -> Iterator[str]:
    """Yield a line per device, by socket; empty sockets are counted in a last line."""
    devices = {device.port: device for device in host.usb if device.port}
    empty = 0
    seen: set[UsbPort] = set()
    for socket in host.sockets:
        if socket.ports[0].controller != controller:
            continue
        plugged = [port for port in socket.ports if port in devices]
        empty += not plugged
        seen.update(plugged)
        for port in plugged:
            yield _usb(host, devices[port], protected.usb.get(port, ()))
    for port, device in devices.items():
        if port.controller == controller and port not in seen:
            yield _usb(host, device, protected.usb.get(port, ()))
    if empty:
        yield f"{empty} empty socket" + ("s" if empty > 1 else "")


def _usb(host: Host, device: UsbDevice, reasons: tuple[Reason, ...]) -> str:
    assert device.port is not None
    kinds = sorted({kind for node in host.inputs if node.usb == device.port for kind in node.kinds})
    words = ["hub"] if device.is_hub else [kind for kind in kinds if kind != "key"]
    extra = f"  [{', '.join(words)}]" if words else ""
    serial = f" serial {device.serial}" if device.serial else ""
    speed, chain = str(device.port).split("/")[1:]
    indent = "  " * chain.count(".")
    state = " (remembered)" if device.remembered else ""
    identity = f"{device.name} ({device.id}{serial})"
    return f"{indent}{speed} {chain}  {identity}{extra}{state}{_needed(reasons)}"


def _others(host: Host, protected: Protected) -> Iterator[str]:
    """Yield what else the host needs: disks' controllers, network cards; the board's parts not."""
    cards = {f.address for d in host.pci if d.is_gpu for f in host.functions_of(d.address)}
    for device in host.pci:
        reasons = protected.pci.get(device.address, ())
        is_shown = device.is_usb_controller or device.address in cards or device.is_bridge
        if not is_shown and any(reason.kind != "bridge" for reason in reasons):
            yield _function(device, protected)


def _guests(host: Host) -> Iterator[str]:
    """Yield a line for each guest, none where libvirt was not asked."""
    for guest in host.guests_known:
        seat = f", seat {guest.seat}" if guest.seat else ""
        yield f"guest {guest.name}  {guest.state}{seat}"


def _rest(host: Host) -> Iterator[str]:
    lines = [f"{mount.point}  on {mount.device}" for mount in host.mounts]
    lines += [f"{use.interface}  {use.why}" for use in host.network_uses]
    yield from dict.fromkeys(lines)  # a default route stands in two tables, IPv4's and IPv6's


def _function(device: PciDevice, protected: Protected) -> str:
    group = "no IOMMU group" if device.iommu_group is None else f"group {device.iommu_group}"
    words = [device.driver or _DRIVERLESS, group]
    words += ["shows the boot"] if device.boot_vga else []
    needed = _needed(protected.pci.get(device.address, ()))
    return f"{device.address}  {_name(device)}  {' · '.join(words)}{needed}"


def _name(device: PciDevice) -> str:
    """Return its name with its id, once."""
    plain = f"{device.id.vendor:04x}:{device.id.device:04x}"
    return device.name if plain in device.name else f"{device.name} ({plain})"


def _needed(reasons: tuple[Reason, ...]) -> str:
    lost = render_lost(reasons)
    return f"  ← the host would lose {lost}" if lost else ""


def _branches(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        yield ("  └─ " if number == len(lines) else "  ├─ ") + line
