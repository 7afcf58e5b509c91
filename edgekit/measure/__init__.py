"""Numbers out of engines: clocks, memory, energy, quality, and what the device is."""
