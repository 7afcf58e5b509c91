# Each target first brings .venv up to date with the pins (0.2 s when it is); see edgekit/environment/install.py.
PROFILE ?= pocket
setup = python3 edgekit/environment/install.py

.PHONY: reproduce report test lab clean

# Run every notebook with a profile's parameters, then render the report.
reproduce:
	@$(setup)
	.venv/bin/edgekit run --all --profile $(PROFILE)
	.venv/bin/edgekit report

# Render the report from the rows and notebooks that are there.
report:
	@$(setup)
	.venv/bin/edgekit report

test:
	@$(setup)
	.venv/bin/python -m pytest

# Open the notebooks in JupyterLab.
lab:
	@$(setup)
	.venv/bin/jupyter lab notebooks

# Remove what was generated; the environment and the committed results stay.
clean:
	rm -rf runs artifacts reports build edgekit.egg-info .pytest_cache .ruff_cache .hypothesis
