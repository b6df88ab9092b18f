# Everything that a person or CI calls. Nothing here needs root, a server or Docker.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DONE   := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev
PORT   ?= 3000

# A folder named here or in the environment becomes a line of .env, so that later calls use it too.
ifdef LANDING
export LAKEHOUSE_LANDING := $(LANDING)
endif
unexport DAGSTER_HOME # it may belong to another project; .env names ours
unexport PYTHONDONTWRITEBYTECODE # each process of the demo and the tests would compile everything again

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-s3 ui test test-full lint format bench campaign clean-data

help:
	@echo "make demo [LANDING=<folder>]  install it and run the retail domain, on samples or on your files"
	@echo "make demo-s3                  the same with lake and landing in a bucket of a server on this machine; nothing of it stays"
	@echo "make ui [PORT=3000]           Dagster's UI with its daemon; sensors and schedules are on"
	@echo "make test                     every kind of test; installs their tools first; a few minutes"
	@echo "make test-full                the other tests: larger sizes and more seeds of the same kinds"
	@echo "make lint                     formatting, lint and types"
	@echo "make format                   format, and fix what ruff can fix"
	@echo "make bench [KEEP=<folder>]    compare cost with the alternatives; takes over an hour, and up to an hour more to fill lakes; KEEP keeps them"
	@echo "make campaign [SEED=1] [MINUTES=] [ONLY=kill|writers|fuzz|formats|s3|processes|poison|worlds]  kills, concurrent writers, broken files, failing stores, attacked worlds; about four hours"
	@echo "make clean-data               delete data/: lake, landing and Dagster's storage"

$(DONE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m resources.install $(VENV)
	@touch $@

# What tests, checks and benchmarks need beside it.
$(DEV): $(DONE)
	@$(PYTHON) -m resources.install $(VENV) dev
	@touch $@

# Dagster reads .env in the folder where it is called, so its commands find data/dagster without further settings.
setup: $(DONE)
	@$(BIN)/python -m resources.checkout

demo: setup
	@$(BIN)/lakehouse demo

demo-s3: $(DEV)
	@$(BIN)/python -m resources.demo_s3

ui: setup
	@$(BIN)/python -m resources.ui $(BIN)/python -m lakehouse.orchestration.ui --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

# Each worker gets a long run of neighbouring tests, so most fixtures of a module are built once. A worker that has finished
# takes half of the tests that another still has to run.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal -rs

test: $(DEV)
	@$(PYTEST) -m "not full"

test-full: $(DEV)
	@$(PYTEST) -m full

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV)
	@$(BIN)/python -m bench.publish
	@$(BIN)/python -m bench.end_to_end
	@$(BIN)/python -m bench.query
	@$(BIN)/python -m bench.formats
	@$(BIN)/python -m bench.start
	@$(BIN)/python -m bench.late
	@$(BIN)/python -m bench.upsert
	@$(BIN)/python -m bench.history
	@$(BIN)/python -m bench.keyed
	@$(BIN)/python -m bench.dedup
	@$(BIN)/python -m bench.backfill
	@$(BIN)/python -m bench.increment $(if $(KEEP),--keep $(KEEP))
	@$(BIN)/python -m bench.report

# Each of SEED, MINUTES, ONLY, SEEDS, WAY, FIRST, FILES and OUT becomes an option; see `python -m campaign --help`.
CAMPAIGN := SEED MINUTES ONLY SEEDS WORLDS WAY FIRST FILES OUT
campaign: $(DEV)
	@$(BIN)/python -W ignore -m campaign $(foreach name,$(CAMPAIGN),$(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) $($(name))))

clean-data:
	@$(PYTHON) -m resources.clean_data "$(CURDIR)/data"
