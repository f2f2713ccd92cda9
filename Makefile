# HOST=func runs the app on Azure Functions Core Tools instead of local/functions.
# Some shells export HOST as the name of the machine; that isn't meant.
ifneq ($(HOST),func)
HOST = local
endif
# Which recording API: that of today, or the preview of 2021 (API=2021).
API = today
PYTHON = .venv/bin/python

.PHONY: help setup lock demo up soak bench infra package test acceptance clean

help:  ## list these commands (what a bare `make` does)
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/.ready node_modules/.ready  ## install what is needed into .venv and node_modules, if anything has changed
	@:

lock: .venv/bin/uv  ## compile the requirements files from pyproject.toml, pins kept; UPGRADE=1 takes the newest versions
	@$(PYTHON) -m local lock $(if $(UPGRADE),--upgrade)

demo: setup  ## record a call by each API, archive the recordings, check them: under a minute, files in demo-output
	@$(PYTHON) -m local demo --host $(HOST)

up: setup  ## run the whole stack until Ctrl-C and print curl lines for it
	@$(PYTHON) -m local up --host $(HOST) --api $(API)

N = 1000
SEED = 1
soak: setup  ## N=1000 SEED=1: that many recordings with every fault and with kills, checked byte by byte; soak.json
	@$(PYTHON) -m local soak --api $(API) --recordings $(N) --seed $(SEED) --kills

bench: setup  ## speed beside what a user would otherwise write: benchmarks/results.json and charts (half an hour)
	@$(PYTHON) -m benchmarks

infra: setup  ## evaluate the Bicep templates anew, into infra/snapshots (needs the compiler: BICEP, or bicep on the PATH)
	@$(PYTHON) -m tests.infra.compiler

package: setup  ## build what azd deploys, and start it with no other library than it brings along (needs PyPI)
	@$(PYTHON) -m tests.infra.package

# More workers than cores: much of a test is waiting, for pauses and processes.
test: setup  ## ruff, import-linter, mypy and every test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/lint-imports --no-logo
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -n 3

# Alone and one after the other: what is measured is sensitive to what else the machine does.
acceptance: setup  ## what is too long or too sensitive for `make test`: soaks, large chunks and archives (half an hour)
	$(PYTHON) -m pytest tests/acceptance --verbose --capture=no --durations=0

clean:  ## remove everything that the other commands have made, but for .venv and node_modules
	rm -rf demo-output soak.json .local .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .python_packages

# Needs uv only: the requirements files may be outdated, or conflict after a merge, and aren't installed for this.
.venv/bin/uv:
	@sh local/setup.sh python

.venv/.ready: requirements.txt requirements-dev.txt tests/local/acs/sdk-1.2.0.txt local/setup.sh .python-version
	@sh local/setup.sh python

node_modules/.ready: package.json package-lock.json
	@sh local/setup.sh node
