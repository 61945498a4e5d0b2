# `make demo` and `make test` set up what they need; nothing happens when nothing changed.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python3.14; do $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] < (3,15))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.made-from-lock

# UV_TORCH_BACKEND=cpu chooses builds of torch without CUDA, 5 GB less; an environment that was made so stays so. Those builds
# come from PyTorch's own index, under other hashes, so that their versions alone are locked.
BACKEND := $(or $(UV_TORCH_BACKEND),$(shell cat $(STAMP) 2>/dev/null))
ifeq ($(BACKEND),cpu)
LOCK := requirements/cpu.lock
TORCH := requirements/cpu-torch.txt
else
LOCK := requirements.lock
TORCH :=
endif

.PHONY: setup demo test fast matrix lint types check docs screenshots lock clean

setup: $(STAMP)

# uv is used from the PATH where it is, else fetched into the environment itself. Nothing is installed whose hash the lock does not
# know (but torch and torchvision of the CPU choice), and no code of others runs to build it: wheels alone. The project itself
# is built by what the lock has brought, so that this fetches nothing either.
$(STAMP): requirements.lock requirements/cpu.lock requirements/cpu-torch.txt requirements/uv.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12, 3.13 or 3.14 is needed and none was found; set PYTHON=/path/to/python3.11"; exit 1; }
	@case "$(BACKEND)" in ""|cpu) ;; *) echo "UV_TORCH_BACKEND=$(BACKEND): only cpu is known; unset it for the locked builds, which bring CUDA"; exit 1;; esac
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.lock
	@UV=$$(command -v uv || echo $(BIN)/uv); INSTALL="$$UV pip install --quiet --python $(BIN)/python --no-deps"; \
	  echo "installing the packages of $(LOCK) into .venv" && \
	  env -u UV_TORCH_BACKEND $$INSTALL --no-build --require-hashes -r $(LOCK) && \
	  $(if $(TORCH),UV_TORCH_BACKEND=cpu $$INSTALL -r $(TORCH) &&) \
	  $$INSTALL --no-build-isolation --editable .
	@echo $(BACKEND) > $@

demo: setup
	@$(BIN)/sdflow demo

# Two workers, a file of tests each: much of the time goes into starting processes, one thread at a time.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# All tests but the matrices.
test: setup
	@$(PYTEST) -m "not matrix"

# What neither trains nor starts a server.
fast: setup
	@$(PYTEST) -m "not slow and not matrix"

# The same question asked at every crash point, of every objective, in every browser, of every database: minutes each.
matrix: setup
	@echo "make matrix needs Chromium and PostgreSQL (Debian: apt-get install --no-install-recommends chromium postgresql)"
	@$(PYTEST) -m matrix

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

types: setup
	@$(BIN)/pyright

check: lint types test matrix

# Rewrites the pages that are made from the code: all config keys, the picture of the house, what recipes take. Tests say when they are old.
docs: setup
	@$(BIN)/python -m flows.config.reference docs/configuration.md
	@$(BIN)/python docs/draw_architecture.py
	@$(BIN)/python docs/recipe_figures.py

# Draws the dashboard's pictures anew, from the store that `make demo` leaves; needs Chromium (Debian: chromium).
screenshots: setup
	@$(BIN)/python docs/screenshots.py

# Rewrites the locks, for Python 3.11 and later; registry addresses never enter them. The backport `dataclasses`, which
# img2dataset asks for, stays out: Prefect starts its server with site-packages first on the path, where it would hide
# Python's own, and the server could not start. The CPU choice has the same packages at the same versions, without
# what torch brings for CUDA (requirements/cuda.txt).
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock:
	$(COMPILE) --extra dev --no-emit-package dataclasses pyproject.toml -o requirements.lock
	$(COMPILE) --extra dev --no-emit-package dataclasses --no-emit-package torch --no-emit-package torchvision --no-annotate \
	  --excludes requirements/cuda.txt -c requirements.lock pyproject.toml -o requirements/cpu.lock
	grep -oE '^torch(vision)?==[^ ]+' requirements.lock > requirements/cpu-torch.txt
	echo uv | $(COMPILE) --no-annotate -c requirements.lock - -o requirements/uv.lock

clean:
	rm -rf .venv
