# What a person types. `make` alone lists what there is.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
STACK := .headworks
DAYS ?= 0
PRODUCT ?= sales
KILLS ?= 220
CLEAN ?= 200
FLOW_KILLS ?= 10
SEED ?= 1
SEEDS ?= 20
KILLED ?= 100
BLOWS ?= 100
BENCH ?=
DEPLOY ?=
SMALL := --kills 20 --flow-kills 2

.DEFAULT_GOAL := help
.PHONY: help demo profile demo-churn year-churn down dashboard dashboard-churn test test-full check format lock test-docker test-browser test-orchestrators test-chaos test-rules chaos faults test-operations hostile corruption test-tables chaos-databases bench-databases bench-growth bench-quality deploy clean

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

deploy: $(READY) ## Deploy to the Prefect server at PREFECT_API_URL; DEPLOY="--dry-run" says what would change
	@$(BIN)/python -m headworks.prefect.deploying.deploy $(DEPLOY)

demo: $(READY) ## Run the sales flow on a local stack; DAYS=3 lets the shop live on first
	@$(BIN)/python -m deployments.demo --days $(DAYS)

profile: $(READY) ## Run a product on the local stack, and show what each step took: make profile PRODUCT=sales
	@test -f $(STACK)/env || { echo "The local stack is not running. Start it with: make demo"; exit 1; }
	@set -a; . $(STACK)/env; set +a; $(BIN)/headworks run $(PRODUCT) && $(BIN)/headworks account --steps

down: ## Stop everything that the demo started
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m headworks.cli.main stack down; else echo "nothing was started"; fi

dashboard: $(READY) ## Show the sales dashboard of the demo
	@test -f $(STACK)/env || { echo "The local stack is not running. Start it with: make demo"; exit 1; }
	@set -a; . $(STACK)/env; exec $(BIN)/streamlit run dashboard/app.py

demo-churn: $(READY) ## Learn who is likely to cancel from a CRM in time-lapse, and publish it
	@$(BIN)/python -m deployments.demo_churn

year-churn: $(READY) ## Live a year of the churn model's weeks in memory; the world changes in week 30 (two minutes)
	@$(BIN)/python -m crm.year

dashboard-churn: $(READY) ## Show the page of the churn demo
	@test -d $(STACK)/churn/lake || { echo "There is no such lake. Make it with: make demo-churn"; exit 1; }
	@HEADWORKS_LAKE_ROOT=$(STACK)/churn/lake exec $(BIN)/streamlit run dashboard/churn.py

test: $(READY) ## Test all that needs neither Docker nor a browser, in as many processes as there are cores, four at most
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST)

# The same, with every case of the matrices of which `make test` plays a sample (@pytest.mark.sampled).
test-full: $(READY) ## Test all cases, the sampled ones too; HEADWORKS_SAMPLE=7 make test plays another sample
	@HEADWORKS_SAMPLE=all $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST)

check: $(READY) ## Lint, format, types, import rules, and whether the lock is up to date
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/lock.py --check

format: $(READY) ## Format the code and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(READY) ## Write the locks again from pyproject.toml
	@$(BIN)/python tools/lock.py

test-docker: $(READY) ## Build the image and run the flow in a container; needs a Docker engine
	@$(BIN)/python -m pytest -m 'docker and not campaign' tests/docker tests/faults $(PYTEST)

faults: $(READY) ## Break everything around a run in a container, and see that the next one makes all exact
	@$(BIN)/python -m pytest -m docker tests/faults $(PYTEST)

test-operations: $(READY) ## Look for secrets everywhere, lose lake and server, and find runs that died: takes long
	@$(BIN)/python -m pytest -m 'campaign and not docker' tests/deployments $(PYTEST)
	@$(BIN)/python -m pytest -m 'campaign and docker' tests/docker $(PYTEST)

test-browser: $(READY) ## Look at the dashboard in a browser; needs Chromium
	@$(BIN)/python -m pytest -m 'browser and not campaign' tests/browser $(PYTEST)

# Each in an environment of its own, since their packages and ours need not agree.
test-orchestrators: $(READY) ## Run the examples of docs/orchestrators.md by Airflow and Dagster themselves; downloads some 450 MB
	@test -x $(STACK)/airflow/bin/airflow || { $(PYTHON) -m venv $(STACK)/airflow && \
	  $(STACK)/airflow/bin/python -m pip install --quiet apache-airflow==3.3.2; }
	@test -x $(STACK)/dagster/bin/dagster || { $(PYTHON) -m venv $(STACK)/dagster && \
	  $(STACK)/dagster/bin/python -m pip install --quiet dagster==1.13.29; }
	@HEADWORKS_AIRFLOW=$(STACK)/airflow HEADWORKS_DAGSTER=$(STACK)/dagster \
	  $(BIN)/python -m pytest tests/deployments/test_orchestrators.py $(PYTEST)

test-chaos: $(READY) ## Kill processes at seeded random moments, a few
	@$(BIN)/python -m pytest -m chaos tests/chaos $(PYTEST)

test-rules: $(READY) ## Take each rule of the protocol out, and see that its tests fail
	@$(BIN)/python -m tests.rules.out

chaos: $(READY) ## Kill processes at seeded random moments, the whole campaign
	@$(BIN)/python -m tests.chaos.campaign --kills $(KILLS) --flow-kills $(FLOW_KILLS) --seed $(SEED)

hostile: $(READY) ## Read APIs that misbehave in every way, with many seeds; kill readings in the middle
	@$(BIN)/python -m tests.hostile.campaign --seeds $(SEEDS) --spread
	@$(BIN)/python -m tests.hostile.killing --seeds $(KILLED)

corruption: $(READY) ## Measure the gate: companies, kinds and strengths, weeks of play, slow changes; PART, COMPANY="--company ledger"
	@$(BIN)/python -m tests.corruption.measure $(or $(PART),all) --clean $(CLEAN) --seed $(SEED) $(COMPANY)
	@$(BIN)/python -m tests.corruption.campaign --clean $(CLEAN) --seed $(SEED)

test-tables: $(READY) ## Take 300 made-up tables through Postgres, and 300 through MariaDB, value for value
	@HEADWORKS_TABLES=300 $(BIN)/python -m pytest tests/integration/databases/test_types.py \
		tests/integration/dialects/test_lines.py $(PYTEST)

chaos-databases: $(READY) ## Kill the reader and restart its Postgres at seeded moments, the whole campaign
	@$(BIN)/python -m tests.chaos_databases.campaign --blows $(BLOWS) --seed $(SEED)

bench-databases: $(READY) ## Measure databases alongside COPY and other tools; takes long and needs a quiet machine
	@$(BIN)/python -m benchmarks.databases $(BENCH)

bench-growth: $(READY) ## Measure what a small change costs in tables of 1 and 4 million lines; BENCH="--millions 1 4 16"
	@$(BIN)/python -m benchmarks.growth $(BENCH)

bench-quality: $(READY) ## Measure rules, contracts and merges alongside what is written by hand; needs a quiet machine
	@$(BIN)/python -m benchmarks.quality $(BENCH)

clean: down ## Stop the demo and remove its data, its lake and the environment
	rm -rf $(STACK) .venv

# As constraints too: else an older pip looks for the newest of what another asks for with an extra.
# The environment is made again when the lock or the project's own description changes.
$(READY): locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "headworks needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing)."; \
	  echo "Install one, or name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making the environment in .venv from locks/dev.txt; this takes a minute or two."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
	  echo "The environment could not be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt -c locks/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)
