# `make demo` and `make test` set up what they need; nothing happens when nothing changed.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] < (3,13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.made-from-lock

.PHONY: setup demo test fast lint types check lock clean

setup: $(STAMP)

# uv is used from the PATH where it is, else fetched into the environment itself. The project's flags travel in
# UV_* variables (say UV_TORCH_BACKEND=cpu on a machine that shall not fetch CUDA).
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed and neither was found; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@UV=$$(command -v uv || echo $(BIN)/uv); \
	  echo "installing the locked packages into .venv" && \
	  $$UV pip install --quiet --python $(BIN)/python --no-deps -r requirements.lock && \
	  $$UV pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup
	@$(BIN)/sdflow demo

# Two workers, a file of tests each: much of the time goes into starting processes, one thread at a time.
test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

fast: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

types: setup
	@$(BIN)/pyright

check: lint types test

# Rewrites requirements.lock for Python 3.11 and 3.12; registry addresses never enter it. The backport `dataclasses`, which
# img2dataset asks for, stays out: Prefect starts its server with site-packages first on the path, where it would hide
# Python's own, and the server could not start.
lock:
	uv pip compile --quiet --universal --no-emit-package dataclasses --python-version 3.11 --extra dev --no-emit-index-url --no-header pyproject.toml -o requirements.lock

clean:
	rm -rf .venv
