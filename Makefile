# One list of jobs, by the same names for people and CI. `make` alone lists them.
#
# Everything is installed into .venv, from nothing but Python >= 3.11 and pip. The lock holds versions and hashes for
# all members of the workspace; the members themselves are installed editable.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
MEMBERS := . executor $(PLUGINS)
MANIFESTS := $(addsuffix /pyproject.toml,$(MEMBERS))
CODE := meson_core executor $(PLUGINS) $(wildcard tests examples benchmarks docs)
LOCKED := uv pip compile --quiet --universal --generate-hashes --no-annotate \
	$(addprefix --no-emit-package ,meson-core meson-executor $(notdir $(PLUGINS)))

# Start-up time is a feature: modules are compiled once, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE
# uv reads an environment of its own making only, and trusts the certificates that the system trusts.
export UV_SYSTEM_CERTS := 1
export VIRTUAL_ENV := $(CURDIR)/.venv
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo importance test cover check lint types contracts docs bench prove fix lock dist clean

help: ## list the jobs
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

# --- set-up ---------------------------------------------------------------------------------------------------------

setup: $(INSTALLED) ## create .venv with exact versions; does nothing when it is up to date

# Debian splits ensurepip from the interpreter, so the environment is made without pip, and the outer pip fetches uv.
$(BIN)/uv: | requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Meson needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Say: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --without-pip --clear .venv
	awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements.lock > .venv/uv.lock.txt
	$(PYTHON) -m pip --quiet --python $(BIN)/python install --no-deps --require-hashes -r .venv/uv.lock.txt

$(INSTALLED): requirements.lock $(MANIFESTS) | $(BIN)/uv
	$(BIN)/uv pip install --quiet --require-hashes --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(addprefix --editable ,$(MEMBERS:%=./%))
	$(BIN)/python -m compileall -q $(MEMBERS:.=meson_core)
	@touch $@

lock: | $(BIN)/uv ## bring requirements.lock up to date (UPGRADE=1: to the newest versions)
	$(BIN)/$(LOCKED) $(if $(UPGRADE),--upgrade) --custom-compile-command "make lock" \
		$(foreach g,dev docs examples,--group $(g)) $(MANIFESTS) --output-file requirements.lock

# --- the product ------------------------------------------------------------------------------------------------------

FLAGSHIP := examples/recommendations
DATA := $(FLAGSHIP)/data/ml-100k/.verified

demo: $(INSTALLED) $(DATA) ## run the flagship example with the live view
	@command -v Rscript >/dev/null || \
		echo "There is no R here: the regional models are fitted in Python alone. apt install r-base-core r-cran-jsonlite brings the others."
	@$(BIN)/python $(FLAGSHIP)/registry.py $(FLAGSHIP)/published -- \
		$(BIN)/mesonctl run $(FLAGSHIP)/workflow.py -p registry={registry}
	@$(BIN)/python $(FLAGSHIP)/results.py

importance: $(INSTALLED) $(DATA) ## draw what each feature was worth on thirty dates of the example's data
	@$(BIN)/mesonctl run $(FLAGSHIP)/importance.py
	@$(BIN)/mesonctl --project $(FLAGSHIP) artifacts plot measure_importance.importance --with importance \
		--out $(FLAGSHIP)/importance.html

$(DATA): $(FLAGSHIP)/fetch_data.py | $(INSTALLED)
	@PYTHON="$(PYTHON)" $(BIN)/python $<

# --- quality ----------------------------------------------------------------------------------------------------------

test: $(INSTALLED) ## run the tests (ARGS="-k name" narrows them)
	$(BIN)/pytest $(ARGS)

cover: $(INSTALLED) ## run the tests and report the branch coverage
	$(BIN)/pytest --cov --cov-report=term --cov-report=html $(ARGS)

check: lint types contracts ## lint, types, import contracts

lint: $(INSTALLED) ## style and formatting
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(INSTALLED) ## mypy, strict
	$(BIN)/mypy $(CODE)

contracts: $(INSTALLED) ## who may import whom
	$(BIN)/lint-imports

fix: $(INSTALLED) ## format, and repair what can be repaired
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs: $(INSTALLED) ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build --fail-on-warning --nitpicky --quiet -b html docs docs/_build/html

bench: $(INSTALLED) ## measure against the budgets, each figure beside its bare baseline
	$(BIN)/python -m benchmarks $(ARGS)

prove: $(INSTALLED) ## show at full size everything that is promised, and print a report
	$(BIN)/python -m benchmarks.prove $(ARGS)

# --- release ----------------------------------------------------------------------------------------------------------

dist: $(INSTALLED) ## build wheels and source distributions of all members into dist/
	rm -rf dist
	for member in $(MEMBERS); do $(BIN)/uv build --quiet --no-build-isolation --out-dir dist $$member || exit 1; done

clean: ## remove what the jobs made, but not the runs in .meson
	rm -rf .venv dist docs/_build .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
