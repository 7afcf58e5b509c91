"""Variants and artifacts: a model, the steps applied to it, and what that is on disk. Never sees a clock."""
