# `make` lists the targets. Everything runs from .venv, which is made once and again when setup.cfg, constraints.txt
# or this file changes. Needs: Python 3.11 or later with venv, and a C compiler for the Brian2 tests; for Lava's worker, which
# has an environment of its own in .venv/lava, Python 3.10 or 3.11; for sPyNNaker's, in .venv/spynnaker, Python 3.11 to 3.13.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python -P
STAMP  := $(VENV)/.stamp
LAVA   := $(VENV)/lava/spikeport-lava.json
SPYNNAKER := $(VENV)/spynnaker/spikeport-spynnaker.json
EXTRAS := torch,snntorch,brian2,models,hil,test,lint,bench
PYTEST_WORKERS ?= 2
ANCHORS ?=
# The Lava tests run on the real Lava, and the oracle's on the real sPyNNaker: where they are missing the tests fail, and do
# not skip.
export SPIKEPORT_REQUIRE_LAVA = 1
export SPIKEPORT_REQUIRE_SPYNNAKER = 1
PYTEST := $(PY) -m pytest -n $(PYTEST_WORKERS) $(if $(ANCHORS),--anchors="$(ANCHORS)")

# A copied or moved .venv points at the tree it came from: make it anew.
ifneq ($(wildcard $(STAMP)),)
ifneq ($(shell cat $(STAMP)),$(CURDIR))
MOVED := yes
endif
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo hil-demo test test-all test-faults lint typecheck layers format bench wheel clean distclean again

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F ':.*## ' '{ printf "make %-10s %s\n", $$1, $$2 }'

env: $(STAMP) $(LAVA) $(SPYNNAKER) ## make the environment .venv (the other targets do this by themselves)

demo: $(STAMP) ## compile and run the example networks, print their reports
	$(PY) -m spikeport.models.demo

hil-demo: $(STAMP) ## hardware in the loop: a daemon, two devices, a test file, a fault, a budget, reports
	$(PY) -m spikeport.models.hil_demo

test: $(STAMP) $(LAVA) $(SPYNNAKER) ## the fast tests, two workers (ANCHORS=DIR: where the recorded graphs are)
	$(PYTEST) -m "not slow"

test-all: $(STAMP) $(LAVA) $(SPYNNAKER) ## every test, the slow ones too
	$(PYTEST)

test-faults: $(STAMP) $(LAVA) ## the fault suite of hardware in the loop: killed workers, dead clients, full disks, ...
	$(PYTEST) -m faults tests/runtime/hil

lint: $(STAMP) ## ruff (rules and format), mypy, import directions; changes nothing
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@$(MAKE) --no-print-directory typecheck
	@$(MAKE) --no-print-directory layers

# mypy finds the package spikeport through a link, since its folder has another name.
typecheck: $(STAMP) ## mypy alone
	@mkdir -p .typecheck && ln -sfn .. .typecheck/spikeport
	cd .typecheck && ../$(PY) -m mypy --config-file ../pyproject.toml -p spikeport

layers: $(STAMP) ## import-linter alone: who may import whom
	$(VENV)/bin/lint-imports --config pyproject.toml

format: $(STAMP) ## let ruff format the code and mend what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Without -P: a script finds the parts beside it.
bench: $(STAMP) $(LAVA) $(SPYNNAKER) ## the benchmarks: speed against the other simulators, a million neurons, importing, Loihi 1 as measured, crossovers
	$(VENV)/bin/python benchmarks/engine.py $(if $(ANCHORS),--anchors="$(ANCHORS)")
	$(VENV)/bin/python benchmarks/million.py
	$(VENV)/bin/python benchmarks/importing.py
	$(VENV)/bin/python benchmarks/density.py --quick
	$(VENV)/bin/python benchmarks/brian2.py $(if $(ANCHORS),--anchors="$(ANCHORS)")
	$(VENV)/bin/python benchmarks/energy.py
	$(VENV)/bin/python benchmarks/loihi.py
	$(VENV)/bin/python benchmarks/spinnaker.py
	$(VENV)/bin/python benchmarks/spinnaker_accuracy.py $(if $(ANCHORS),--anchors="$(ANCHORS)")
	$(VENV)/bin/python benchmarks/loihi_accuracy.py $(if $(ANCHORS),--anchors="$(ANCHORS)")

wheel: $(STAMP) ## build sdist and wheel into dist/
	rm -rf build dist
	$(PY) -m build --no-isolation

clean: ## remove builds, caches and links; keep .venv
	rm -rf build dist *.egg-info .typecheck .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./$(VENV) -prune -o -path ./.git -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	rm -rf $(VENV)

# The last pip line, --no-deps: sinabs pins an old nir, norse wants torchvision, spikingjelly wants torchvision, torchaudio,
# tensorboard and more, all needlessly; what they do import is in the extra `bench`. Benchmarks and their importers'
# tests use them. It fails aloud, like the rest, and a failed install leaves no stamp.
$(STAMP): setup.cfg constraints.txt Makefile $(if $(MOVED),again)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit("spikeport needs Python 3.11 or later, and $(PYTHON) is %d.%d: make PYTHON=..." % v)'
	@rm -f $@
	$(if $(MOVED),rm -rf $(VENV))
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install -c constraints.txt -e ".[$(EXTRAS)]"
	$(VENV)/bin/python -m pip install --no-deps --ignore-requires-python sinabs==3.1.3 norse==1.1.0 spikingjelly==2.0.0
	@printf '%s' "$(CURDIR)" > $@

# Built aside and put in place when a network has run in it; kept until what it is made of changes.
$(LAVA): $(STAMP) backends/lava/environment.py
	$(VENV)/bin/spikeport backends setup lava --path $(VENV)/lava
	@touch $@

$(SPYNNAKER): $(STAMP) backends/spinnaker/environment.py
	$(VENV)/bin/spikeport backends setup spinnaker --path $(VENV)/spynnaker
	@touch $@

again:
