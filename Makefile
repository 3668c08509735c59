# `make demo` shows the main job on real disks; `make quick` is for after every edit, `make test` is what CI runs.
# Each sets up all it needs.
SHELL := /bin/bash
PY := .venv/bin/python
.PHONY: demo quick test test-long other lint bench setup lock picture
# two at a time; who has none left takes some of the other's
TESTS := -n 2 --dist worksteal -q
QUICK := $(TESTS) -m "not long" tests/unit tests/property

setup:
	@scripts/setup test

demo:
	@scripts/setup run
	@.venv/bin/blixard demo

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

quick: setup
	$(PY) -m pytest $(QUICK)

test: lint other
	$(PY) -m pytest $(TESTS) -m "not long"

# the quick tests once more on the newest other interpreter at hand; without one there is nothing to do
other: setup
	@scripts/setup other
	@if [ -x .venv-other/bin/python ]; then set -x; .venv-other/bin/python -m pytest $(QUICK); \
	else echo "no second Python at hand: the quick tests ran on $$($(PY) -V) only"; fi

test-long: setup
	$(PY) -m pytest $(TESTS) -m long

bench:
	@scripts/setup bench
	$(PY) -m tests.bench

picture: setup
	$(PY) scripts/picture

lock:
	$(PY) -m pip install -q uv && .venv/bin/uv pip compile -q pyproject.toml --generate-hashes --no-header --universal --python-version 3.11 -o requirements/run.lock
	$(PY) -m pip install -q uv && .venv/bin/uv pip compile -q pyproject.toml requirements/dev.in --generate-hashes --no-header --universal --python-version 3.11 -o requirements/dev.lock
