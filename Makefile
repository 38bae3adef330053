# Everything a developer or a newcomer runs. Needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Debian puts mosquitto into /usr/sbin, which is not on every user's PATH.
export PATH := $(PATH):/usr/sbin

# Tests that need a program which a fresh machine may lack; CI installs them and runs all.
MISSING := $(if $(and $(shell command -v mosquitto),$(shell command -v mosquitto_pub)),,mosquitto) \
	$(if $(shell command -v chromium chromium-browser google-chrome),,chromium) \
	$(if $(shell command -v prometheus),,prometheus)
EMPTY :=
MARKERS := $(if $(strip $(MISSING)),not ($(subst $(EMPTY) $(EMPTY), or ,$(strip $(MISSING)))))

# Each is tests/soak/<name>_soak.py: kills things under load for DURATION seconds, states what it did
# and what was lost in its last line, and exits 1 if that is anything.
SOAKS := processor egress ingress

.DEFAULT_GOAL := help
.PHONY: help demo run test soak bench fuzz lint format contracts clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once; takes a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=<path of one>")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## the whole story on a local stack: charge points in, MQTT messages out
	@$(BIN)/python -m devstack demo

run: $(STAMP) ## local stack, services and live page stay up; Ctrl-C ends them
	@$(BIN)/python -m devstack run

test: $(STAMP) ## every test, on real brokers
	@$(BIN)/python -m devstack fetch
	@for program in $(MISSING); do echo "note: the tests marked '$$program' are left out: $$program is not installed here (CI runs them)"; done
	@$(BIN)/python -m pytest -m "$(MARKERS)"

soak: $(STAMP) ## kill things under load, count what is lost; DURATION=<seconds>, SOAK='<name> …' selects
	@$(BIN)/python -m devstack fetch
	@for soak in $(or $(SOAK),$(SOAKS)); do PYTHONPATH=.:tests $(BIN)/python tests/soak/$${soak}_soak.py --duration $(or $(DURATION),300) || exit 1; done

bench: $(STAMP) ## benchmarks against named peers; BENCH='<pattern> …' selects, SIZE=quick tries them out
	@$(BIN)/python -m devstack fetch
	@$(BIN)/python -m bench $(if $(BENCH),$(BENCH),'*') --size $(or $(SIZE),full)

fuzz: $(STAMP) ## hostile input: FRAMES through the session, SOCKET_FRAMES through a real ingress; SEED, DURATION
	@$(BIN)/python -m devstack fetch
	@$(BIN)/python tests/fuzz/fuzz_session.py --frames $(or $(FRAMES),1000000) --duration $(or $(DURATION),900) --seed $(or $(SEED),1)
	@$(BIN)/python tests/fuzz/fuzz_socket.py --frames $(or $(SOCKET_FRAMES),50000) --seed $(or $(SEED),1)

lint: $(STAMP) ## ruff, mypy, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy tests bench
	@$(BIN)/lint-imports

contracts: $(STAMP) ## write the JSON Schemas, docs/asyncapi.yaml and the dashboard anew
	@$(BIN)/python -m schemas.documents
	@$(BIN)/python -m monitoring.dashboard

format: $(STAMP) ## let ruff format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

clean: ## remove what the targets made here
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
