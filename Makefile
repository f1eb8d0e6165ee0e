# A new machine needs Python 3.11 or later, make and git; all else is fetched into .venv.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
MANIFESTS := pyproject.toml $(wildcard plugins/*/pyproject.toml examples/plugins/*/pyproject.toml)
PYVERSION = $(shell $(BIN)/python -c 'import sys; print("%d%d" % sys.version_info[:2])')

.PHONY: run monitor backtest test nightly lint types docs bench mutants dev clean

run: $(BIN)/.run  ## rehearse: a simulated market, the paper broker, a private database
	$(BIN)/bifrost run --config examples/paper.yaml --broker paper --speed 30 --fresh

monitor: $(BIN)/.run  ## watch what 'make run' does, at http://127.0.0.1:8765
	$(BIN)/bifrost monitor --config examples/paper.yaml

backtest: $(BIN)/.backtest  ## record a simulated day and replay it: state/backtest/report.html
	rm -rf state/quotes
	$(BIN)/bifrost record --config examples/paper.yaml --feed sim --for 6h30m --out state/quotes
	$(BIN)/bifrost backtest --config examples/paper.yaml --data state/quotes --out state/backtest

test: $(BIN)/.tox  ## all gates: lint, types, tests on built wheels, docs
	$(BIN)/tox run-parallel --parallel-no-spinner -e lint,types,docs
	$(BIN)/tox run -e py$(PYVERSION),ib-async

nightly: $(BIN)/.tox  ## the tests once more, with ten times as much left to chance
	BIFROST_TEST_REPEATS=100 BIFROST_TEST_FAST_CASES=100000 BIFROST_TEST_STANDBY=full \
	$(BIN)/tox run -e py$(PYVERSION)

lint types docs: $(BIN)/.tox  ## one gate
	$(BIN)/tox run -e $@

bench: $(BIN)/.dev  ## the figures that the documentation names
	for figure in benchmarks/[a-z]*.py plugins/*/benchmarks/[a-z]*.py; do $(BIN)/python $$figure || exit 1; done

mutants: $(BIN)/.mutmut  ## which small changes of orders, books and gates no test notices; ONLY='bifrost_engine.oms.*'
	CI=1 $(BIN)/mutmut run --max-children 1 $(if $(ONLY),'$(ONLY)')
	$(BIN)/mutmut results | grep -v ': not checked' || true
	$(BIN)/python tools/mutants.py

dev: $(BIN)/.dev  ## everything editable, with the tools

clean:  ## what was built; .venv stays
	rm -rf .tox build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis mutants

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Bifrost needs Python 3.11 or later; none was found."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

# The stamps are newer than the manifests that they were made from.
$(BIN)/.run: $(MANIFESTS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e . -e "plugins/bifrost-pg[embedded]" -e plugins/bifrost-paper \
		-e plugins/bifrost-monitor
	@touch $@

$(BIN)/.backtest: $(BIN)/.run
	$(BIN)/python -m pip install --quiet -e ".[backtest,report]"
	@touch $@

$(BIN)/.tox: | $(BIN)/python
	$(BIN)/python -m pip install --quiet "tox>=4.11"
	@touch $@

$(BIN)/.mutmut: $(BIN)/.dev
	$(BIN)/python -m pip install --quiet "mutmut>=3.8,<4"
	@touch $@

$(BIN)/.dev: $(BIN)/.run $(BIN)/.tox
	$(BIN)/python -m pip install --quiet $(foreach manifest,$(MANIFESTS),-e $(dir $(manifest))) \
		-e ".[backtest,dask,fast,metrics,report]" hypothesis import-linter jsonschema mypy pre-commit pytest pytest-xdist ruff schemathesis "sqlite-utils>=4" types-PyYAML \
		websocket-client
	@touch $@
