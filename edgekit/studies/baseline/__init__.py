"""02: how fast and how large unoptimized models are."""
