"""Trained weights that the kit knows by name: small real models, whose files came rounded to 4 to 6 bits a weight."""

from __future__ import annotations


def listed() -> tuple[str, ...]:
    """Their names."""
    return ("smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct")
