"""Arithmetic problems in plain English, for models of real text: situations told in sentences, drawn by seed."""
