"""What is done with an engine's tokens: drafts and their verification."""
