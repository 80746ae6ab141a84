# The two commands of a newcomer: `make demo` and `make test`. Everything lives in .venv and .trr of this folder.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
PYTEST := $(BIN)/pytest -n 4 --dist worksteal

# Where this is set, as in many container images, each of some hundred processes would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-bridge up test check lint lint-types lint-rest licences bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.synced ## Make .venv from uv.lock

$(VENV)/.synced: pyproject.toml uv.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(BIN)/pip install --quiet --disable-pip-version-check "$$(sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/uv==\1/p}' uv.lock)"
	@# Where the registry is behind a proxy with a certificate of its own, only the system's store knows it.
	@VIRTUAL_ENV= $(UV) sync --frozen --quiet 2>/dev/null || VIRTUAL_ENV= $(UV) sync --frozen --quiet --system-certs
	@touch $@

demo: setup ## Photos through the whole pipeline; PHOTOS=folder takes your own
	@$(BIN)/trr demo $(if $(PHOTOS),--photos "$(PHOTOS)")

demo-bridge: setup ## The bridge to a made-up application with 200 photos at foreign keys
	@TRR_HOME=.trr-bridge $(BIN)/trr bridge demo

up: setup ## Database, API, admin app, Dagster UI and daemon until Ctrl-C
	@exec $(BIN)/trr up

test: setup ## All tests, with everything they need
	@$(BIN)/python -m trr_pipelines_tests.support.programs
	@$(PYTEST)

lint: setup ## Format, lint, types, import layers, definitions
	@$(MAKE) --no-print-directory -j 2 lint-types lint-rest

lint-types: # takes as long as the rest
	$(BIN)/mypy

lint-rest:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/dg check defs

check: lint test ## What CI runs

licences: setup ## Write docs/licences.md from uv.lock and the installed wheels
	@$(BIN)/python trr_pipelines_tests/support/licences.py

bench: setup ## Photos per second beside sharp and libvips, and what the pipeline costs; PHOTOS=folder takes your own
	@$(BIN)/python benchmarks/compare.py $(if $(PHOTOS),--photos "$(PHOTOS)")
	@$(BIN)/python -m benchmarks.pipeline $(if $(PHOTOS),--photos "$(PHOTOS)")

clean: ## Remove .venv and the embedded state
	rm -rf $(VENV) .trr .trr-bridge
