# Targets: demo, test, check, claims, bench. `.venv` is made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check claims bench clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "Netwright needs Python 3.11 to 3.13; set PYTHON=python3.12, for example"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

demo: $(VENV)/.core  ## build a network for handwritten digits against three requirements, in a minute
	$(BIN)/netwright build digits --require "accuracy >= 0.95" --require "size <= 200 kB" \
	  --require "latency_p95 <= 5 ms @batch=1,threads=1" --budget 60s

check: $(VENV)/.dev  ## format, lint, spelling, types, and the whole test suite (what CI runs)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell netwright benchmarks docs examples README.md CONTRIBUTING.md CHANGELOG.md
	$(BIN)/pyright
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder \
	  -m "not claim"

test: check  ## the same as check

claims: $(VENV)/.dev  ## measure every claim (takes longer than the tests may)
	$(BIN)/python -m pytest -q -m claim
	$(BIN)/netwright reproduce all

bench: $(VENV)/.bench  ## paired benchmarks against peers, printed as ratios
	$(BIN)/python -m benchmarks

clean:  ## remove the environment and caches
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache *.egg-info
