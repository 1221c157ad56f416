"""What of the host a guest's definition names besides its hostdevs: disks and network cards."""

from __future__ import annotations

from collections.abc import Iterator

from phyllome_seat.model.devices import BlockDevice, Guest, Host


def find_disks(guest: Guest, host: Host) -> Iterator[BlockDevice]:
    """Yield the block devices that a guest has as its disks: formatdomain.html, "source dev".

    A link such as ``/dev/disk/by-id/...`` is not followed: nobody says here where it leads. An LVM
    volume or a LUKS mapping is in use by being active.
    """
    if "/dev/" not in guest.xml:
        return
    for path in _attributes(guest, "devices/disk/source", "dev"):
        block = find_block(path, host)
        if block is not None:
            yield block


def find_block(path: str, host: Host) -> BlockDevice | None:
    """Return the block device of a node in ``/dev``, by the kernel's name or a volume's own."""
    if not path.startswith("/dev/"):
        return None
    name = path.removeprefix("/dev/").replace("/", "!")
    names = {block.name: block for block in host.blocks}
    labels = {block.label: block for block in host.blocks if block.label}
    return names.get(name) or labels.get(path.rpartition("/")[2])


def find_images(guest: Guest) -> tuple[str, ...]:
    """Return the paths of the files that a guest has as its disks."""
    return tuple(_attributes(guest, "devices/disk/source", "file"))


def find_interfaces(guest: Guest) -> Iterator[str]:
    """Yield the network interfaces of the host that a guest is connected by: macvtap, bridge."""
    if "<interface" in guest.xml:
        yield from _attributes(guest, "devices/interface[@type='direct']/source", "dev")
        yield from _attributes(guest, "devices/interface[@type='bridge']/source", "bridge")


def _attributes(guest: Guest, path: str, name: str) -> Iterator[str]:
    from phyllome_seat.model.domain_xml import DomainXmlError, parse_domain  # only where there is

    try:
        domain = parse_domain(guest.xml)
    except DomainXmlError:  # of a Host from a file; what its hostdevs hold is known all the same
        return
    for element in domain.findall(path):
        if value := element.get(name):
            yield value
