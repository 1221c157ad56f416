"""A whole PC in QEMU: for tests, for the demo, for rehearsing a seat file."""
