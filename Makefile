# Everything that a person or CI calls. Nothing here needs root, a server or Docker.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DONE   := $(VENV)/.installed
PORT   ?= 3000

# What is asked for here, or stands in the environment, becomes lines in .env: later calls then need not say it again.
ifdef LANDING
export LAKEHOUSE_LANDING := $(LANDING)
endif
unexport DAGSTER_HOME # that of another project; .env says which is ours

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test test-full lint format bench campaign clean-data

help:
	@echo "make demo [LANDING=<folder>]  set everything up and run the retail domain, on samples or on your files"
	@echo "make ui [PORT=3000]           Dagster's UI with its daemon; sensors and schedules are on"
	@echo "make test                     every kind of test; a few minutes"
	@echo "make test-full                the rest: larger sizes and more seeds of the same kinds"
	@echo "make lint                     formatting, lint and types"
	@echo "make bench [KEEP=<folder>]    what it costs, beside what one would use instead; over an hour with filled lakes in KEEP, up to another to fill them"
	@echo "make campaign [SEED=1] [MINUTES=] [ONLY=kill|writers|fuzz|s3]  kills, writers, broken files, failing stores; about three hours"
	@echo "make clean-data               delete data/: lake, landing and Dagster's storage"

$(DONE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

# Dagster reads .env in the folder where it is called, so that its commands find data/dagster with nothing set by hand.
setup: $(DONE)
	@$(BIN)/python -m resources.checkout

demo: setup
	@$(BIN)/lakehouse demo

ui: setup
	@$(BIN)/python -m resources.ui $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

# Tests are shared out in long runs of neighbours, so that most fixtures of a module are made once; a worker that has none
# left takes half of what another still has.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal -rs

test: $(DONE)
	@$(PYTEST) -m "not full"

test-full: $(DONE)
	@$(PYTEST) -m full

lint: $(DONE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DONE)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DONE)
	@$(BIN)/python -m bench.publish
	@$(BIN)/python -m bench.end_to_end
	@$(BIN)/python -m bench.query
	@$(BIN)/python -m bench.start
	@$(BIN)/python -m bench.late
	@$(BIN)/python -m bench.upsert
	@$(BIN)/python -m bench.history
	@$(BIN)/python -m bench.keyed
	@$(BIN)/python -m bench.dedup
	@$(BIN)/python -m bench.backfill
	@$(BIN)/python -m bench.increment $(if $(KEEP),--keep $(KEEP))
	@$(BIN)/python -m bench.report

# Each of SEED, MINUTES, ONLY, SEEDS, WAY, FIRST, FILES and OUT becomes an option; `python -m campaign --help` tells of them.
CAMPAIGN := SEED MINUTES ONLY SEEDS WAY FIRST FILES OUT
campaign: $(DONE)
	@$(BIN)/python -W ignore -m campaign $(foreach name,$(CAMPAIGN),$(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) $($(name))))

clean-data:
	@$(PYTHON) -m resources.clean_data "$(CURDIR)/data"
