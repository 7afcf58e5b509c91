"""11: which queries can stay on the device, what that saves, what it risks, and whether a router is worth it."""
