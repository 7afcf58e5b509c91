"""04: which heads and neurons can go, what that costs, and what it really saves."""
