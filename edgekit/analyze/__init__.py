"""Rows in, values out: numpy, scipy and pandas only. Nothing here loads a model, reads a clock or draws."""
