"""A created guest's memory and CPUs in its definition, and what else of `create` it was made with.

The seat file says how large a guest of ours is, so a definition that differs is changed; firmware
and disk belong to what was installed in the guest, so a difference there is a refusal. All else in
the definition is its owner's.
"""

from __future__ import annotations

from phyllome_seat.model.domain_xml import child, parse_domain, remove, render_domain
from phyllome_seat.model.guest_pin import find_pins, set_pins
from phyllome_seat.model.seat import NewGuest
from phyllome_seat.model.value import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# QEMU's memory comes in whole MiB and libvirt rounds up to it when a guest starts:
# qemuDomainDefAlignMemorySizes.
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class GuestSize:
    """How large a guest is from its next start on."""

    memory_bytes: int
    cpus: int
    pin: tuple[int, ...] = ()

    def holds(self, new: NewGuest) -> bool:
        """Return whether this is what the seat file says; less than a MiB is no difference."""
        is_as_large = self.cpus == new.cpus and _mib(self.memory_bytes) == _mib(new.memory_bytes)
        return is_as_large and self.pin == new.pin


def find_size(xml: str) -> GuestSize:
    """Return the size in an inactive definition. Raises DomainXmlError."""
    return _size(parse_domain(xml))


def resize_guest(xml: str, new: NewGuest) -> str:
    """Return the definition with the memory, CPUs and pins of `new`; the very same text where it
    has them. What stands beside them follows only where it must, so that libvirt takes it.

    *errors*: DomainXmlError.
    """
    domain = parse_domain(xml)
    size = _size(domain)
    if size.holds(new):
        return xml
    if _mib(size.memory_bytes) != _mib(new.memory_bytes):
        _set_memory(domain, size.memory_bytes // 1024, new.memory_bytes // 1024)
    if size.cpus != new.cpus:
        _set_cpus(domain, new.cpus)
    if size.pin != new.pin:
        set_pins(domain, new.pin)
    return render_domain(domain)


def find_unchangeable(xml: str, new: NewGuest) -> tuple[str, ...]:
    """Return one sentence for each thing in which an existing guest cannot become `new`."""
    domain = parse_domain(xml)
    return (*_other_firmware(domain, new), *_other_disk(domain, new), *_no_room(domain, new))


# -- what stays as it was made ---------------------------------------------------------------------


def _other_firmware(domain: Element, new: NewGuest) -> list[str]:
    has = "efi" if _is_efi(domain) else "bios"
    if has == new.firmware:
        return []
    return [
        f"guest {new.name} was made with firmware {has}, and what is installed in it starts by "
        f"that only: write `firmware: {has}`, or {_anew(new, has)}"
    ]


def _is_efi(domain: Element) -> bool:
    """libvirt keeps what was asked for as an attribute and adds what it chose; either says so."""
    paths = ("os[@firmware='efi']", "os/loader[@type='pflash']", "os/nvram")
    return any(domain.find(path) is not None for path in paths)


def _other_disk(domain: Element, new: NewGuest) -> list[str]:
    sources = [disk.find("source") for disk in domain.findall("devices/disk[@device='disk']")]
    has = [s.get("file") or s.get("dev") or "" for s in sources if s is not None]
    if new.disk_path is None or new.disk_path in has:
        return []
    stay = f"write `path: {has[0]}`" if has else "leave `disk` out"
    there = f"has disk {has[0]}" if has else "was made without a disk"
    return [
        f"guest {new.name} {there}, not {new.disk_path}, and a guest that exists keeps its disk: "
        f"{stay}, or {_anew(new, 'efi' if _is_efi(domain) else 'bios')}"
    ]


def _anew(new: NewGuest, firmware: str) -> str:
    nvram = "--nvram " if firmware == "efi" else ""  # libvirt refuses without it: virsh(1)
    return f"let it be made anew (`virsh undefine {nvram}{new.name}`; no disk is removed)"


def _no_room(domain: Element, new: NewGuest) -> list[str]:
    """Return what its owner added that a change of size would break.

    libvirt takes the sum of NUMA cells for the memory, whatever `memory` says, and refuses a
    topology that is not the number of CPUs: virDomainDefPostParseMemory, virDomainVcpuParse.
    """
    size = _size(domain)
    edit = f"change its size there, by `virsh edit {new.name}`, and write the same in the seat file"
    if replace(size, pin=new.pin).holds(new):
        return []
    if domain.find("cpu/numa") is not None or domain.find("vcpus") is not None:
        what = "NUMA cells" if domain.find("cpu/numa") is not None else "CPUs one by one"
        return [f"guest {new.name} was given {what} of its own by its owner: {edit}"]
    each = _cpus_of_a_core(domain)
    if size.cpus != new.cpus and new.cpus % each:
        return [
            f"guest {new.name} was given a CPU topology by its owner that comes in steps of {each} "
            f"CPUs, and {new.cpus} is none: write a multiple of {each}, or {edit}"
        ]
    return []


# -- memory and CPUs -------------------------------------------------------------------------------


def _size(domain: Element) -> GuestSize:
    """libvirt prints memory in KiB, whatever was written (virDomainDefFormatInternal)."""
    return GuestSize(
        memory_bytes=_count(domain.findtext("memory")) * 1024,
        cpus=_count(domain.findtext("vcpu")),
        pin=find_pins(domain),
    )


def _set_memory(domain: Element, was_kib: int, kib: int) -> None:
    """Set what the guest has, and what it has at first where that was all of it or is too much."""
    memory = child(domain, "memory")
    memory.text = str(kib)
    memory.set("unit", "KiB")
    current = domain.find("currentMemory")
    if current is not None and _count(current.text) >= min(was_kib, kib):
        remove(domain, current)  # libvirt makes it all


def _set_cpus(domain: Element, cpus: int) -> None:
    vcpu = child(domain, "vcpu")
    vcpu.text = str(cpus)
    if _count(vcpu.get("current")) >= cpus:
        vcpu.attrib.pop("current", None)
    topology = domain.find("cpu/topology")
    if topology is not None:
        topology.set("cores", str(cpus // _cpus_of_a_core(domain)))


def _cpus_of_a_core(domain: Element) -> int:
    """Return by how many the number of CPUs grows with each core of a socket."""
    topology = domain.find("cpu/topology")
    each = 1
    for name in ("sockets", "dies", "clusters", "threads"):
        each *= 1 if topology is None else _count(topology.get(name))
    return each


def _count(text: str | None) -> int:
    """Return a number as libvirt prints it, 1 for none."""
    text = (text or "").strip()
    return max(int(text), 1) if text.isdecimal() and text.isascii() else 1


def _mib(size_bytes: int) -> int:
    return -(-size_bytes // _MIB)
