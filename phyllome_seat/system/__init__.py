"""Effects: everything that reads or changes the machine."""
