PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench docs reproduce tune

demo: $(VENV)/demo-installed ## the dark-knowledge experiment, end to end
	$(BIN)/python -m kdlab.train +experiment=dark_knowledge

# Two at a time, each with one thread: most tests wait for processes to start.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: $(VENV)/installed      ## all tests
	$(TESTS)

check: $(VENV)/installed     ## style, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(TESTS)

bench: $(VENV)/installed     ## one epoch, three ways (needs MNIST); a grid, one slot and two; a run's arms; pages and reports
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/slots.py
	$(BIN)/python benchmarks/grid.py
	$(BIN)/python benchmarks/seeds.py
	$(BIN)/python benchmarks/arms.py
	$(BIN)/python benchmarks/around.py

docs: $(VENV)/installed      ## the site, build/site/index.html
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site

reproduce: $(VENV)/installed ## every experiment over its seeds, then docs/reproduction/ (hours; ONLY=NAME: one of them)
	$(BIN)/python docs/reproduce.py $(ONLY)

tune: $(VENV)/installed      ## each arm at each candidate of its settings, on validation (hours; ONLY=NAME: one of them)
	$(BIN)/python docs/reproduce.py --tune $(ONLY)

# What the demo needs; `installed` adds what tests and checks need.
$(VENV)/demo-installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[mnist5k]'
	touch $@

$(VENV)/installed: $(VENV)/demo-installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
