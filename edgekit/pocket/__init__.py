"""The shipped model family: a generated language, its tokenizer, training, evaluation and model cards.

Nothing heavy is imported here: torch and transformers load inside the functions that need them.
"""
