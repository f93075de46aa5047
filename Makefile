# make help            lists the targets
# make train eval      the embedded default, from a fresh clone: venv, training, evaluation, report

PYTHON ?= python3
EXPERIMENT ?= benchmarks/pocket/pocket.toml
BENCHMARK ?= pocket
# settings to change, such as ARGS="train.epochs=1 generate.max_new_tokens=64"
ARGS ?=
# runs to compare or report, such as RUNS="reports/runs/a reports/runs/b"; none: all
RUNS ?=

# how often `make bench` measures each figure
REPEATS ?= 5

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install train eval compare bench audit report test check lock licences clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## ?/\1\t/' | expand -t 12

install: $(READY)  ## create .venv and install everything, with exact versions

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,dev]'
	@touch $@

train: $(READY)  ## QLoRA by EXPERIMENT; resumes from the last checkpoint
	@$(BIN)/harness train $(EXPERIMENT) $(ARGS)

eval: $(READY)  ## evaluate the base and every checkpoint of EXPERIMENT; writes runs and a report page
	@$(BIN)/harness eval $(EXPERIMENT) $(ARGS)

compare: $(READY)  ## paired tests between RUNS (default: all)
	@$(BIN)/harness compare $(or $(RUNS),$(dir $(wildcard reports/runs/*/run.json)))

bench: $(READY)  ## speed of scoring, generation and training here; fails where one fell beyond the noise since last time
	@$(BIN)/harness bench score --quick --gate --repeats $(REPEATS)
	@$(BIN)/harness bench generate --experiment $(EXPERIMENT) --quick --gate --repeats $(REPEATS) $(ARGS)
	@$(BIN)/harness bench train --experiment $(EXPERIMENT) --quick --gate --repeats $(REPEATS) $(ARGS)

audit: $(READY)  ## check the gold side of BENCHMARK
	@$(BIN)/harness audit $(BENCHMARK) $(ARGS)

report: $(READY)  ## write the report page over RUNS (default: all) and the leaderboard
	@$(BIN)/harness report $(RUNS)

test: $(READY)  ## ruff, mypy, pytest
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest

check: test  ## the same as test

lock: $(READY)  ## write constraints.txt from what is installed
	@$(BIN)/python -m pip freeze --exclude-editable --exclude harness \
		| sed -E "/ @ /d; /^(nvidia-|cuda-|triton=)/{/^nvidia-ml-py/!d}; s/\\+[a-z0-9.]+$$$$//" > constraints.tmp
	@mv constraints.tmp constraints.txt

licences: $(READY)  ## write reports/licences.md from what is installed
	@$(BIN)/python -m benchmarks.speed.licences > licences.tmp
	@mv licences.tmp reports/licences.md

clean:  ## remove caches and what runs made; keeps .venv and reports/published
	@rm -rf reports/runs reports/adapters reports/page .cache build *.egg-info
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
