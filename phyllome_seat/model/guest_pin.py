"""A created guest's virtual CPUs on CPUs of the host, each on one: ``cputune`` in its definition.

What is there by us is said by our mark; pins of the owner's own, in a guest whose seat file says
nothing of them, stay. Source: libvirt's formatdomain, "CPU Tuning".
"""

from __future__ import annotations

from phyllome_seat.model.cores import parse_cpus, render_cpus
from phyllome_seat.model.domain_xml import add, child, find_ours, remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MARK = "pinned"


def find_pins(domain: Element) -> tuple[int, ...]:
    """Return the host's CPU of each virtual one, by its number; none where they are not by us.

    Pins that someone changed since are found as they are now, -1 for a virtual CPU on several.
    """
    ours = find_ours(domain)
    if ours is None or ours.get(_MARK) != "yes":
        return ()
    pins = {}
    for pin in domain.findall("cputune/vcpupin"):
        cpus = parse_cpus(pin.get("cpuset") or "") or ()
        pins[pin.get("vcpu", "")] = cpus[0] if len(cpus) == 1 else -1
    found = tuple(pins.get(str(number), -1) for number in range(len(pins)))
    emulator = domain.find("cputune/emulatorpin")
    others = parse_cpus(emulator.get("cpuset") or "") if emulator is not None else None
    return found if set(others or ()) == set(found) else (-1,)


def set_pins(domain: Element, cpus: tuple[int, ...]) -> None:
    """Put each virtual CPU on its own of `cpus` and QEMU's other threads on all of them; take the
    pins out where there are none. Other tuning in the definition stays.

    QEMU's threads share the seat's CPUs, so that no seat's disk or sound disturbs another's.
    """
    ours = find_ours(domain)
    tune = domain.find("cputune")
    for pin in () if tune is None else [*tune.findall("vcpupin"), *tune.findall("emulatorpin")]:
        remove(child(domain, "cputune"), pin)
    if ours is not None:
        ours.attrib.pop(_MARK, None)
    if not cpus:
        if tune is not None and not len(tune):
            remove(domain, tune)
        return
    if tune is None:
        tune = _add_tune(domain)
    for number, cpu in enumerate(cpus):
        add(tune, "vcpupin", {"vcpu": str(number), "cpuset": str(cpu)})
    add(tune, "emulatorpin", {"cpuset": render_cpus(tuple(sorted(cpus)))})
    if ours is not None:
        ours.set(_MARK, "yes")


def _add_tune(domain: Element) -> Element:
    """Return an empty ``cputune``, where libvirt prints it: after the number of CPUs."""
    from xml.etree.ElementTree import Element

    after = ("vcpu", "vcpus", "iothreads", "iothreadids")
    index = max((n for n, e in enumerate(domain, 1) if e.tag in after), default=0)
    tune = Element("cputune")
    tune.text, tune.tail = "\n    ", domain.text
    domain.insert(index, tune)
    return tune
