"""00: the documents' own numbers, audited."""
