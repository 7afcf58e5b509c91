"""03: what each method keeps of a model at equal bits, and what it buys on each runtime."""
