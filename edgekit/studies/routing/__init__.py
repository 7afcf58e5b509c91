"""Which queries can stay on the device, what that saves and risks, and whether a router is worth it."""
