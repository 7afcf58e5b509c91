"""10: what the choice of a runtime buys on the same weights and machine, and whether runtimes agree."""
