# `make demo` shows the main job on real disks; `make test` is what CI runs. Each sets up all it needs.
SHELL := /bin/bash
PY := .venv/bin/python
.PHONY: demo test test-long lint bench setup lock picture

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

test: lint
	$(PY) -m pytest -n 2 -q -m "not long"

test-long: setup
	$(PY) -m pytest -n 2 -q -m long

bench:
	@scripts/setup bench
	$(PY) -m tests.bench

picture: setup
	$(PY) scripts/picture

lock:
	$(PY) -m pip install -q uv && .venv/bin/uv pip compile -q pyproject.toml --generate-hashes --no-header --universal --python-version 3.11 -o requirements/run.lock
	$(PY) -m pip install -q uv && .venv/bin/uv pip compile -q pyproject.toml requirements/dev.in --generate-hashes --no-header --universal --python-version 3.11 -o requirements/dev.lock
