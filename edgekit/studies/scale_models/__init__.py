"""01: what the pocket models can do by size, and where they behave like real ones."""
