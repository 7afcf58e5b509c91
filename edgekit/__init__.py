"""edgekit: the package behind the notebooks. A wind tunnel for language models on edge devices."""

__version__ = "0.1.0"
