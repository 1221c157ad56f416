"""The definition of a new guest: a plain PC that boots any current operating system.

PCI Express with spare root ports, the host's CPU, virtio for disk, network and random numbers, a
serial console, an xHCI with every port it can have (USB controllers cannot be plugged into a
running guest). A guest with a card has no other screen. Its network is QEMU's own: it works on
every host and sets up nothing there.
"""

from __future__ import annotations

from phyllome_seat.model.domain_xml import (
    NAMESPACE,
    add,
    child,
    parse_domain,
    render_domain,
)
from phyllome_seat.model.guest_edit import edit_guest
from phyllome_seat.model.guest_pin import set_pins
from phyllome_seat.model.seat import NewGuest
from phyllome_seat.model.step import GuestPci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# libvirt makes as many root ports as are used, and one cannot be added while the guest runs:
# libvirt's "PCI topology and hotplug", section "x86_64 architecture".
_ROOT_PORTS = 16

# The timer whose lost ticks are sent again turns AVIC off for the life of the guest: KVM's
# APICV_INHIBIT_REASON_PIT_REINJ, arch/x86/kvm/i8254.c. Suspend stays off because a card that was
# handed over often does not wake.
_PLAIN = """\
<domain type='kvm'>
  <name/>
  <uuid/>
  <memory unit='KiB'/>
  <vcpu/>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
  </os>
  <features>
    <acpi/>
    <apic/>
  </features>
  <cpu mode='host-passthrough' check='none' migratable='off'>
    <topology sockets='1' cores='1' threads='1'/>
  </cpu>
  <clock offset='utc'>
    <timer name='rtc' tickpolicy='catchup'/>
    <timer name='pit' tickpolicy='discard'/>
    <timer name='hpet' present='no'/>
  </clock>
  <pm>
    <suspend-to-mem enabled='no'/>
    <suspend-to-disk enabled='no'/>
  </pm>
  <devices>
    <controller type='usb' index='0' model='qemu-xhci' ports='15'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <interface type='user'>
      <model type='virtio'/>
    </interface>
    <serial type='pty'/>
    <console type='pty'>
      <target type='serial'/>
    </console>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
  </devices>
</domain>
"""


def render_new_guest(seat: str, guest: NewGuest, pci: tuple[GuestPci, ...], uuid: str) -> str:
    """Return the definition of a guest to create, with the seat's devices in it.

    *errors*: DomainXmlError where its name or disk path holds what XML cannot.
    """
    from xml.etree.ElementTree import indent

    domain = parse_domain(_PLAIN)
    child(domain, "name").text = guest.name
    child(domain, "uuid").text = uuid
    child(domain, "memory").text = str(guest.memory_bytes // 1024)
    child(domain, "vcpu").text = str(guest.cpus)
    child(child(domain, "cpu"), "topology").set("cores", str(guest.cpus))
    devices = child(domain, "devices")
    # What a guest says before it has a screen: libvirt's virtlogd writes it, and rotates the file.
    log = f"/var/log/libvirt/qemu/{guest.name}-serial.log"
    add(child(devices, "serial"), "log", {"file": log, "append": "on"})
    add(child(devices, "interface"), "mac", {"address": _network_address(uuid)})
    for index in range(1, _ROOT_PORTS + 1):
        port = {"type": "pci", "index": str(index), "model": "pcie-root-port"}
        add(devices, "controller", port)
    if guest.firmware == "efi":
        _boot_by_efi(child(domain, "os"))
    if guest.disk_path is not None:
        _add_disk(devices, guest.disk_path)
    _add_screen(devices, own_card=any(item.what == "gpu" for item in pci))
    add(devices, "memballoon", {"model": "none" if pci else "virtio"})
    indent(domain)
    made = edit_guest(render_domain(domain), seat, pci, created=True)
    if not guest.pin:
        return made
    domain = parse_domain(made)
    set_pins(domain, guest.pin)
    return render_domain(domain)


def disk_format(path: str) -> str:
    """Return what QEMU is to read a disk as: ``raw`` or ``qcow2``.

    By name only: QEMU's own guess reads a raw disk as whatever its guest wrote to it
    (qemu-img(1), "-f").
    """
    return "raw" if path.startswith("/dev/") or path.endswith((".raw", ".img")) else "qcow2"


def guest_uuid(seat: str, machine_id: str) -> str:
    """Return the UUID of a seat's new guest, the same each time on one machine: libvirt refuses to
    define a known name with another UUID.
    """
    from uuid import NAMESPACE_URL, uuid5

    return str(uuid5(NAMESPACE_URL, f"{NAMESPACE}/{machine_id}/{seat}"))


def _network_address(uuid: str) -> str:
    """Return a network address that is the guest's each time it is created: libvirt makes one up
    where there is none. 52:54:00 is QEMU's and libvirt's prefix (virMacAddrGenerate).
    """
    from hashlib import sha256

    digest = sha256(uuid.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *digest[:3]))


def _boot_by_efi(os: Element) -> None:
    """Ask for a firmware by what it can do, not by its path (formatdomain, "BIOS bootloader").

    Without ``stateless='no'`` the firmware that suits "no secure boot" best may be one that
    forgets its boot entries: Debian's build for AMD SEV is.
    """
    os.set("firmware", "efi")
    add(add(os, "firmware"), "feature", {"enabled": "no", "name": "secure-boot"})
    add(os, "loader", {"stateless": "no"})


def _add_disk(devices: Element, path: str) -> None:
    kind, attribute = ("block", "dev") if path.startswith("/dev/") else ("file", "file")
    disk = add(devices, "disk", {"type": kind, "device": "disk"})
    add(disk, "driver", {"name": "qemu", "type": disk_format(path), "discard": "unmap"})
    add(disk, "source", {attribute: path})
    add(disk, "target", {"dev": "vda", "bus": "virtio"})
    add(disk, "boot", {"order": "1"})


def _add_screen(devices: Element, *, own_card: bool) -> None:
    video = add(devices, "video")
    add(video, "model", {"type": "none" if own_card else "virtio"})
