"""05: what brings back what pruning took, and which chain of steps keeps most."""
