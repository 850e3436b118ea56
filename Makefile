# Each target sets up what it needs in .venv first; nothing but Python 3.11+ (or uv) and make must be there.
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint types prove bench bench-core bench-stuck detection clean

help:
	@echo "make demo        three nodes, messages, a process group; one node is killed after 5 s; Ctrl-C ends it"
	@echo "make test        everything that must pass: lint, types, tests, with the seconds of each suite;"
	@echo "                 where no container engine is: NO_DOCKER=1 make test"
	@echo "make lint        ruff: rules and format          make types    mypy --strict"
	@echo "make prove       the long proofs: a million mutated frames, 20,000 hostile connections, simulated meshes"
	@echo "make bench       rates beside NATS and a bare pipe (some minutes)"
	@echo "make bench-core  its one-minute version"
	@echo "make bench-stuck a consumer that reads nothing for a minute of 100 MB/s: memory, and the others (two minutes)"
	@echo "make detection   how soon faults are known, beside kinship; needs root (about an hour)"
	@echo "make clean       remove all that was made here"

demo: .venv/.dev
	@$(BIN)/liminal demo --kill 5s

test: .venv/.dev
	@$(BIN)/python .ci/suites.py

lint: .venv/.dev
	@$(BIN)/python .ci/suites.py lint

types: .venv/.dev
	@$(BIN)/python .ci/suites.py types

prove: .venv/.dev
	@$(BIN)/python .ci/suites.py prove

bench: .venv/.bench
	@$(BIN)/python -m benchmarks

bench-core: .venv/.bench
	@$(BIN)/python -m benchmarks --core

bench-stuck: .venv/.bench
	@$(BIN)/python -m benchmarks.stuck

detection: .venv/.bench
	@$(BIN)/python -m benchmarks.detection --page docs/detection.md

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is made again when a pin, or what the package declares, has changed.
.venv/.dev: requirements/dev.txt pyproject.toml .ci/environment
	@echo "setting up .venv ..."
	@.ci/environment requirements/dev.txt
	@touch $@

.venv/.bench: requirements/bench.txt .venv/.dev
	@.ci/environment requirements/bench.txt
	@touch $@
