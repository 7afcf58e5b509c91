"""Which model, precision and way to reason is best within a time; and what samples in parallel with a vote add."""
