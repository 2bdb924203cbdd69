# Quant50: every command has a line in `make help`.
PYTHON ?= python3.11
BIN := .venv/bin
STORE ?= data/store/simulated.duckdb
MARKET ?= $(if $(QUANT50_MARKET_DATA),$(QUANT50_MARKET_DATA),../shared/data/market)
STORAGE ?= storage
CORES ?= 2
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo market train backtest real report replay null-market facts test test-long lint format types bench lock clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/ready  ## create .venv with Python 3.11 and the locked packages

.venv/ready: requirements.lock pyproject.toml tools/setup.sh
	@PYTHON=$(PYTHON) tools/setup.sh

demo: setup  ## simulated market -> weekly models -> backtest -> daily PDF, with a closing table
	@$(BIN)/python -m training demo

market: setup  ## ingest the Parquet folder MARKET= into data/store/market.duckdb
	@$(BIN)/python -m training ingest --parquet $(MARKET) --store data/store/market.duckdb

train: setup  ## train this week's model on STORE= into STORAGE=
	@$(BIN)/python -m training train --store $(STORE) --storage $(STORAGE)

backtest: setup  ## walk-forward backtest on STORE= with the models of STORAGE=
	@$(BIN)/python -m training backtest --store $(STORE) --storage $(STORAGE)

real: market  ## the main study: real data 2014 to 2021, all baselines, 0, 1 and 2 x costs
	@$(BIN)/python -m training study --store data/store/market.duckdb --start 2014-01-02 --end 2021-04-21

report: setup  ## daily PDF of runs/demo, or of RUN=
	@$(BIN)/python -m reports daily $(if $(RUN),$(RUN),runs/demo)

replay: setup  ## hold the simulator against the recorded LEAN runs of tests/golden
	@$(BIN)/python -m training replay tests/golden/simulated_2018 tests/golden/simulated_2018_free

null-market: setup  ## the pipeline must find nothing where nothing is
	@$(BIN)/python -m training null-market

facts: setup  ## stylised facts of the simulated market, pass or fail per seed
	@$(BIN)/python -m training facts

test: setup lint types  ## format, lint, types and the tests with coverage (at least 85 %)
	@$(BIN)/python -m pytest -n $(CORES) -m "not long" --cov --cov-report=term:skip-covered

test-long: setup  ## kills, thousands of cases, null market (up to 45 minutes)
	@$(BIN)/python -m pytest -n $(CORES) -m long --durations=0
	@$(BIN)/python -m training null-market

lint: setup  ## format and lint, checked only
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q .

format: setup  ## put the code in the project's format
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

types: setup  ## mypy --strict
	@$(BIN)/mypy

bench: setup  ## time and memory of each stage, beside peers, into benchmarks/out/bench.json
	@$(BIN)/python -m benchmarks

lock: setup  ## renew requirements.lock from requirements.in (needs uv)
	@uv pip compile requirements.in --generate-hashes --python-version 3.11 --no-header --no-annotate -q -o requirements.lock

clean:  ## remove what was made: stores, runs, storage, reports (not .venv)
	@rm -rf data storage runs reports/out benchmarks/out
