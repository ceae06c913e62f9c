PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench

demo: $(VENV)/installed      ## the dark-knowledge experiment, end to end
	$(BIN)/python -m kdlab.train +experiment=dark_knowledge

test: $(VENV)/installed      ## all tests
	$(BIN)/python -m pytest

check: $(VENV)/installed     ## style, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

bench: $(VENV)/installed     ## one epoch, three ways (needs MNIST)
	$(BIN)/python benchmarks/epoch.py

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
