# `make demo` and `make test` need nothing but Python 3.11+ and make: each makes its own environment in .venv first.
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)) python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
NOW    := $(shell date -u +%Y%m%dT%H%M%SZ)
SIZE   ?= small
SEED   ?= 1
NOISE  ?= medium
SPARK_TESTS ?=
BENCH_KEEP ?= runs/bench-all-$(NOW)
RESULTS := benchmarks/results
EVERY_FORMAT := --set "publish.formats=[parquet, csv, sdmx-csv, sdmx-ml]"

.DEFAULT_GOAL := help
.PHONY: help demo agency bench bench-check bench-all pictures test test-browser test-spark check coverage lint-fix docs wheelhouse clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "miglink needs Python 3.11 or later; name one with: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## make the small country, run it, and say how far the run is from the truth
	$(BIN)/python -m synthetic small --seed 1 --out runs/demo-$(NOW)/country
	$(BIN)/miglink run runs/demo-$(NOW)/country/country.yml --out runs/demo-$(NOW)/run $(EVERY_FORMAT)
	$(BIN)/miglink evaluate runs/demo-$(NOW)/run --truth runs/demo-$(NOW)/country/truth

agency: $(STAMP) ## run the agency files of tests/data/agency to the printed result
	$(BIN)/miglink run configs/agency.yml --out runs/agency-$(NOW) $(EVERY_FORMAT)

bench: $(STAMP) ## SIZE=small|medium|large|xlarge: seconds, CPU, memory, rates stage by stage, and accuracy, as JSON
	mkdir -p runs
	$(BIN)/python -m benchmarks.country $(SIZE) --seeds $(SEED) --noise $(NOISE) --json runs/bench-$(SIZE)-$(NOW).json

bench-check: $(STAMP) ## the small country against the committed baseline: fails where a ratio is past its limit
	mkdir -p runs
	$(BIN)/python -m benchmarks.country small --repeat 2 --json runs/bench-check-$(NOW).json
	$(BIN)/python -m benchmarks.compare benchmarks/results/baseline-small.json runs/bench-check-$(NOW).json

bench-all: $(STAMP) ## every number of benchmarks/README.md anew, many hours; BENCH_KEEP=DIR for the countries
	$(BIN)/python -m benchmarks.country small --repeat 3 --json $(RESULTS)/baseline-small.json
	$(BIN)/python -m benchmarks.country small --slow residence --json $(RESULTS)/slowed-residence.json
	$(BIN)/python -m benchmarks.country medium --seeds 1 2 3 --keep $(BENCH_KEEP) --json $(RESULTS)/country-medium.json
	$(BIN)/python -m benchmarks.chance_pairs "$(BENCH_KEEP)/medium-1-medium/run 0" \
		$(BENCH_KEEP)/medium-1-medium/country/truth --json $(RESULTS)/chance-pairs.json
	$(BIN)/python -m benchmarks.peers "$(BENCH_KEEP)/medium-1-medium/run 0" \
		$(BENCH_KEEP)/medium-1-medium/country/truth --json $(RESULTS)/peers.json
	$(BIN)/python -m benchmarks.febrl --json $(RESULTS)/febrl.json
	$(BIN)/python -m benchmarks.growth --keep $(BENCH_KEEP)/growth --json $(RESULTS)/growth.json
	$(BIN)/python -m benchmarks.peers $(BENCH_KEEP)/growth/run $(BENCH_KEEP)/growth/country/truth \
		--crossings 10000000 --json $(RESULTS)/peers-large.json
	for seed in 1 2; do \
		$(BIN)/python -m synthetic 11000000 --seed $$seed --out $(BENCH_KEEP)/scale-$$seed/country && \
		$(BIN)/miglink run $(BENCH_KEEP)/scale-$$seed/country/country.yml --to identities \
			--out $(BENCH_KEEP)/scale-$$seed/run || exit 1; done
	$(BIN)/python -m benchmarks.linkage_scale $(BENCH_KEEP)/scale-1/run $(BENCH_KEEP)/scale-1/country/truth \
		$(BENCH_KEEP)/scale-2/run $(BENCH_KEEP)/scale-2/country/truth \
		--identities 1000000 5000000 10000000 --repeats 200000 --json $(RESULTS)/linkage-scale.json
	$(BIN)/python -m benchmarks.linkage_scale $(BENCH_KEEP)/scale-1/run $(BENCH_KEEP)/scale-1/country/truth \
		--identities 1000000 5000000 --rules plain --only ours splink --json $(RESULTS)/linkage-plain.json
	$(BIN)/python -m benchmarks.linkage_scale $(BENCH_KEEP)/scale-1/run $(BENCH_KEEP)/scale-1/country/truth \
		$(BENCH_KEEP)/scale-2/run $(BENCH_KEEP)/scale-2/country/truth --identities 10000000 --rules plain \
		--only ours splink --seconds 2300 --parts 4 --json $(RESULTS)/linkage-plain-ten.json
	$(BIN)/python -m benchmarks.linkage_scale $(BENCH_KEEP)/scale-1/run $(BENCH_KEEP)/scale-1/country/truth \
		--identities 2500000 --rules plain --only ours whole --json $(RESULTS)/linkage-split.json
	$(BIN)/python -m benchmarks.classify_scale --json $(RESULTS)/classify-scale.json
	$(BIN)/python -m benchmarks.accuracy small --json $(RESULTS)/accuracy.json
	$(BIN)/python -m benchmarks.calibration small --json $(RESULTS)/calibration.json
	$(BIN)/python -m benchmarks.coverage small --json $(RESULTS)/coverage.json
	$(BIN)/python -m benchmarks.draws small --json $(RESULTS)/draws.json
	$(BIN)/python -m pytest benchmarks/hot.py
	$(BIN)/python -m benchmarks.page

pictures: $(STAMP) ## the pictures of docs/report.md anew, of a small country; needs Chromium
	$(BIN)/python -m benchmarks.pictures docs/pictures

test: $(STAMP) ## all tests, on DuckDB, but for those that need a browser
	$(BIN)/python -m pytest -n auto -m 'not spark and not browser'

test-browser: $(STAMP) ## the tests that open the report in headless Chromium
	$(BIN)/python -m pytest -m browser tests/test_report_browser.py

test-spark: $(STAMP) ## the tests on Spark (Java 17): all, half an hour, or those in SPARK_TESTS
	$(BIN)/python -m pytest -n 2 -m spark $(SPARK_TESTS)

check: $(STAMP) ## format, lint, types, floors, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet tests/test_house.py tests/test_docs.py

coverage: $(STAMP) ## all tests, with the share of src/ that they run; fails below 90 %
	$(BIN)/python -m pytest -n auto -m 'not spark and not browser' --cov=src/miglink --cov-report=term:skip-covered --cov-fail-under=90

lint-fix: $(STAMP) ## format, and repair what lint can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## write the generated pages anew
	$(BIN)/miglink tables --format markdown > docs/tables.md
	$(BIN)/python -c 'from miglink.config import describe_config; print(describe_config(), end="")' > docs/configuration.md

wheelhouse: $(STAMP) ## all wheels for Linux and Windows and a lock with their hashes, for networks without internet
	$(BIN)/python .ci/wheelhouse.py wheelhouse

clean: ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
