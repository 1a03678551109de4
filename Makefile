# Two commands on a fresh machine with Python 3.11, git and make:
#   make demo    set everything up and run the whole life cycle of a model
#   make test    set everything up and run the tests, browser tests included

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python

# Bytecode is compiled once at install: importing TensorFlow without it takes three times as long.
INSTALL := $(UV) --compile-bytecode

# Some images of containers switch bytecode off. Here hundreds of processes import the same modules,
# and each would compile them again.
export PYTHONDONTWRITEBYTECODE :=

# One more than there are cores: many tests wait for a server, a browser or a kernel.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

.PHONY: help setup setup-dev demo lab publish test test-fast lint format notebooks-clean benchmarks docs screenshots pins protos clean

help:
	@echo "make demo | lab | publish | test | test-fast | lint | format | benchmarks | docs | screenshots | pins | clean"

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "agiwb needs Python 3.11; $(PYTHON) is another. Use: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(BIN)/uv: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements-dev.txt)"

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/uv
	@echo "Installing the pinned packages (about 4 GB on disk; a few minutes the first time)"
	$(INSTALL) -r requirements.txt
	$(INSTALL) --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(INSTALL) -r requirements-dev.txt
	@touch $@

demo: setup
	$(BIN)/agiwb demo

lab: setup
	$(BIN)/agiwb lab

publish: setup
	$(BIN)/agiwb publish

# Browsers, kernels and servers by the dozen share a few cores here: a test that fails is asked once
# more, and the summary says why. Where many fail, it is not for want of time.
test: setup-dev
	sh tests/ensure_debian_packages.sh
	$(BIN)/pytest --reruns 1 --max-suite-reruns 5 --rerun-show-tracebacks -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-fast: setup-dev
	$(BIN)/pytest -m "not slow and not browser"

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb reports/*.ipynb

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-id notebooks/*.ipynb reports/*.ipynb

benchmarks: setup-dev
	for file in $(filter-out benchmarks/soak.py,$(wildcard benchmarks/*.py)); do \
	  $(BIN)/python $$file || exit 1; done
	$(BIN)/python benchmarks/soak.py --minutes 5

# The site, in site/; a broken link, a missing page or a stale flag fails.
docs: setup-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The documentation's pictures, taken anew by the browser tests that have them before their eyes.
screenshots: setup-dev
	$(BIN)/pytest tests/browser/test_compress_tab.py tests/browser/test_serve_tab.py \
	  tests/browser/test_maintain_tab.py tests/browser/test_reports.py::test_the_threshold_is_moved_by_keyboard
	cp test-results/docs/*.png docs/pictures/

# Resolve the pins anew. The index's address never goes into the files.
pins: | $(BIN)/uv
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command "make pins" pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command "make pins" -c requirements.txt --group dev -o requirements-dev.txt

# The messages of the serving wire, compiled into one file of descriptors.
protos: setup-dev
	$(BIN)/python -m grpc_tools.protoc --include_imports -I agiwb/serving/protobuf/protos \
	  --descriptor_set_out agiwb/serving/protobuf/wire.binpb agiwb/serving/protobuf/protos/*.proto

clean:
	rm -rf $(VENV) build dist *.egg-info
