# `make train` and `make test` set up everything they need, in .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Without an NVIDIA GPU the small CPU build of PyTorch will do; with one, the default (CUDA) build is taken.
TORCH_INDEX := $(if $(shell command -v nvidia-smi),,--extra-index-url https://download.pytorch.org/whl/cpu)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help train test slow peers doors docs lint format setup clean

help:
	@echo 'make train   sets up .venv once and trains a small agent, in minutes'
	@echo 'make test    runs the quick tests; make slow, peers, doors the others'
	@echo 'make docs    builds the site of the documentation in build/site'
	@echo 'make lint    what continuous integration asks for; make format puts it right'
	@echo 'make clean   removes .venv and what builds have left'
	@echo 'All other commands are for that environment:'
	@echo '             . $(BIN)/activate, then vecgame --help'

train: setup
	$(BIN)/python train.py --preset quick
	@echo 'In a new terminal, first: . $(BIN)/activate'

test: setup
	$(BIN)/python -m pytest -n auto --dist worksteal --durations 15

slow: setup # but those in other libraries, all of which `make doors` runs
	$(PIP) --editable '.[doors]'
	$(BIN)/python -m pytest -n auto --dist worksteal --durations 15 -m slow --ignore-glob='tests/test_doors_*'

peers: setup
	$(PIP) --editable '.[peers]'
	$(BIN)/python -m pytest -n auto tests/test_peers.py tests/test_search_golden.py

doors: setup
	$(PIP) --editable '.[doors,peers]'
	$(BIN)/python -m pytest -n auto -m 'slow or not slow' tests/test_doors_*.py

docs: setup
	$(PIP) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vecgame needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --retries 1 $(TORCH_INDEX) torch
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
