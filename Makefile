# One command each.  Everything bootstraps its own virtual environment with pip alone.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BASE   := $(VENV)/.service
STAMP  := $(VENV)/.installed
SCENARIOS ?= all
LANES     ?= 6
CLUSTER_FLAGS ?=

# Compiled modules are kept in the virtual environment, also where the environment says to write none beside the
# sources: else each of the many processes started here would compile all it imports anew.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/$(VENV)/.pycache

.PHONY: help setup demo bench evals test unit flakes check fmt lock run studio cluster-up cluster-down cluster-status cluster-test executors-build simulate chaos nightly clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# What the service and the demo need; the tools of development, three times as much, come on top of it.
$(BASE): requirements/base.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "selfheal needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || { echo "== making a virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "== installing what the service needs (pinned; half a minute the first time)"
	@$(BIN)/python requirements/install.py requirements/base.txt
	@touch $@

$(STAMP): requirements/dev.txt pyproject.toml $(BASE)
	@echo "== installing the tools of development (pinned; a minute the first time)"
	@$(BIN)/python requirements/install.py requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(STAMP) ## Make the virtual environment

test: $(STAMP) ## All tests that need only Python
	$(BIN)/pytest -q -n auto --dist worksteal -m "not cluster"

unit: $(STAMP) ## The quick part of them: no simulator, no subprocess
	$(BIN)/pytest -q -n auto --dist worksteal -m "not cluster" tests/graph tests/tools tests/prompts tests/cluster

RUNS ?= 20
flakes: $(STAMP) ## All these tests again and again, each time in another order (RUNS=20 FLAKES_FLAGS="--within 180")
	@$(BIN)/python -m tests.flakes --runs $(RUNS) $(FLAKES_FLAGS)

check: $(STAMP) ## Lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

fmt: $(STAMP) ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Pin the dependencies again (needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 --quiet --custom-compile-command "make lock" \
	  --output-file requirements/base.txt requirements/base.in
	uv pip compile --universal --generate-hashes --python-version 3.11 --quiet --custom-compile-command "make lock" \
	  --output-file requirements/dev.txt requirements/dev.in

demo: $(BASE) ## See it heal: a simulated cluster, six faults, no key, about a minute
	@$(BIN)/python -m evals.demo $(DEMO_FLAGS)

evals: $(BASE) ## Replay recorded incidents offline and score the answers, by rules and by recorded replies of a model
	@$(BIN)/python -m evals.run $(EVALS_FLAGS)

run: $(STAMP) ## The service, with the settings of the environment and .env
	$(BIN)/selfheal serve

studio: $(STAMP) ## LangGraph's development server over the same graph (observe mode)
	$(BIN)/langgraph dev --host 127.0.0.1 --no-browser --allow-blocking

cluster-up: $(STAMP) ## Build (once) and start a real two-node Kubernetes on this machine
	$(BIN)/python -m tests.cluster.harness up $(CLUSTER_FLAGS)

cluster-down: $(STAMP) ## Stop it; its state stays (wipe: python -m tests.cluster.harness wipe)
	$(BIN)/python -m tests.cluster.harness down

cluster-status: $(STAMP)
	$(BIN)/python -m tests.cluster.harness status

# A machine that cannot hold the cluster skips, loudly and counted; in CI that is a failure.
cluster-test: $(STAMP) ## Heal real faults on the real Kubernetes (SCENARIOS=all|ci|executors|name,name LANES=6)
	@$(BIN)/python -m tests.cluster.harness up $(CLUSTER_FLAGS); code=$$?; \
	if [ $$code -eq 3 ] && [ -z "$$CI" ]; then \
	  echo "cluster-test: 0 passed, 0 failed, $$(ls tests/cluster/scenarios/*.yaml | wc -l) skipped"; exit 0; \
	fi; \
	[ $$code -eq 0 ] || exit $$code; \
	if [ "$(SCENARIOS)" = executors ]; then \
	  $(BIN)/pytest -q -m cluster tests/cluster/executors; code=$$?; \
	  $(BIN)/python -m tests.cluster.argocd down; $(BIN)/python -m tests.cluster.keda down; exit $$code; \
	fi; \
	SCENARIOS=$(SCENARIOS) LANES=$(LANES) $(BIN)/python -m tests.cluster.lanes && \
	$(BIN)/pytest -q -m cluster --ignore=tests/cluster/executors tests

executors-build: $(STAMP) ## Build a real Argo CD and a real KEDA for SCENARIOS=executors (once; 10 minutes and more each)
	$(BIN)/python -m tests.cluster.argocd build $(CLUSTER_FLAGS)
	$(BIN)/python -m tests.cluster.keda build $(CLUSTER_FLAGS)

bench: $(STAMP) ## Heal a thousand simulated faults in virtual time, and say how fast (BENCH_FLAGS="--count 100")
	$(BIN)/python -m evals.bench incidents --within 180 $(BENCH_FLAGS)

simulate: $(STAMP) ## Heal the same faults on the simulated cluster, in virtual time (SCENARIOS=all|ci|name,name)
	@SCENARIOS=$(SCENARIOS) $(BIN)/python -m tests.cluster.simulate $(SIMULATE_FLAGS)

GROUND  ?= real
POLICY  ?= permissive
MINUTES ?= 30
chaos: $(STAMP) ## Random faults for a while (GROUND=real|simulated POLICY=permissive|default MINUTES=30)
	@$(BIN)/python -m tests.cluster.chaos --ground $(GROUND) --policy $(POLICY) --minutes $(MINUTES) $(CHAOS_FLAGS)

nightly: $(STAMP) ## All that is too long for each change; the dated result is in docs/results (NIGHTLY_FLAGS="--only chaos")
	@$(BIN)/python -m tests.nightly $(NIGHTLY_FLAGS)

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .ruff_cache .mypy_cache .pytest_cache .import_linter_cache .langgraph_api
