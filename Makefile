# Everything a person types. Each target makes .venv itself when it is not there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MPLBACKEND := Agg
export MPLBACKEND

.PHONY: help explain test test-slow lint format figures bench-keras bench-layouts bench-curvature bench-exact golden clean

help:            ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

explain: $(STAMP) ## why a ReLU network does not learn the identity: train, measure, report
	$(BIN)/jaxid explain --out runs/explain --overwrite

test: $(STAMP)   ## the test suite, under 10 minutes on 2 cores
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(STAMP) ## the long sweeps over random networks, half an hour on 2 cores
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lint: $(STAMP)   ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## rewrite the code as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

figures: $(STAMP) ## every figure from full runs; hours on 2 cores, MNIST needed
	for script in scripts/[a-z]*.py; do \
	  case $$script in scripts/common.py) ;; *) $(BIN)/python $$script || exit 1;; esac; done

.venv-keras/bin/python:
	$(PYTHON) -m venv .venv-keras
	.venv-keras/bin/python -m pip install --quiet --disable-pip-version-check keras jax

bench-keras: $(STAMP) .venv-keras/bin/python ## seconds per epoch beside Keras 3 on JAX (MNIST)
	$(BIN)/python scripts/bench/keras_epoch.py --python .venv-keras/bin/python

bench-layouts: $(STAMP) ## seconds per seed and epoch, in turn and vmapped
	$(BIN)/python scripts/bench/layouts.py

.venv-curvature/bin/python:
	$(PYTHON) -m venv .venv-curvature
	.venv-curvature/bin/python -m pip install --quiet --disable-pip-version-check \
	  torch curvlinops-for-pytorch pyhessian

bench-curvature: $(STAMP) .venv-curvature/bin/python ## eigenvalues, density, trace beside three others (MNIST)
	$(BIN)/python scripts/bench/curvature.py --python .venv-curvature/bin/python

bench-exact: $(STAMP) ## time and memory of all 615,440 eigenvalues of one layer (MNIST)
	$(BIN)/python scripts/bench/exact_spectrum.py

golden: $(STAMP) ## records of commit BASE beside those of the code here; 4 minutes on 2 cores
	$(BIN)/python scripts/bench/golden.py --base $(or $(BASE),HEAD)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "jaxid needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:           ## remove environments, caches and runs
	rm -rf .venv .venv-keras .venv-curvature runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
