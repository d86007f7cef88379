# Every target is complete on its own on a machine with Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# prints what goes wrong, and no line for each package
PIP = $(BIN)/pip install --quiet --disable-pip-version-check
# what a lock names, by uv, which fetches in parallel; by pip where uv does not come or fails
UV = $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python
INSTALL = { test -x $(BIN)/uv && $(UV) --require-hashes $(1); } || \
	{ printf 'without uv, by pip, takes some minutes ... '; $(PIP) --require-hashes $(1); }
# one line, which ends with the seconds that the commands took
STEP = start=$$(date +%s); printf '%s ... ' "$(1)"; { $(2); } && echo "$$(($$(date +%s) - start)) s"
STAMP := $(VENV)/.installed
TOOLS := $(VENV)/.installed-tools

.PHONY: install dagster demo test test-e2e test-faults test-unit test-pythons test-without-dbt
.PHONY: test-dbt112 test-builds lint lint-sql lint-types format fmt docs bench bench-year soak
.PHONY: compact clean
.DEFAULT_GOAL := demo

# plain dbt parses a clone by it until a load writes another one, which connects to the warehouse
dbt_project/profiles.yml:
	@cp dbt_project/profiles.before_load.yml $@

$(STAMP): requirements.lock pyproject.toml | dbt_project/profiles.yml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14) and \
		"needs Python 3.11, 3.12 or 3.13; this is %s.%s; fix: make PYTHON=python3.12" % v)'
	@test -x $(BIN)/python || { \
		$(call STEP,making an environment in $(VENV),$(PYTHON) -m venv $(VENV)); }
	@awk '/^[^ ]/ {own = /^uv==/} own' requirements.lock >$(VENV)/uv.lock
	@$(call STEP,installing $$(grep -c '==' requirements.lock) packages into $(VENV), \
		$(PIP) --require-hashes --only-binary :all: -r $(VENV)/uv.lock 2>/dev/null || true; \
		$(call INSTALL,-r requirements.lock) && $(PIP) --no-deps --no-build-isolation -e .)
	@touch $@

# what the tests, the linters and the docs site need on top
$(TOOLS): $(STAMP) requirements-dev.lock
	@$(call STEP,installing the tools of requirements-dev.lock into $(VENV),\
		$(call INSTALL,-r requirements-dev.lock))
	@touch $@

install: $(STAMP)

# Dagster, which is for several machines, and what it needs beside all that
dagster: $(STAMP)
	@$(call STEP,installing $$(grep -c '==' requirements-dagster.lock) packages into $(VENV),\
		$(call INSTALL,--no-deps -r requirements-dagster.lock))

demo: $(STAMP)
	@$(BIN)/quotemill demo

# where an environment forbids bytecode, each process of the tests compiles all modules again
test test-e2e test-faults test-unit test-without-dbt test-builds soak bench: \
	export PYTHONDONTWRITEBYTECODE =

# a process more than a small machine has cores: tests spend much of their time waiting. Without a
# network QuestDB's jar does not come, and its tests are left out
test: $(TOOLS)
	-@$(BIN)/quotemill questdb fetch >/dev/null
	$(BIN)/python -m pytest -n 3 --dist loadfile --durations=10 --ignore=tests/e2e \
		--ignore=tests/faults -m "not long and not soak"

# and the long ones of those before
test-e2e: $(TOOLS)
	$(BIN)/python -m pytest -n 3 --durations=10 --ignore=tests/faults \
		-m "(e2e or long) and not soak"

test-faults: $(TOOLS)
	$(BIN)/python -m pytest -n 3 --durations=10 tests/faults

test-unit: $(TOOLS)
	$(BIN)/python -m pytest -n 3 tests/unit

# each in an environment of its own, which takes some minutes and a gigabyte the first time; those
# of pyenv are on PATH only where that variable names them. On 3.14, which dbt does not support yet,
# what needs no dbt is tested
test-pythons:
	@for version in 3.11 3.12 3.13 3.14; do \
		python=python$$version; export PYENV_VERSION=$$version; \
		$$python -c '' 2>/dev/null || { echo "skipped: no $$python on PATH"; continue; }; \
		target=test-unit; test $$version != 3.14 || target=test-without-dbt; \
		$(MAKE) --no-print-directory $$target PYTHON=$$python VENV=var/$$python || exit 1; \
	done

# tests of builds and of dbt's own packages, and those whose installation `make` refuses
NEED_DBT := build_progress fault_points imports_change_nothing licences looking_makes_nothing \
	makefile quick_dbt
test-without-dbt:
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(call INSTALL,-r requirements-dev.lock) && $(PIP) --no-deps --no-build-isolation -e .
	$(BIN)/python -m pytest -n 3 tests/unit $(NEED_DBT:%=--ignore=tests/unit/test_%.py)

# with the version of dbt that follows the locked one, in an environment of its own
test-dbt112:
	@$(MAKE) --no-print-directory VENV=var/dbt112 test-builds

BUILDS := changed_models comments dbt_materializations first_build followed_tables recorded_builds
test-builds: $(TOOLS)
	@$(call INSTALL,--no-deps -r requirements-dbt112.lock)
	$(BIN)/python -m pytest -n 3 tests/unit/test_build_progress.py tests/unit/test_quick_dbt.py \
		$(BUILDS:%=tests/integration/dbt/test_%.py)

lint: $(TOOLS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory --jobs=2 lint-sql lint-types

lint-sql:
	$(BIN)/python -m tests.lint_sql

# beside the linter of SQL, which alone leaves a core idle
lint-types:
	$(BIN)/mypy
	$(BIN)/python -m tests.lint_language

format: $(TOOLS)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# an older name
fmt: format

# in a warehouse of its own: the models' tables are described, not somebody's data
docs: export QUOTEMILL_HOME = $(CURDIR)/var/docs
docs: export DBT_PROFILES_DIR = var/docs
docs: $(TOOLS)
	rm -rf docs/site
	$(BIN)/python -m tests.write_reference
	$(BIN)/sphinx-build -q -W --keep-going -b html -c docs -d var/docs/pages . docs/site
	$(BIN)/quotemill warehouse migrate
	$(BIN)/quotemill docs --output docs/site/models.html
	$(BIN)/quotemill warehouse stop
	cp docs/first_page.html docs/site/index.html
	$(BIN)/python -m tests.check_site docs/site

bench: $(TOOLS)
	$(BIN)/python -m tests.benchmarks

# a share of the market, such as FACTOR=0.05; all of it takes 30 GB and hours
FACTOR = 1
bench-year: $(TOOLS)
	$(BIN)/python -m tests.benchmarks.year --factor $(FACTOR)

# what is archived of option chains, in few large files
compact: $(STAMP)
	$(BIN)/quotemill archive --compact

soak: $(TOOLS)
	$(BIN)/python -m pytest -n 2 --durations=10 --timeout=0 \
		--hypothesis-profile=many -m "soak or hypothesis"

clean:
	-QUOTEMILL_HOME='$(CURDIR)/var/demo' $(BIN)/quotemill warehouse stop
	rm -rf $(VENV) var dbt_project/target dbt_project/logs
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
