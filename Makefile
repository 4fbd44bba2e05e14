# What a person does with a checkout. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON_IN := .venv/bin/python
LLMREC := .venv/bin/llmrec
# More for llmrec demo: make demo DEMO="--quick --no-serve"
DEMO ?=
# Where make screenshots looks for model and index
WORK ?= work/demo
# More for make results: names of results, --stale, --list
RESULTS ?=
# Tests run in as many processes as there are cores, at most four, with one thread each: threads that wait for one another
# spin, and several programs that do so slow each other down far more than twice. For one after the other: make test AT_ONCE=0
# The few that hold a wall clock against a bound (the marker `alone`) run before the others, with nothing beside them.
AT_ONCE ?= auto
TESTS := OMP_NUM_THREADS=1 $(PYTHON_IN) -m pytest
BESIDE := --numprocesses $(AT_ONCE) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
MKDOCS := NO_MKDOCS_2_WARNING=1 $(PYTHON_IN) -m mkdocs

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup:  ## make the environment in .venv (needs Python 3.11+; TORCH_INDEX_URL may name an index of CPU builds)
	@setup/install.sh

test: setup  ## the quick tests, in minutes
	$(TESTS) -m "alone and not slow and not gpu"
	$(TESTS) $(BESIDE) -m "not alone and not slow and not gpu"

test-all: setup  ## all tests; those for a GPU are skipped where there is none
	$(TESTS) -m alone
	$(TESTS) $(BESIDE) -m "not alone"

lint: setup  ## style, types and the Dockerfile
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/hadolint Dockerfile

check: lint test  ## everything a change must pass

results: setup  ## make the kept results of the benchmarks anew, for hours; RESULTS="learning" for some, "--list" to look
	$(PYTHON_IN) benchmarks/again.py $(RESULTS)

demo: setup  ## draw a shop, tune a model on it, measure it, and serve it with a page to look at
	@$(LLMREC) demo $(DEMO)

screenshots: setup  ## pictures of the page for the documentation, from $(WORK)/model and $(WORK)/index (needs Chromium)
	$(PYTHON_IN) docs/screenshots.py $(WORK)/model --index $(WORK)/index --out docs/images

wheel: setup  ## build the wheel into dist/
	$(PYTHON_IN) -m build --no-isolation --wheel

docs: setup  ## build the documentation into site/, warnings as errors
	$(MKDOCS) build --strict --quiet
	@echo "Open site/index.html in a browser; its search needs a server: make docs-serve"

docs-serve: setup  ## show the documentation while you write it, at http://127.0.0.1:8000
	$(MKDOCS) serve --watch llmrec --watch prompts --watch benchmarks/results

lock: setup  ## write constraints.txt from the environment
	{ head -1 constraints.txt; .venv/bin/pip freeze --exclude-editable | sed 's/^torch==\([0-9.]*\)+.*/torch==\1/'; } > constraints.new
	mv constraints.new constraints.txt

clean:  ## remove the environment and what tools left; results in work stay
	rm -rf .venv dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help setup test test-all lint check results demo screenshots wheel docs docs-serve lock clean
