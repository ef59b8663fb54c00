# The front doors. Every target works from a fresh clone with Python 3.11, make and git, and nothing else.
PYTHON ?= python3.11
ARGS ?=

UV := uv==0.13.8
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo demo-cloud dev test test-slow check lint sql bench lock clean
export DO_NOT_TRACK := true

help:  ## this list
	@echo "make demo [ARGS=--once]   the whole graph: land, build marts, train, promote, score, then serve"
	@echo "make demo-cloud           the same on Snowflake and S3 without an account: stand-ins here; then the warehouses are compared"
	@echo "make dev                  Dagster on the demo's home, reloading as you edit"
	@echo "make test [ARGS=...]      the suite"
	@echo "make test-slow            the long stories: the demo three times, every mart on two engines (CI runs it too)"
	@echo "make check                lint, format, types, import contracts, SQL, dbt parse"
	@echo "make bench [ARGS=...]     speed, side by side with other tools"
	@echo "make lock                 resolve the versions again (requirements.lock, deploy/requirements.lock)"
	@echo "make clean                delete caches, dbt output and the demo's data; keeps .venv"

demo: $(READY)
	@$(BIN)/crp demo $(ARGS)

# fakesnow has an environment of its own under data/, which the first start makes.
demo-cloud: $(READY)
	@$(BIN)/crp demo-cloud $(ARGS)

dev: $(READY)
	@$(BIN)/crp dev $(ARGS)

# Two at a time, whole files each, longest first (tests/conftest.py): what one core would take half an hour for.
# What fails beside others is tried once more, alone in a new process, and both results are shown.
test: $(READY)
	@$(BIN)/pytest $(or $(ARGS),-n 3 --dist loadfile --no-loadscope-reorder -m "not slow") || \
	  { [ -z "$(ARGS)" ] && echo "make test: the failed tests once more, one after the other" && $(BIN)/pytest --last-failed; }

# The long stories: the demo, again in the same home and in one without Java; all marts on two engines; every fault in turn.
test-slow: $(READY)
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow || { echo "make test-slow: what failed once more" && $(BIN)/pytest --last-failed -m slow; }

check: lint sql

lint: $(READY)
	@echo "check: ruff, mypy, import contracts"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

sql: $(READY)
	@echo "check: SQL style, dbt on both targets"
	@$(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models $(wildcard dbt_project/tests/*.sql)
	@# Parsing needs no credentials, but dbt complains about an account without a name.
	@for target in local snowflake; do SNOWFLAKE_ACCOUNT=none SNOWFLAKE_USER=none SNOWFLAKE_PASSWORD=none PYTHONWARNINGS=ignore \
	  $(BIN)/dbt --quiet parse --project-dir dbt_project --profiles-dir dbt_project --target $$target \
	    --target-path target/check_$$target --no-partial-parse || exit 1; done

bench: $(READY)
	@$(BIN)/python -m bench.batch $(ARGS)

lock: $(READY)
	@$(BIN)/uv pip compile --quiet pyproject.toml --group dev --extra deploy --override overrides.txt --python-version 3.11 \
	  --no-emit-index-url --generate-hashes --no-header --output-file requirements.lock
	@# What the image installs: the same versions without the developers' tools.
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra deploy --constraint requirements.lock --override overrides.txt \
	  --python-version 3.11 --no-emit-index-url --generate-hashes --no-header --no-annotate --output-file deploy/requirements.lock
	@echo "requirements.lock is up to date with pyproject.toml; the next target installs it"

clean:
	@# A broker whose folder is gone could not be stopped any more.
	@[ ! -x $(BIN)/crp ] || $(BIN)/crp kafka down >/dev/null || true
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@git clean -fdXq data dbt_project
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
	@echo "caches, dbt output and everything under data/ that git ignores are gone; .venv stays"

# Made again whenever the locked versions change; the stamp comes last, so a broken install is never taken for a good one.
$(READY): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is missing: install it, or name it: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@[ -x $(BIN)/python ] || { echo "making .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv .venv; }
	@[ "$$($(BIN)/uv --version 2>/dev/null | cut -d' ' -f2)" = "$(UV:uv==%=%)" ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@echo "installing $$(grep -c '^[a-z].*==' requirements.lock) locked packages (once per lock; a few minutes on a new machine)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
