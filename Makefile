# Needs make, bash and Python 3.11 to 3.13. Every target sets itself up from the locks first, which
# takes no time when nothing changed.
SHELL := bash
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
# Tools that ask their makers for news, or send them some, when they start.
export HARDHAT_DISABLE_TELEMETRY := true
export NO_UPDATE_NOTIFIER := 1

python := .venv/bin/python
# Slither and the coverage build in folders of their own, so that `make -j` does not mix them up.
forge_in = FOUNDRY_OUT=var/forge/$(1)/out FOUNDRY_CACHE_PATH=var/forge/$(1)/cache

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install everything into .venv and node_modules, from the locks
	@PYTHON="$(PYTHON)" scripts/setup

.PHONY: build
build: setup ## compile the contracts into ledger/artifacts
	@$(python) -m scripts.build

.PHONY: demo
demo: setup ## run the whole story on a chain of its own (KEEP=1 leaves it running, STOP=DIR ends that)
	@$(python) -m scripts.demo $(if $(KEEP),--keep) $(if $(STOP),--stop $(STOP))

.PHONY: vectors
vectors: setup ## write the test vectors of docs/spec anew, and say which changed
	@$(python) -m pytest -q tests/vectors/test_written*.py --write-vectors
	@git --no-pager diff --stat -- docs/spec/vectors

.PHONY: test test-artifacts test-contracts test-python
test: setup ## run every test
	@# Side by side, as the Python tests often wait for a block; the others' words come at the end.
	@mkdir -p var && { $(MAKE) --keep-going test-artifacts test-contracts >var/test-contracts.log 2>&1 & }; \
	  contracts=$$!; $(MAKE) test-python; python=$$?; \
	  wait $$contracts; contracts=$$?; cat var/test-contracts.log; exit $$((python || contracts))
test-artifacts: setup ## show that the contracts give exactly the shipped artifacts
	$(python) -m scripts.build --check
test-contracts: setup ## run the Solidity tests
	hardhat test solidity
test-python: setup ## run the Python tests (PYTEST="-k name" chooses)
	$(python) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(PYTEST)

.PHONY: check check-style check-types check-docs check-compiler check-sizes check-contracts
check: check-style check-types check-docs check-compiler check-sizes check-contracts ## run every lint and type check
check-style: setup ## ruff and forge: format and lint
	ruff format --check .
	forge fmt --check contracts
	ruff check .
check-types: setup ## mypy, strict
	mypy
check-docs: setup ## pages that are made from the code are current
	$(python) -m scripts.settings --check
check-compiler: setup ## one compiler and one set of settings everywhere
	$(python) -m scripts.check_compiler
check-sizes: setup ## print the size of each shipped contract, and fail above its bound
	$(python) -m scripts.check_sizes
check-contracts: setup ## Slither; accepted findings are explained in slither.toml
	$(call forge_in,slither) $(python) -m scripts.check_slither

.PHONY: format
format: setup ## let ruff and forge format and fix what it can
	ruff format .
	forge fmt contracts
	ruff check --fix .

.PHONY: coverage
coverage: setup ## branch coverage of the contracts, at least 95 %
	@mkdir -p var/forge/coverage
	$(call forge_in,coverage) forge coverage --ir-minimum --no-match-coverage '(node_modules|tests)/' \
	  --report lcov --report-file var/forge/coverage/lcov.info
	@$(python) -m scripts.check_coverage var/forge/coverage/lcov.info

.PHONY: gas
gas: setup ## print what each act costs on chain
	@$(python) -m scripts.gas

.PHONY: bench
bench: setup ## measure ours beside what one would use instead (FULL=1: large sizes; BENCH="gas idle" chooses)
	@$(python) -m scripts.bench $(BENCH)

.PHONY: faults
faults: setup ## break everything while it is used, then count what was lost (LONG=1: 1,000 faults; FAULTS="--seed 7")
	@$(python) -m scripts.faults $(FAULTS)

.PHONY: house
house: setup ## print how much must be held in one's head: lines, import depth, exception classes
	@$(python) -m scripts.house

.PHONY: mutants
mutants: setup ## change the modules that decide, one small thing at a time: tests must fail (MUTANTS="ledger.crypto.merkle.*")
	@$(python) -m scripts.mutants $(MUTANTS)

.PHONY: lock
lock: setup ## write the locks anew, with the newest versions that fit
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --output-file requirements/lock.txt \
	  requirements/requirements.in requirements/dev.in
	npm install --package-lock-only --loglevel=error

.PHONY: clean
clean: ## remove what builds and tests made (not .venv, not node_modules)
	rm -rf var/cache var/forge var/hardhat var/mutmut var/slither build .hypothesis
