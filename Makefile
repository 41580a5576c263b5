# Everything a newcomer needs: `make run` and `make test` set up what they use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?=
# The folders of tests/ whose programs `make preflight` looks for.
TIERS := unit infra faults integration docs
unit: TIERS := unit
infra: TIERS := infra
integration: TIERS := faults integration docs
SOURCES := main.py envelope.py push.py rejection.py logs.py decoder sink bridge local operate benchmarks docs tests terraform

# The first thing of all, and in words that an old Python reads too.
CHECK_PYTHON := $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "This is Python " + sys.version.split()[0])' || \
  { echo 'Python 3.11 or newer is needed (Debian: apt install python3 python3-venv; macOS: brew install python); with another name: make PYTHON=python3.11 …' >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: FORCE help run test preflight lint format typecheck unit integration infra bench-bridge bench-decode bench-function bench-local fuzz faults record audit check-catalogue terraform-readme lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run ## the whole pipeline on this machine; ARGS="--events 2000 --exit", ARGS=--help
	@$(BIN)/python -m local $(ARGS)

# All four even if one fails, and what was skipped for want of a program is named again at the end.
test: preflight $(VENV)/test .venv-checkov/ready ## all tests, unit first; those whose programs are missing are skipped, under CI=true that fails
	@export LEFT_OUT=$$(mktemp); \
	$(MAKE) --keep-going --no-print-directory TIERS= unit check-catalogue infra integration; status=$$?; \
	$(PYTHON) -m tests.preflight --left-out $$LEFT_OUT; rm -f $$LEFT_OUT; exit $$status

preflight: ## what this machine lacks for the tests, in a second
	@$(CHECK_PYTHON)
	@$(if $(TIERS),$(PYTHON) -m tests.preflight $(TIERS))

unit: preflight $(VENV)/test ## tests without servers
	$(BIN)/python -m pytest tests/unit -n 2 $(PYTEST_ARGS)

integration: preflight $(VENV)/test ## tests with real processes, and the pages' examples (Java, Maven and the gcloud CLI's Pub/Sub emulator too), faults a few times each
	$(BIN)/python -m pytest tests/faults tests/integration tests/docs -n 2 --dist loadfile $(PYTEST_ARGS)

infra: preflight $(VENV)/test .venv-checkov/ready ## terraform/, cloudbuild.yaml, containers: all that no cloud is needed for (Terraform and gcloud are)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/infra $(PYTEST_ARGS)

bench-bridge: $(VENV)/run ## CPU per message of the bridge beside the usual publisher; ARGS="--sweep"
	$(BIN)/python -m benchmarks.bridge $(ARGS)

bench-function: $(VENV)/run ## CPU per event of the function beside a bare handler and the usual function; ARGS="--rounds 5"
	$(BIN)/python -m benchmarks.function $(ARGS)

bench-local: $(VENV)/run ## memory and CPU of `make run` over minutes (Linux); ARGS="10", ARGS="2 --rate 1000"
	$(BIN)/python -m benchmarks.local $(ARGS)

bench-decode: $(VENV)/run ## what exact decoding costs beside fastavro alone, guard by guard; ARGS="--rounds 60"
	$(BIN)/python -m benchmarks.decode $(ARGS)

fuzz: $(VENV)/test ## any bytes in every framing, compared with the avro package; ARGS="--minutes 60 --seed 7"
	$(BIN)/python -m tests.fuzz $(ARGS)

faults: $(VENV)/test ## what the bridge loses while everything around it fails (nothing); ARGS="kill-9 --times 5"
	$(BIN)/python -m tests.faults $(ARGS)

record: $(VENV)/test ## the moving picture of README: `make run`, recorded for half a minute
	$(BIN)/python -m docs.record --typed "make run" docs/make-run.svg $(BIN)/python -m local

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

# Stamps: an environment is filled once, and again when its lock changes or its Python is gone.
$(VENV)/run: local/requirements.txt $(if $(wildcard $(BIN)/python),,FORCE)
	@$(CHECK_PYTHON)
	@$(PYTHON) -m local.install $(VENV) $<
	@touch $@

# What `make run` needs is part of it.
$(VENV)/test: tests/requirements.txt $(if $(wildcard $(BIN)/python),,FORCE)
	@$(CHECK_PYTHON)
	@$(PYTHON) -m local.install $(VENV) $<
	@touch $(VENV)/run $@

# Its parser of HCL and ours have one name, so it has an environment of its own.
.venv-checkov/ready: tests/infra/checkov.txt $(if $(wildcard .venv-checkov/bin/python),,FORCE)
	@$(CHECK_PYTHON)
	@$(PYTHON) -m local.install .venv-checkov $<
	@touch $@
