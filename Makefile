# Every target makes what it needs: a fresh clone needs Python >= 3.11 and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= results-gpu
MINUTES ?= 9.5
DEMO   := runs/demo
# Many processes start here, and Python that may not keep what it compiled takes two seconds more for each. What is
# never imported is not compiled: that is a minute of every installation.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test docs environments simulators slow faults lint types check gpu clean

help: ## what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

# The stamp goes stale when the dependencies change.
$(VENV)/.ready: pyproject.toml
	@echo "installing into $(VENV): some minutes, up to 7 GB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile -e '.[minatar,dev]'
	touch $@

demo: $(VENV)/.ready ## train DQN + HL-Gauss on CartPole-v1, evaluate it, film it
	@echo "training 70,000 steps: a minute or two on a CPU"
	$(BIN)/catzoo train dqn --env CartPole-v1 --loss hl_gauss --steps 70k --run-dir $(DEMO)
	$(BIN)/catzoo watch $(DEMO) --out $(DEMO)/cartpole.mp4
	@echo "learning curve: $(DEMO)/learning_curve.png   video: $(DEMO)/cartpole.mp4"

test: $(VENV)/.ready ## the tests, without the slow and the GPU ones
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not gpu"

EXTRAS_robots := robots,mujoco
EXTRAS_metaworld := robots,metaworld

docs: $(VENV)/.ready ## the documentation as a site, in site/; a broken link ends it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Simulators are beside what the main environment has, those that exclude each other apart.
$(VENV)-%/.ready: $(VENV)/.ready
	$(BIN)/python -m venv $(VENV)-$*
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > \
		$$($(VENV)-$*/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/main.pth
	$(VENV)-$*/bin/python -m pip install --quiet --no-compile -e '.[$(or $(EXTRAS_$*),$*)]'
	touch $@

environments: $(patsubst %,$(VENV)-%/.ready,dmc robots metaworld) ## those that the simulators are in

simulators: environments ## the tests that need MuJoCo, and what goes with it
	MUJOCO_GL=disable $(VENV)-dmc/bin/python -m pytest -q -n 2 -m "simulators and not slow"
	MUJOCO_GL=disable $(VENV)-robots/bin/python -m pytest -q -n 2 -m "robots and not slow"
	MUJOCO_GL=disable $(VENV)-metaworld/bin/python -m pytest -q tests/zoo/environments/test_meta_world.py

slow: $(VENV)/.ready ## the learning tests, minutes each
	$(BIN)/python -m pytest -q -m slow

faults: $(VENV)/.ready $(VENV)-dmc/.ready ## the fault tests at full length, about 40 minutes
	CATZOO_LONG=1 $(BIN)/python -m pytest -q -s tests/faults
	CATZOO_LONG=1 MUJOCO_GL=disable $(VENV)-dmc/bin/python -m pytest -q -s -m simulators tests/faults

lint: $(VENV)/.ready ## ruff, lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready ## mypy, strict, on kernels, losses and hparams
	$(BIN)/mypy

check: lint types test ## all of the above

# For a machine with CUDA and without network: whatever torch is there, from the source tree.
gpu: ## GPU tests, benchmarks and training within MINUTES, results as CSV in OUT
	PYTHONPATH=src:$$PYTHONPATH $(PYTHON) -m catzoo.zoo.bench.gpu_session --minutes $(MINUTES) --out $(OUT)

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) $(VENV)-* .pytest_cache .mypy_cache .ruff_cache .hypothesis
