# Needs git, make and Python 3.11+ with venv; everything else is fetched into .venv.
PYTHON ?= python3
BIN := .venv/bin
# What waited in vain may have waited for a busy machine: once more, and told. A wrong fact is final.
AGAIN := --reruns 1 --only-rerun '^\w+: not within' -rR
# Most tests wait for servers: two at a time, each file by one process.
AT_ONCE ?= --numprocesses 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint types docs explore sim sim-long mutations lab bench bench-salvage bench-switchover bench-once lab-long versions detection redirect package system-packages lock ci clean

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
	PYTHONASYNCIODEBUG=1 $(BIN)/pytest $(AT_ONCE) -m 'not lab and not systemd and not campaign' tests

unit: .venv/ready ## the decisions alone, in seconds
	$(BIN)/pytest tests/unit tests/explore

explore: .venv/ready ## every event in every state of a small world, and of two daemons over one
	$(BIN)/pytest tests/explore -s
	$(BIN)/python -m tests.explore.pair --faults $(or $(EXPLORE_FAULTS),1) --standbys $(or $(STANDBYS),1) \
	  --passes $(or $(PASSES),0) $(ORDERS)

sim: .venv/ready ## every scenario, thousands of seeds and a small world whole, in two minutes of virtual failovers
	$(BIN)/python -m tests.sim.campaign --scenarios --explore --seeds $(or $(SEEDS),5000) --seconds $(or $(SECONDS_AT_MOST),100)

sim-long: .venv/ready ## SEEDS from FIRST on, at most SECONDS_AT_MOST; what was run goes into docs/verification.md
	$(BIN)/python -m tests.sim.campaign --first $(or $(FIRST),1) --seeds $(or $(SEEDS),100000) \
	  --workers $(or $(WORKERS),2) --seconds $(or $(SECONDS_AT_MOST),86400) --write docs/verification.md

mutations: .venv/ready ## one deliberate defect of the decisions at a time: who finds it (fails where one is neither found nor explained)
	$(BIN)/python -m tests.sim.mutate --simulator --explore --unit --every 3 --seeds $(or $(SEEDS),60) --limit 12

.PHONY: every-step
every-step: .venv/ready ## kill the daemon wherever it calls out, and see that all is well (root; EVERY_STEP_SECONDS=900)
	EVERY_STEP_PAGE=docs/every-step.md $(BIN)/pytest -m campaign tests/lab/test_every_step.py

lint: .venv/ready ## format, lint, import rules, shell
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	@if command -v shellcheck >/dev/null; then shellcheck -s sh failoverd/host_program/*.sh tests/lab/other-pythons tests/lab/other-etcd; \
	  elif [ -n "$$CI" ]; then echo "shellcheck is missing" >&2; exit 1; fi

types: .venv/ready ## mypy strict, and pyright strict on the core
	$(BIN)/mypy
	$(BIN)/pyright

docs: .venv/ready ## write the generated pages of docs/
	$(BIN)/python -m tests.house.generate

system-packages: ## what the lab needs from the distribution (Debian; root)
	./tests/lab/install-packages

lab: .venv/ready ## real hosts, real sshd, real faults (root)
	$(BIN)/pytest $(AT_ONCE) -m '(lab or systemd) and not campaign' tests

bench: .venv/ready ## write outage by fault, beside a script by hand, into docs/benchmarks.md (root)
	$(BIN)/python -m bench.failover --trials $(or $(TRIALS),10) --write docs/benchmarks.md

bench-salvage: .venv/ready ## what salvage costs by megabytes of lag, into docs/benchmarks.md (root)
	$(BIN)/python -m bench.salvage --trials $(or $(TRIALS),3) --write docs/benchmarks.md

bench-switchover: .venv/ready ## how long nobody writes in a switchover, into docs/benchmarks.md (root)
	$(BIN)/python -m bench.switchover --trials $(or $(TRIALS),3) --write docs/benchmarks.md

.PHONY: bench-scale bench-scale-once
bench-scale: .venv/ready ## what many clusters cost in one daemon, into docs/scale.md (LOADS=100@1s/10s,1000@5s/30s)
	$(BIN)/python -m bench.scale $(if $(LOADS),--loads $(LOADS)) $(if $(NOTE),--note "$(NOTE)") --write docs/scale.md

bench-scale-once: .venv/ready # that it works: one cluster and ten, nothing written
	$(BIN)/python -m bench.scale --loads 1@1s,10@1s --seconds 10 --settle 5 --pairs 1

bench-once: .venv/ready # that the benchmark itself works: one trial, nothing written (root)
	$(BIN)/python -m bench.failover --trials 1 --faults crash

lab-long: .venv/ready ## what `make lab` leaves out for its length (root)
	./tests/lab/install-browser
	$(BIN)/pytest -m campaign tests --ignore=tests/lab/detection
	$(BIN)/pytest -n 0 -m lab tests/lab/page_in_a_browser.py

versions: .venv/ready ## a failover from end to end on each major of PostgreSQL, each fetched once, by each Python, by a later etcd (root)
	$(BIN)/pytest -m lab tests/lab/test_majors.py
	tests/lab/other-pythons $(PYTHONS)
	tests/lab/other-etcd

detection: .venv/ready ## try every condition on real servers, and write docs/detection.md (root)
	$(BIN)/pytest -m lab tests/lab/detection
	$(BIN)/python -m tests.lab.detection.page

redirect: .venv/ready ## each way of the applications, in every trouble that it is in for (root)
	$(BIN)/pytest -m lab tests/lab/test_haproxy.py tests/lab/test_pgbouncer.py \
	  tests/lab/test_virtual_ip.py tests/lab/test_dns.py tests/lab/test_both_ways.py

package: .venv/ready ## wheel, source archive and Debian package, into dist/
	packaging/build

.PHONY: package-test audit
package-test: .venv/ready ## install them on a clean Debian 12, under a real systemd, and fail over (root)
	$(BIN)/pytest -m 'lab and campaign' tests/lab/test_package.py

audit: .venv/ready ## what the daemon imports, against withdrawn releases and published advisories (needs their server)
	@! $(BIN)/pip install --dry-run --ignore-installed --no-deps --require-hashes \
	  -r requirements-daemon.lock 2>&1 | grep -i yanked
	@$(PYTHON) -m venv .cache/audit
	.cache/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.cache/audit/bin/pip-audit --strict --require-hashes --disable-pip -r requirements-daemon.lock

lock: ## pin what is tested
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --all-extras --group dev -o requirements.lock pyproject.toml requirements-build.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate --constraint requirements.lock --extra dns -o requirements-daemon.lock pyproject.toml

ci: .venv/ready system-packages lint types ## all of it
	$(MAKE) test AT_ONCE="$(AT_ONCE) $(AGAIN)"
	$(MAKE) sim
	$(MAKE) lab AT_ONCE="$(AT_ONCE) $(AGAIN)"
	$(MAKE) bench-once

clean: ## remove what make made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .cache

.PHONY: page
page: .venv/ready ## the status page in a real browser, and its picture for docs/ (root)
	./tests/lab/install-browser
	FAILOVERD_PICTURES=1 $(BIN)/pytest -n 0 -m lab tests/lab/page_in_a_browser.py
