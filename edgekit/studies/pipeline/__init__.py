"""07: what quantization, pruning and drafting give together, stage by stage, and which of them the gain comes from."""
