"""Pure: what a PC is, what people want, and the steps between. No files, programs, clocks."""
