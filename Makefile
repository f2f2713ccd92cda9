# HOST=func runs the app on Azure Functions Core Tools instead of local/functions. Some shells export HOST as the name
# of the machine; ignore that.
ifneq ($(HOST),func)
HOST = local
endif
# Which recording API: Call Automation (API=today) or the 2021 preview API (API=2021).
API = today
PYTHON = .venv/bin/python

.PHONY: help setup lock demo up soak bench infra package release test acceptance clean

help:  ## list these commands (the default)
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/.ready node_modules/.ready  ## install everything into .venv and node_modules, if anything has changed
	@:

lock: .venv/bin/uv  ## compile the requirements files from pyproject.toml and keep the pins; UPGRADE=1 uses the newest versions
	@$(PYTHON) -m local lock $(if $(UPGRADE),--upgrade)

demo: setup  ## record a call by each API, archive the recordings, check them: under a minute, files in demo-output; `make up` serves them
	@$(PYTHON) -m local demo --host $(HOST)

up: setup  ## run the whole stack until Ctrl-C, with what the demo left: prints the page's address, writes curl lines to .local/curl.sh; VERSIONS=1 (and ROLE=off): an archive with versions (that the app may not delete)
	@$(PYTHON) -m local up --host $(HOST) --api $(API) $(if $(VERSIONS),--versions) $(if $(filter off,$(ROLE)),--no-role) $(if $(wildcard .local/storage),--data .local/storage)

N = 1000
SEED = 1
soak: setup  ## N=1000 SEED=1: send N recordings through all kinds of faults and kills, check every byte; KEEP=1 holds and erases some; writes soak.json
	@$(PYTHON) -m local soak --api $(API) --recordings $(N) --seed $(SEED) --kills $(if $(KEEP),--keep)

bench: setup  ## compare the speed with the alternatives: benchmarks/results.json and charts (half an hour)
	@$(PYTHON) -m benchmarks

infra: setup  ## evaluate the Bicep templates into infra/snapshots (needs the compiler: BICEP, or bicep on the PATH)
	@$(PYTHON) -m tests.infra.compiler

package: setup  ## build the package that azd deploys, and start it with only the packaged libraries (needs PyPI)
	@$(PYTHON) -m tests.infra.package

release: setup  ## build what a release consists of into dist/: package, bill of materials, checksums (needs PyPI)
	@$(PYTHON) -m tests.infra.release dist

# Some shells turn the caches of compiled modules off, but the tests start Python hundreds of times.
test: export PYTHONDONTWRITEBYTECODE =
# More workers than cores, because tests spend much of their time waiting.
test: setup  ## ruff, import-linter, mypy and every test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/lint-imports --no-logo
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -n 4 --dist loadgroup

# Alone and one after the other, because other load on the machine changes the measurements.
acceptance: setup  ## the tests that are too long or too sensitive for `make test`: soaks, large chunks and archives (half an hour)
	$(PYTHON) -m pytest tests/acceptance --verbose --capture=no --durations=0

clean:  ## remove everything that the other commands created, except .venv and node_modules
	rm -rf demo-output dist soak.json .local .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .python_packages

# Needs only uv: the requirements files may be outdated or in conflict after a merge, so they aren't installed.
.venv/bin/uv:
	@sh local/setup.sh python

.venv/.ready: requirements.txt requirements-dev.txt tests/local/acs/sdk-1.2.0.txt local/setup.sh .python-version
	@sh local/setup.sh python

node_modules/.ready: package.json package-lock.json
	@sh local/setup.sh node
