# Everything that a person or CI calls. Nothing here needs root, a server or Docker.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DONE   := $(VENV)/.installed
PORT   ?= 3000

ifdef LANDING
export LAKEHOUSE_LANDING := $(if $(findstring ://,$(LANDING)),$(LANDING),$(abspath $(LANDING)))
endif
ifdef LAKEHOUSE_DATA
export LAKEHOUSE_DATA := $(abspath $(LAKEHOUSE_DATA))
endif
DATA := $(if $(LAKEHOUSE_DATA),$(LAKEHOUSE_DATA),$(CURDIR)/data)
export DAGSTER_HOME := $(DATA)/dagster

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test lint format bench clean-data

help:
	@echo "make demo [LANDING=<folder>]  set everything up and run the retail domain, on samples or on your files"
	@echo "make ui [PORT=3000]           Dagster's UI with its daemon; sensors and schedules are on"
	@echo "make test                     all tests"
	@echo "make lint                     formatting, lint and types"
	@echo "make bench                    what it costs, beside the bare libraries"
	@echo "make clean-data               delete data/: lake, landing and Dagster's storage"

$(DONE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

# Dagster reads .env in the folder where it is called, so that its commands find data/dagster with nothing set by hand.
setup: $(DONE)
	@mkdir -p "$(DAGSTER_HOME)" "$(DATA)/landing"
	@cp dagster.yaml "$(DAGSTER_HOME)/dagster.yaml"
	@printf 'DAGSTER_HOME=%s\nLAKEHOUSE_DATA=%s\nDAGSTER_EVENT_BATCH_SIZE=1000\n' "$(DAGSTER_HOME)" "$(DATA)" > .env

demo: setup
	@$(BIN)/lakehouse demo

ui: setup
	@$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

test: setup
	@$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	@$(BIN)/python -m bench.publish
	@$(BIN)/python -m bench.backfill

clean-data:
	rm -rf "$(CURDIR)/data"
