# The pipeline as a graph. `make help` lists what there is; a recipe is found by its file name in recipes/.
SHELL := /bin/bash
VENV ?= .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
RECIPES := $(sort $(basename $(notdir $(wildcard recipes/*.py))))
# A recipe of several words goes by dashes too: make clean-data is recipes/clean_data.py.
DASHED := $(foreach r,$(RECIPES),$(if $(findstring _,$(r)),$(subst _,-,$(r))))

# One run: make <recipe> [CONFIG=file] [ARGS="--key value"] [NPROC=n] [LAUNCH=configs/accelerate/x.yaml]
ARGS ?=
NPROC ?= 1
LAUNCH ?=
# Tests at a time: each uses one thread.
JOBS ?= 2
pytest = $(PYTHON) -m pytest --numprocesses $(JOBS) --dist loadgroup
default_config = $(firstword $(wildcard configs/$(1)/tiny.yaml configs/$(1)/gpt2-tiny.yaml configs/$(1)/*.yaml))
config = $(or $(CONFIG),$(call default_config,$(1)))

# What a config reads under runs/ has to be made first: the world by its generator, a checkpoint by its recipe and config.
reads = $(shell [ -f "$(1)" ] && grep -oE '^[a-z_]+: +runs/[^ \#]+' "$(1)" | grep -oE 'runs/[a-z0-9_-]+/[a-z0-9._-]+' | sort -u)
needs = $(if $(filter runs/world/%,$(1)),runs/world/world.json) \
        $(foreach r,$(RECIPES),$(addsuffix /results.json,$(filter runs/$(r)/%,$(1))))
launch = $(PYTHON) -m hfcourse.run.launch --nproc $(NPROC) $(if $(LAUNCH),--launcher $(LAUNCH)) recipes/$(1).py --config $(2)

.PHONY: help world chat predict push test test-slow test-gpu lint clean $(RECIPES) $(DASHED)
.DEFAULT_GOAL := help
.SECONDEXPANSION:
.DELETE_ON_ERROR:

help:
	@echo 'make <recipe> [CONFIG=configs/<recipe>/<name>.yaml] [ARGS="--key value"] [NPROC=n] [LAUNCH=configs/accelerate/<x>.yaml]'
	@echo; echo 'Recipes:'
	@for r in $(RECIPES); do printf '  %-12s %s\n' $${r//_/-} "$$(sed -n '1s/"""//gp' recipes/$$r.py)"; done
	@echo; echo 'Also:'
	@printf '  %-12s %s\n' \
	    world 'the embedded world, as JSONL in runs/world' \
	    chat 'talk to a run: make chat RUN=runs/sft/tiny' \
	    predict 'ask a run: make predict RUN=runs/ner/tiny TEXT="a sentence"' \
	    push 'push a finished run: make push RUN=runs/sft/tiny REPO=me/x' \
	    test 'the test suite (under 10 minutes on 2 cores)' \
	    test-slow 'the slow proofs (under 40 minutes)' \
	    test-gpu 'the tests that need an accelerator' \
	    lint 'ruff and mypy' \
	    .venv 'the environment, made on demand by all of these' \
	    clean 'remove caches and .venv; runs/ is never touched'

$(RECIPES): $(INSTALLED) $$(call needs,$$(call reads,$$(call config,$$@)))
	@$(call launch,$@,$(call config,$@)) $(ARGS)

$(DASHED): $$(subst -,_,$$@)

world: runs/world/world.json

runs/world/world.json: | $(INSTALLED)
	@$(PYTHON) -m hfcourse.world --output runs/world

# Any finished run that a config names: runs/<recipe>/<name>/results.json from configs/<recipe>/<name>.yaml. All of them are
# listed, for an implicit rule would not make one run of a recipe from another of the same.
RUNS := $(patsubst configs/%.yaml,runs/%/results.json,$(wildcard configs/*/*.yaml))
$(RUNS): runs/%/results.json: | $(INSTALLED) $$(call needs,$$(call reads,configs/$$*.yaml))
	@$(call launch,$(firstword $(subst /, ,$*)),configs/$*.yaml)

chat: $(INSTALLED)
	@$(PYTHON) -m hfcourse.run.chat --run $(or $(RUN),runs/sft/tiny) $(ARGS)

predict: $(INSTALLED)
	@$(PYTHON) -m hfcourse.run.predict --run $(or $(RUN),runs/ner/tiny) $(if $(QUESTION),--question "$(QUESTION)") $(if $(TEXT),"$(TEXT)") $(ARGS)

push: $(INSTALLED)
	@$(PYTHON) -m hfcourse.run.push --run "$(RUN)" --repo "$(REPO)" $(ARGS)

# torch comes by the exact version in constraints.txt, so that pip takes the build that fits the machine's index.
.venv: $(INSTALLED)
$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing into $(VENV) (once)"
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

test: $(INSTALLED)
	$(pytest) $(ARGS)

test-slow: $(INSTALLED)
	$(pytest) -m slow --timeout 2400 $(ARGS)

test-gpu: $(INSTALLED)
	$(PYTHON) -m pytest -m gpu $(ARGS)

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) build src/*.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
