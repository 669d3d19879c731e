# Every public target carries its one-line help after `##`; plain `make` prints them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench proto wheel deb

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# One process per core; `make test PYTEST_ARGS=-k\ vault` runs a part.
PYTEST_ARGS ?= -n logical
# Where the stubs go; tests/contract/test_generated_stubs.py regenerates them elsewhere and compares.
WIRE_OUT ?= .
# Builds of one commit are alike: files carry its time, not that of the build.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 946684800)
# Tests start hundreds of processes; where this is set, each would compile our sources anew.
unexport PYTHONDONTWRITEBYTECODE
PROTOS := $(sort $(wildcard proto/wire/v1/*.proto))

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## create .venv with the locked dependencies, once

demo: $(INSTALLED) ## play the product's story on this machine, with real processes (under 90 s)
	$(BIN)/python -m tests.e2e.demo

test: $(INSTALLED) ## run the whole test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(INSTALLED) ## ruff, mypy --strict, import-linter, codespell and the house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tests.house_rules

bench: $(INSTALLED) ## run every benchmark and print its table
	$(BIN)/python -m benchmarks

wheel: $(INSTALLED) ## build dist/buckler-VERSION-py3-none-any.whl, with manual pages and completions
	rm -rf build/share build/wheel
	$(BIN)/python -m deploy.building.share build/share
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	mkdir -p dist && cp build/wheel/*.whl dist/

deb: wheel ## build dist/buckler_VERSION_ARCH.deb, self-contained but for Debian's Python
	$(BIN)/python -m deploy.building.deb build/wheel/*.whl dist

proto: $(INSTALLED) ## regenerate wire/ from proto/
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=$(WIRE_OUT) --grpc_python_out=$(WIRE_OUT) \
	  --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --mypy_out=quiet:$(WIRE_OUT) --mypy_grpc_out=quiet:$(WIRE_OUT) $(PROTOS)

$(INSTALLED): requirements.lock pyproject.toml deploy/setup.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh deploy/setup.sh
	@touch $@
