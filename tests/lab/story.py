"""The story of the two-seat PC, for tests: `demo` is examples/two-seat-gaming-pc/demo.py."""

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).parents[2] / "examples/two-seat-gaming-pc/demo.py"
_spec = importlib.util.spec_from_file_location("two_seat_demo", _PATH)
demo = importlib.util.module_from_spec(_spec)
sys.modules["two_seat_demo"] = demo
_spec.loader.exec_module(demo)
Story = demo.Story

# Strokes that a guest's kernel keeps for its program while that is slow to print them: 64 events,
# six a stroke (EVDEV_MIN_BUFFER_SIZE, drivers/input/evdev.c).
AT_ONCE = 8
