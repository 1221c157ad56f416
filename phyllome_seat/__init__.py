"""Several people share one PC, each with a guest of their own."""

__version__ = "0.1.0"
