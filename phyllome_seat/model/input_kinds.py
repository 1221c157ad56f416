"""What kind of input device something is, by what it can send: udev's words without udev.

udev's database is asked first; this is for where there is none, and for what has left the host.
The words mean what udev's ``ID_INPUT_*`` properties mean (libinput documentation, "Device
configuration via udev", and systemd's 60-input-id.rules): found from capabilities alone, so what
udev knows from its hardware database (that a mouse is a trackball) is not found here.
Numbers are those of include/uapi/linux/input-event-codes.h.
"""

from __future__ import annotations

from phyllome_seat.model.value import dataclass

KINDS = (
    "key",
    "keyboard",
    "mouse",
    "touchpad",
    "touchscreen",
    "tablet",
    "tablet_pad",
    "joystick",
    "switch",
    "pointingstick",
    "trackball",
    "accelerometer",
)

_BUS_I2C = 0x18

_PROPERTY_DIRECT = 0x01
_PROPERTY_POINTING_STICK = 0x05
_PROPERTY_ACCELEROMETER = 0x06

_EVENT_KEY = 0x01
_EVENT_SWITCH = 0x05

_REL_X, _REL_Y, _REL_HWHEEL, _REL_DIAL, _REL_WHEEL = 0x00, 0x01, 0x06, 0x07, 0x08

_ABS_X, _ABS_Y, _ABS_Z = 0x00, 0x01, 0x02
_ABS_RX, _ABS_PRESSURE = 0x03, 0x18
_ABS_MT_SLOT, _ABS_MT_POSITION_X, _ABS_MT_POSITION_Y = 0x2F, 0x35, 0x36

_BTN_MISC, _BTN_0 = 0x100, 0x100
_BTN_MOUSE, _BTN_JOYSTICK = 0x110, 0x120
_BTN_DIGI, _BTN_TOOL_PEN, _BTN_TOOL_FINGER = 0x140, 0x140, 0x145
_BTN_TOUCH, _BTN_STYLUS = 0x14A, 0x14B
_KEY_OK = 0x160
_BTN_DPAD_UP, _BTN_DPAD_RIGHT = 0x220, 0x223
_BTN_TRIGGER_HAPPY, _BTN_TRIGGER_HAPPY_LAST = 0x2C0, 0x2E7


def _span(first: int, last: int) -> int:
    """Return the bits of these codes, both ends included."""
    return (1 << last + 1) - (1 << first)


_KEYBOARD_KEYS = _span(1, 31)  # the keys from Escape to S: all of them make a full keyboard
_PLAIN_KEYS = (
    _span(1, _BTN_MISC - 1)
    | _span(_KEY_OK, _BTN_DPAD_UP - 1)
    | _span(_BTN_DPAD_RIGHT + 1, _BTN_TRIGGER_HAPPY - 1)
)
_MOUSE_BUTTONS = _span(_BTN_MOUSE, _BTN_JOYSTICK - 1)
_GAME_BUTTONS = (
    _span(_BTN_JOYSTICK, _BTN_DIGI - 1)
    | _span(_BTN_DPAD_UP, _BTN_DPAD_RIGHT)
    | _span(_BTN_TRIGGER_HAPPY, _BTN_TRIGGER_HAPPY_LAST)
)
_GAME_AXES = _span(_ABS_RX, _ABS_PRESSURE - 1)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an input device can send: one bit for each code, of each type of event."""

    bus_type: int = 0
    properties: int = 0
    events: int = 0
    keys: int = 0
    relative: int = 0
    absolute: int = 0


def parse_bits(text: str) -> int:
    """Return the bits of a sysfs bitmap, 0 for any other text.

    Words of 64 bit in hexadecimal, highest first; empty ones at the front are left out. Source:
    ``input_print_bitmap`` in drivers/input/input.c, on 64-bit kernels.
    """
    bits = 0
    try:
        for word in text.split():
            bits = bits << 64 | int(word, 16)
    except ValueError:
        return 0
    return bits if bits >= 0 else 0


def classify(can: Capabilities) -> tuple[str, ...]:
    """Return what udev would call the device, in the order of KINDS; nothing for no kind."""
    keys = can.keys if _has(can.events, _EVENT_KEY) else 0
    kinds = set()
    if _is_accelerometer(can, keys):
        kinds.add("accelerometer")
    else:
        kinds |= _find_pointers(can, keys)
    if keys & _PLAIN_KEYS:
        kinds.add("key")
    if keys & _KEYBOARD_KEYS == _KEYBOARD_KEYS:
        kinds.add("keyboard")
    if _has(can.events, _EVENT_SWITCH):
        kinds.add("switch")
    return tuple(kind for kind in KINDS if kind in kinds)


def _has(bits: int, *codes: int) -> bool:
    return all(bits >> code & 1 for code in codes)


def _is_accelerometer(can: Capabilities, keys: int) -> bool:
    """Three axes and not one key, or the driver says so; a tablet's frame may hold one too."""
    if _has(can.properties, _PROPERTY_ACCELEROMETER):
        return not _is_pad(can, keys)
    return _has(can.absolute, _ABS_X, _ABS_Y, _ABS_Z) and not keys


