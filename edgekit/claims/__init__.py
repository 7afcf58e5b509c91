"""The ledger of published claims: the file, the judgement, its text. Above the studies, whose quantities it reads."""
