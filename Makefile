# `make demo` and `make test` do everything on a fresh machine with Python 3.10 or later: they set up .venv first.
# PYTHON chooses the interpreter that .venv is made from:  make test PYTHON=python3.12
PYTHON ?= python3
# Test files at once; a process each. JOBS=1 is for a debugger.
JOBS ?= 2
# What pytest is told besides:  make test PYTEST='-m "not slow"'
PYTEST ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test lint types docs format setup clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    query, measure this machine, pick, export and verify a network"
	@echo "make test    run the tests"
	@echo "make lint    ruff: findings and format        make types    mypy"
	@echo "make docs    guides and reference into site/  make format   let ruff rewrite the files"
	@echo "make clean   remove .venv and caches"

setup: $(STAMP)

$(STAMP): pyproject.toml setup.cfg
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 10) and f"gpunet needs Python 3.10 or later, $(PYTHON) is {v}. Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/python tools/demo.py

test: $(STAMP)
	@$(BIN)/python -m pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist loadfile --no-loadscope-reorder) $(PYTEST)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

# A broken link is an error.
docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "site/index.html"

format: $(STAMP)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-output site
