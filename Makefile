# Needs git, make and Python 3.11+ with venv; everything else is fetched into .venv.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint types docs explore lab system-packages lock ci clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "failoverd needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { \
	  echo "python3 -m venv failed: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: .venv/ready ## a primary, a standby, a crash, a failover: watch it on this machine (FAULT=crash|hang|stop)
	$(BIN)/failoverd demo $(if $(FAULT),--fault $(FAULT))

test: .venv/ready ## everything that needs no root, on real PostgreSQL servers
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest -m 'not lab and not systemd' tests

unit: .venv/ready ## the decisions alone, in seconds
	$(BIN)/pytest tests/unit tests/explore

explore: .venv/ready ## every event in every state of a small world
	$(BIN)/pytest tests/explore -s

lint: .venv/ready ## format, lint, import rules, shell
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	@if command -v shellcheck >/dev/null; then shellcheck -s sh failoverd/host_program/*.sh; \
	  elif [ -n "$$CI" ]; then echo "shellcheck is missing" >&2; exit 1; fi

types: .venv/ready ## mypy strict, and pyright strict on the core
	$(BIN)/mypy
	$(BIN)/pyright

docs: .venv/ready ## write the generated pages of docs/
	$(BIN)/python -m tests.house.generate

system-packages: ## what the lab needs from the distribution (Debian; root)
	./tests/lab/install-packages

lab: .venv/ready ## real hosts, real sshd, real faults (root)
	$(BIN)/pytest -m 'lab or systemd' tests

lock: ## pin what is tested
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --all-extras --group dev -o requirements.lock pyproject.toml requirements-build.txt

ci: .venv/ready system-packages lint types ## all of it
	$(MAKE) test
	$(MAKE) lab

clean: ## remove what make made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .cache
