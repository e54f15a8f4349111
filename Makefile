# Every target does its own set-up; the first one takes half a minute. Needs Python 3.11 or newer and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Without bytecode every process would compile what it imports: 11 s instead of 3 s for Dagster.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH VIRTUAL_ENV

BIN := .venv/bin
# The development environment holds all that the demo needs: where it exists, it serves both.
ENVIRONMENT := $(if $(wildcard .venv/dev.stamp),dev,demo)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links --excludes requirements/excludes.txt

.PHONY: help demo dev prepare test test-fast coverage check audit bench bench-full bench-destinations test-readers test-faults soak soak-daemon screenshots format lock release clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/$(ENVIRONMENT).stamp ## Run three days of a grocer: what came in, what was sent and why
	@$(BIN)/python -m demo

dev: .venv/$(ENVIRONMENT).stamp ## Open the example shop in the Dagster UI
	@$(BIN)/python -m demo --data-only
	@$(BIN)/dinmo dev

prepare: .venv/dev.stamp ## Install what the tests start and read: a browser, servers, files that others made
	@scripts/ensure-browser
	@scripts/ensure-servers
	@scripts/ensure-azurite
	@scripts/ensure-corpora

test: prepare ## Run all tests
	@$(BIN)/python -m pytest -n 3 --dist loadgroup

test-fast: .venv/dev.stamp ## Run the inner loop: the tests of the rooms without servers, processes and Dagster, about a minute
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --fast -m fast -q

coverage: prepare ## Run all tests and show the lines that none of them runs; fails below the floor
	@$(BIN)/python -m pytest -n 3 --dist loadgroup --cov --cov-report term:skip-covered

# With CI set a test fails where it would skip: every reader is installed here.
test-readers: .venv/dev.stamp ## Let every reader of docs/consumers.md load delivered files by the commands that stand there
	@scripts/ensure-readers
	@CI=true $(BIN)/python -m pytest dinmo_pipeline_tests/readers -m "readers or not readers" -n 0

test-faults: .venv/dev.stamp ## Let a thousand faults happen at any call of syncs and imports (FAULTS=1000 SEED=)
	@scripts/ensure-servers
	@FAULTS=$(or $(FAULTS),1000) SEED=$(SEED) $(BIN)/python -m pytest dinmo_pipeline_tests/faults -s -q -n 0

soak: .venv/dev.stamp ## Many syncs and imports in one process: what it and the disk hold (SYNCS=1000 IMPORTS=1000)
	@$(BIN)/python -m benchmarks.soak --syncs $(or $(SYNCS),1000) --imports $(or $(IMPORTS),1000)

soak-daemon: .venv/dev.stamp ## The same of `dinmo dev`, with schedules each minute and a sensor (MINUTES=15)
	@$(BIN)/python -m benchmarks.soak_daemon --minutes $(or $(MINUTES),15)

check: .venv/dev.stamp ## Lint, check the spelling, the format and the types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell . .github .pre-commit-config.yaml
	$(BIN)/mypy

# Without --strict a package that the list does not answer for would count as safe.
audit: .venv/dev.stamp ## Ask PyPI's list of known vulnerabilities for every pinned package
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off --timeout 5 -r requirements/dev.txt -r requirements/image.txt -r requirements/readers.txt

bench: .venv/dev.stamp ## Measure syncs, imports, loading and growth, each beside its yardstick (ONLY=)
	@scripts/ensure-servers
	@scripts/ensure-peers
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

bench-destinations: .venv/dev.stamp ## Measure sending one large file beside the best clients (MEGABYTES=1000)
	@scripts/ensure-servers
	@scripts/ensure-azurite
	@$(BIN)/python -m benchmarks.destinations --megabytes $(or $(MEGABYTES),1000)
	@$(BIN)/python -m benchmarks.sending

bench-full: .venv/dev.stamp ## The same with ten million rows, growth to a hundred, real rows, and 200 syncs due at one minute
	@scripts/ensure-servers
	@scripts/ensure-peers
	@$(BIN)/python -m benchmarks --full $(if $(ONLY),--only $(ONLY))

screenshots: .venv/dev.stamp ## Take the README's pictures of the Dagster UI anew
	@scripts/ensure-browser
	@$(BIN)/python -m dinmo_pipeline_tests.dagster_ui.screenshots

format: .venv/dev.stamp ## Fix what the linter can fix, and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: .venv/$(ENVIRONMENT).stamp ## Pin the newest allowed versions in requirements/
	$(COMPILE) --group installer --output-file requirements/installer.txt
	$(COMPILE) pyproject.toml --extra demo --group build --group dev --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra demo --group build --constraints requirements/dev.txt --output-file requirements/demo.txt
	$(COMPILE) pyproject.toml --extra postgres --group build --constraints requirements/dev.txt --output-file requirements/image.txt
	$(filter-out --excludes requirements/excludes.txt,$(COMPILE)) --group readers --constraints requirements/dev.txt \
		--output-file requirements/readers.txt

release: .venv/dev.stamp ## Make dist/: the wheel, the list of packages that it stands on, checksums, notes
	@scripts/release

clean: ## Remove the environment, the caches and all that the example shop made
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis dist .dinmo drop deliveries

.venv/%.stamp: requirements/%.txt requirements/installer.txt pyproject.toml scripts/set-up
	@scripts/set-up $*
