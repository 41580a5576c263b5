# Everything a newcomer needs: `make run` and `make test` set up what they use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
SOURCES := main.py envelope.py push.py rejection.py logs.py decoder sink bridge local operate benchmarks tests terraform

.DEFAULT_GOAL := help
.PHONY: help run test lint format typecheck unit integration infra bench-bridge bench-decode bench-function fuzz faults audit check-catalogue terraform-readme lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run ## the whole pipeline on this machine; ARGS="--events 2000 --exit", ARGS=--help
	@$(BIN)/python -m local $(ARGS)

test: unit check-catalogue infra integration ## all tests, unit first

unit: $(VENV)/test ## tests without servers
	$(BIN)/python -m pytest tests/unit -n 2 $(PYTEST_ARGS)

integration: $(VENV)/test ## tests with real processes, and the pages' examples (Java, Maven and the gcloud CLI's Pub/Sub emulator too), faults a few times each
	$(BIN)/python -m pytest tests/faults tests/integration tests/docs -n 2 --dist loadfile $(PYTEST_ARGS)

infra: $(VENV)/test .venv-checkov/ready ## terraform/, cloudbuild.yaml, containers: all that no cloud is needed for (Terraform and gcloud are)
	PATH="$(CURDIR)/$(BIN):$$PATH" CHECKOV=.venv-checkov/bin/checkov $(BIN)/python -m pytest tests/infra $(PYTEST_ARGS)

bench-bridge: $(VENV)/run ## CPU per message of the bridge beside the usual publisher; ARGS="--sweep"
	$(BIN)/python -m benchmarks.bridge $(ARGS)

bench-function: $(VENV)/run ## CPU per event of the function beside a bare handler and the usual function; ARGS="--rounds 5"
	$(BIN)/python -m benchmarks.function $(ARGS)

bench-decode: $(VENV)/run ## what exact decoding costs beside fastavro alone, guard by guard; ARGS="--rounds 60"
	$(BIN)/python -m benchmarks.decode $(ARGS)

fuzz: $(VENV)/test ## any bytes in every framing, compared with the avro package; ARGS="--minutes 60 --seed 7"
	$(BIN)/python -m tests.fuzz $(ARGS)

faults: $(VENV)/test ## what the bridge loses while everything around it fails (nothing); ARGS="kill-9 --times 5"
	$(BIN)/python -m tests.faults $(ARGS)

audit: $(VENV)/test ## known vulnerabilities of what function and bridge run (asks the internet)
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r requirements.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r bridge/requirements.txt

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

terraform-readme: $(VENV)/test ## write the tables of terraform/README.md
	$(BIN)/python -m tests.infra.readme

lock: $(VENV)/test ## requirements.in files into hashed locks, pins kept; ARGS=--upgrade, ARGS="--upgrade-package NAME"
	@for lock in tests local bridge .; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(ARGS) \
	    $$([ $$lock = tests ] || echo --constraint tests/requirements.txt) \
	    $$lock/requirements.in --output-file $$lock/requirements.txt || exit 1; \
	done
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(ARGS) \
	  tests/infra/checkov.in --output-file tests/infra/checkov.txt

clean: ## remove the environment and what runs left behind
	rm -rf $(VENV) .venv-checkov .local .pytest_cache .mypy_cache .ruff_cache .hypothesis

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

# Its parser of HCL and ours have one name, so it has an environment of its own.
.venv-checkov/ready: tests/infra/checkov.txt
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@
