# Needs Python 3.12 to 3.14 (tools/find-python finds or fetches one), pip and make. Everything goes into .venv.

bin := .venv/bin
installed := .venv/.installed
pip := $(bin)/python -m pip --disable-pip-version-check

# One thread a process: the tests already run one process a core.
one_thread := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

.PHONY: help setup demo test test-slow test-pocket check format docs docs-run notebooks benchmarks constraints clean

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(installed) ## Build the environment in .venv (the other targets do it when it is needed)

# The stamp does not tell whether the environment's Python is still there and new enough.
fit := $(shell $(bin)/python -c 'import pip, sys; print(sys.version_info >= (3, 12))' 2>/dev/null)
ifneq ($(fit),True)
.PHONY: $(installed)
endif

$(installed): pyproject.toml constraints.txt
ifneq ($(fit),True)
	@python=$$(tools/find-python) && echo "Building .venv with $$python" && "$$python" -m venv --clear .venv
endif
	@echo "Installing into .venv what constraints.txt names"
	@$(pip) install --quiet --constraint constraints.txt hatchling
	@$(pip) install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

demo: $(installed) ## From the embedded runs to the optimum, with three figures
	@$(bin)/bayes-scaling demo

test: $(installed) ## Run the tests
	@$(one_thread) $(bin)/python -m pytest -n 2 --dist worksteal

test-slow: $(installed) ## Run the tests that take minutes
	@$(one_thread) $(bin)/python -m pytest -n 2 -m slow

# The study's own environment: its PyTorch has the Python that the study's text needs.
study := .venv-study
test-pocket: ## Train tiny runs by the pocket study's script (Python 3.11; fetches PyTorch)
	@python3.11 -m venv $(study) && $(study)/bin/python -m pip --disable-pip-version-check install --quiet \
	    numpy==2.4.6 torch==2.13.0 pytest
	@$(one_thread) $(study)/bin/python -m pytest --noconftest -c /dev/null --rootdir . tests/data/test_pocket.py

check: $(installed) ## Check format, lint and types
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy

format: $(installed) ## Format the code and repair what lint can
	@$(bin)/ruff format .
	@$(bin)/ruff check --fix .

docs: $(installed) ## Build the documentation into docs/_build/html; a warning is an error
	@$(bin)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env docs docs/_build/html

docs-run: $(installed) ## Run what the documentation shows, and store what is printed, and its picture
	@$(bin)/python tools/run-docs --write
	@$(bin)/bayes-scaling demo --output build --json > /dev/null && cp build/optimum.png docs/images/

notebooks: $(installed) ## Run the notebooks, and store them with what they show
	@$(bin)/python tools/run-notebooks notebooks/*.ipynb

benchmarks: $(installed) ## Measure against what one would run instead
	@$(bin)/python benchmarks/run.py

constraints: ## Renew constraints.txt from a clean environment
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && python=$$(tools/find-python) && \
	"$$python" -m venv "$$scratch/venv" && \
	"$$scratch/venv/bin/python" -m pip --disable-pip-version-check install --quiet hatchling && \
	"$$scratch/venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-build-isolation --editable '.[dev]' && \
	"$$scratch/venv/bin/python" -m pip --disable-pip-version-check freeze --exclude-editable > "$$scratch/freeze" && \
	{ sed -n '/^#/p' constraints.txt && cat "$$scratch/freeze"; } > "$$scratch/constraints.txt" && \
	mv "$$scratch/constraints.txt" constraints.txt

clean: ## Remove the environment, builds, caches and what the demo wrote
	@rm -rf .venv .venv-study build dist demo-output docs/_build docs/generated .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
