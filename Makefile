# Every target makes its own .venv first; `make demo` and `make test` are all a new user needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint bench clean

demo: $(STAMP)
	$(BIN)/python examples/oer_plate/demo.py
	$(BIN)/python examples/he_coooh/demo.py

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m pytest -m slow
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/messy.py
	for name in conformal locality spread route explanation throughput alloys closed_loop \
			screening active_sites planted_sites simulated_lab transfer pools streaming pareto feasibility \
			polarisation fuzz alloy_table kills writers store_scale backups; do \
		$(BIN)/python benchmarks/$$name.py || exit 1; done

# torch goes first: the pinned build keeps pip from choosing a newer one with its accelerator packages.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
