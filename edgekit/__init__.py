"""edgekit: the package behind the notebooks. A wind tunnel for language models on edge devices."""

import warnings

__version__ = "0.1.0"

# Libraries take tqdm's bars for notebooks where there is a kernel, and it warns of widgets that are not installed before it
# falls back to the ones that the kit wants: text on standard error.
warnings.filterwarnings("ignore", message="IProgress not found")