def _find_pointers(can: Capabilities, keys: int) -> set[str]:
    """Return what kinds of pointing device this is: what touches, what moves, what plays."""
    kinds = set()
    surface = _find_surface(can, keys)
    if _is_pad(can, keys):
        kinds.add("tablet_pad")
    elif surface:
        kinds.add(surface)
    elif _is_joystick(can, keys):
        kinds.add("joystick")
    elif _is_mouse(can, keys):
        kinds.add("mouse")
    if _has(can.properties, _PROPERTY_POINTING_STICK) or (
        "mouse" in kinds and can.bus_type == _BUS_I2C  # the stick of a touchpad's I2C board
    ):
        kinds.add("pointingstick")
    return kinds


def _is_mouse(can: Capabilities, keys: int) -> bool:
    """A button, and a way to move: by steps or, in virtual machines, by places."""
    moves = _has(can.relative, _REL_X, _REL_Y) or _has(can.absolute, _ABS_X, _ABS_Y)
    return bool(keys & _MOUSE_BUTTONS) and (moves or not can.absolute)


def _find_surface(can: Capabilities, keys: int) -> str | None:
    """Return what kind of surface something is put on, None for none."""
    single = _has(can.absolute, _ABS_X, _ABS_Y)
    multi = _has(can.absolute, _ABS_MT_POSITION_X, _ABS_MT_POSITION_Y)
    # A device with an axis of every number has these two as well, and is not touched: the slot is
    # the first number of touching, the one before it is not used by it.
    if _has(can.absolute, _ABS_MT_SLOT, _ABS_MT_SLOT - 1):
        multi = False
    if not single and not multi:
        return None
    if _has(keys, _BTN_STYLUS) or _has(keys, _BTN_TOOL_PEN):
        return "tablet"
    is_direct = _has(can.properties, _PROPERTY_DIRECT)
    if _has(keys, _BTN_TOOL_FINGER) and not is_direct:
        return "touchpad"
    if single and not multi and keys & _MOUSE_BUTTONS:
        return None  # an absolute mouse
    return "touchscreen" if _has(keys, _BTN_TOUCH) or is_direct else None


def _is_pad(can: Capabilities, keys: int) -> bool:
    """Whether these are the buttons and wheels on a tablet's frame, without its surface.

    The kernel's driver claims a stylus button on a pad, for the sake of old programs
    (``wacom_setup_pad_input_capabilities``, drivers/hid/wacom_wac.c), but no pen and no pressure.
    """
    if _has(keys, _BTN_TOOL_PEN) or _has(keys, _BTN_TOUCH) or _has(can.absolute, _ABS_PRESSURE):
        return False
    if _has(keys, _BTN_STYLUS):
        return True
    has_dial = any(_has(can.relative, code) for code in (_REL_WHEEL, _REL_HWHEEL, _REL_DIAL))
    # keyboards with a volume wheel claim the first button as well
    return has_dial and _has(keys, _BTN_0) and not keys & (_PLAIN_KEYS | _MOUSE_BUTTONS)


def _is_joystick(can: Capabilities, keys: int) -> bool:
    """Whether it has what only games use, and at least two of it."""
    count = (keys & _GAME_BUTTONS).bit_count() + (can.absolute & _GAME_AXES).bit_count()
    if count < 2:
        return False
    # Some keyboards claim joystick buttons: keys everybody types with tell them apart.
    return (keys & _KEYBOARD_KEYS).bit_count() < 4
