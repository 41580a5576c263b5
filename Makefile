# Everything a newcomer needs: `make run` and `make test` set up what they use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
SOURCES := main.py envelope.py push.py rejection.py logs.py decoder sink bridge local tests

.DEFAULT_GOAL := help
.PHONY: help run test lint format typecheck unit integration check-catalogue lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run ## the whole pipeline on this machine; ARGS="--events 2000 --exit", ARGS=--help
	@$(BIN)/python -m local $(ARGS)

test: unit check-catalogue integration ## all tests, unit first

unit: $(VENV)/test ## tests without servers
	$(BIN)/python -m pytest tests/unit $(PYTEST_ARGS)

integration: $(VENV)/test ## tests with real processes (Java and the gcloud CLI's Pub/Sub emulator too)
	$(BIN)/python -m pytest tests/integration $(PYTEST_ARGS)

lint: $(VENV)/test ## ruff: rules and format
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: $(VENV)/test ## let ruff format
	$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

typecheck: $(VENV)/test ## mypy --strict
	$(BIN)/mypy

check-catalogue: $(VENV)/run ## validate streams.yaml and the schemas, list every event type
	$(BIN)/python -m decoder check

lock: $(VENV)/test ## resolve the requirements.in files anew into hashed locks
	@for lock in tests local bridge .; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	    $$([ $$lock = tests ] || echo --constraint tests/requirements.txt) \
	    $$lock/requirements.in --output-file $$lock/requirements.txt || exit 1; \
	done

clean: ## remove the environment and what runs left behind
	rm -rf $(VENV) .local .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

# Stamps: an environment is made once and again when its lock changes.
$(VENV)/run: local/requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

$(VENV)/test: tests/requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@
