"""Two folders of rows side by side: what changed beyond chance, which verdicts did, and what the two machines differ in."""
