# Everything that is done to this project by hand. Needs Python 3.11 or later, cargo, a C compiler and, for
# the tests against TypeScript peers, Node 20; all else is installed into .venv of this clone.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash -o pipefail

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check
RUST   := Cargo.toml Cargo.lock $(shell find rust -name fuzz -prune -o -name '*.rs' -print -o -name 'Cargo.toml' -print)
SHELL_SOURCES := $(shell find python -name '*.py' -o -name '*.pyi' -o -name py.typed) pyproject.toml README.md
PYTEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: help demo build test test-rust test-python world lint lint-rust lint-python bench bench-fleet format docs clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

$(VENV)/tools: pyproject.toml
	@echo "== tools into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group build --group lint --group test
	@touch $@

$(VENV)/wheel: $(VENV)/tools $(RUST) $(SHELL_SOURCES)
	@echo "== release wheel, built and installed into $(VENV) (the first time takes minutes)"
	@rm -f dist/*.whl
	@$(BIN)/maturin build --quiet --release --interpreter $(BIN)/python --out dist > $(VENV)/wheel.log 2>&1 \
		|| { cat $(VENV)/wheel.log; exit 1; }
	@$(PIP) install --force-reinstall --no-deps dist/*.whl
	@touch $@

build: $(VENV)/wheel ## Build the release wheel and install it into .venv

demo: $(VENV)/wheel ## Watch two messages cross, on both sides
	@$(BIN)/mcp-ferry demo

lint: lint-rust lint-python ## Check format, lints, types and stubs

lint-rust:
	@echo "== rust: format and lints"
	@cargo fmt --all --check
	@cargo clippy --quiet --workspace --all-targets --locked -- -D warnings

lint-python: $(VENV)/wheel
	@echo "== python: format, lints, types, stubs"
	@$(BIN)/ruff format --quiet --check python tests bench examples
	@$(BIN)/ruff check --quiet python tests bench examples
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m mypy.stubtest mcp_ferry._ferry > $(VENV)/stubtest.log || { cat $(VENV)/stubtest.log; exit 1; }

test-rust:
	@echo "== rust: tests"
	@cargo test --quiet --workspace --exclude ferry-py --locked

world: $(VENV)/tools ## Install the real servers and clients to test with, into .world
	@echo "== the real world: servers and clients"
	@$(BIN)/python -m tests.world.environments || true # what cannot be had is skipped, loudly

test-python: $(VENV)/wheel world
	@echo "== python: tests"
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test: lint test-rust test-python ## Everything that must hold

$(VENV)/bench: pyproject.toml $(VENV)/tools
	@$(PIP) install --group bench
	@touch $@

bench: $(VENV)/wheel $(VENV)/bench ## Measure the ferry beside other bridges; BENCH_ARGS='--quick --only ferry,floor'
	@echo "== load generator, floor and servers"
	@cargo build --quiet --release --locked --package ferry-bench --package ferry-server
	@$(BIN)/python -m bench.run $(BENCH_ARGS)

bench-fleet: $(VENV)/wheel $(VENV)/bench ## Measure many sessions in one process; BENCH_ARGS='--quick --only ferry,sdk2'
	@echo "== bare client and server"
	@cargo build --quiet --release --locked --package ferry-bench --package ferry-server
	@$(BIN)/python -m bench.fleet $(BENCH_ARGS)

format: $(VENV)/tools ## Format all sources
	@cargo fmt --all
	@$(BIN)/ruff format --quiet python tests bench examples
	@$(BIN)/ruff check --quiet --fix python tests bench examples

docs: $(VENV)/wheel ## Write docs/settings.md from the table of settings
	@$(BIN)/python -m tests.support.settings_page > docs/settings.md

clean: ## Remove everything that was built or installed
	@rm -rf $(VENV) .world dist
	@cargo clean --quiet
