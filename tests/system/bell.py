"""A bell in place of udev's events, for tests that wait for a plug."""

import os


class Bell:
    """Stands where udev's events come from: rung when the folder changed."""

    def __init__(self):
        self.inner, self.outer = os.pipe()

    def fileno(self):
        return self.inner

    def ring(self):
        os.write(self.outer, b"!")

    def read(self):
        return os.read(self.inner, 4096)
