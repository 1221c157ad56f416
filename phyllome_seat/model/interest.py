"""Which USB events are worth a look: an event is held against this before its device is read.

Most of what is plugged into a PC is no seat's, and must cost next to nothing. In doubt, it is worth
a look: a look too many costs a moment, one too few a device.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phyllome_seat.model.assignment import Assignment
    from phyllome_seat.model.reconcile import Reconciled


class Interest:
    """What of a comparison tells whether an event may change the next one."""

    def __init__(self, assignment: Assignment, result: Reconciled) -> None:
        ports = [port for seat in assignment.seats for port in seat.ports]
        ports += [lend.port for lend in result.lending.lends]
        ports += [item.port for item in result.lending.released]
        self._all = assignment.unknown_usb != "host"
        self._chains = {".".join(map(str, port.ports)) for port in ports}
        ids = [match.id for seat in assignment.seats for match in seat.devices]
        self._products = {f"{one.vendor:x}/{one.product:x}/" for one in ids}
        self._names = {device.sysname for device, _ in result.owners}

    def has(self, name: str, product: str | None, kind: str | None) -> bool:
        """Return whether a seat's device may be meant.

        `name` is the kernel's, which ends with the chain of ports of its place; `product` is
        PRODUCT, ``46d/c52b/2403``; `kind` is TYPE, ``9/0/1`` of a hub. Hubs and controllers are
        always meant: they bring sockets, and with them the places that seats name.
        """
        chain = name.partition("-")[2]
        if self._all or not chain or name in self._names or (kind or "").startswith("9/"):
            return True
        while chain:
            if chain in self._chains:
                return True
            chain = chain.rpartition(".")[0]
        return any((product or "").startswith(known) for known in self._products)
