# Five verbs. Each sets up all that it needs from a bare Python >= 3.11, and nothing twice.
#
#: make demo    train a liquid network on the CO2 record, forecast 13 weeks ahead, write runs/demo/report.html
#: make test    run every test on every engine that installs here
#: make check   lint, format, spelling, types, the dependency rule, and a strict build of the pages
#: make bench   run benchmarks/*.py
#: make docs    build the pages into site/
#:
#: VENV=DIR     the virtual environment (.venv)        PYTHON=NAME  what makes it (python3)
#: ARGS=...     more arguments for pytest: make test ARGS="-k tanh"

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
python := $(VENV)/bin/python

# Else the theme of the pages advertises its successor at every build.
export NO_MKDOCS_2_WARNING = 1

.PHONY: help demo test check bench docs same-python
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#: \{0,1\}//p' Makefile

demo: $(VENV)/.with-data,plot
	$(VENV)/bin/ember-ml train examples/data/co2.csv --target co2 --time date --horizon 13 --unit ppm \
	  --out runs/demo --overwrite

# One thread each: two workers on two cores leave none to spare for an engine's own pool.
test: $(VENV)/.with-test
	OMP_NUM_THREADS=1 $(python) -m pytest -n 2 --dist worksteal $(ARGS)

check: $(VENV)/.with-test $(VENV)/.with-dev,docs
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m codespell_lib
	$(python) -m pyright --pythonpath $(python)
	$(python) -m pytest -q tests/test_layers.py
	$(python) -m mkdocs build --strict --quiet

bench: $(VENV)/.with-bench
	@set -e; for file in $$(grep -l __main__ benchmarks/*.py); do echo "$$file"; $(python) $$file; done

# With every engine, since the support matrix asks each what it can do.
docs: $(VENV)/.with-test $(VENV)/.with-dev,docs
	$(python) -m mkdocs build --strict
	@echo "open site/index.html"

# A stamp for each set of extras: pip runs again only when pyproject.toml has changed.
$(VENV)/.with-%: pyproject.toml $(VENV)/.made | same-python
	@echo "installing ember-ml[$*] into $(VENV)"
	@$(python) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

old := import sys; sys.exit(sys.version_info < (3, 11) and "$(PYTHON) is Python %s, and 3.11 or newer is needed: make PYTHON=..." % sys.version.split()[0])
version := import sys; print(sys.version.split()[0])

$(VENV)/.made:
	@$(PYTHON) -c '$(old)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# PYTHON makes VENV once. Asked for another later, say so: else the old one would be used in silence.
same-python: $(VENV)/.made
	@test "$(origin PYTHON)" = file || { \
	  given=$$($(PYTHON) -c '$(version)') && made=$$($(python) -c '$(version)') && { test "$$given" = "$$made" || { \
	  echo "$(VENV) was made with Python $$made, and $(PYTHON) is $$given: name another folder with VENV=..., or remove this one" >&2; exit 1; }; }; }
