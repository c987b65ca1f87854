# Two commands: `make repro [PROFILE=smoke|demo|photos|paper]` and `make test`.
# Each makes its own environment in .venv from requirements.txt when that is missing or out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

# For the stages' `python`; make's own lines name their program, as the make of macOS needs.
export PATH := $(abspath $(BIN)):$(PATH)
export PYTHONHASHSEED := 0
export DVC_NO_ANALYTICS := 1

.PHONY: repro test lab install clean

repro: $(READY)
	@if [ -n "$(PROFILE)" ]; then $(BIN)/python -m replication profile --keep $(PROFILE); \
	elif [ ! -f params.yaml ]; then $(BIN)/python -m replication profile demo; fi
	@$(BIN)/python -m replication pipeline --check
	@stages=$$($(BIN)/python -m replication sources-changed) || exit; \
	for stage in $$stages; do $(BIN)/dvc repro --force --single-item $$stage || exit; done
	$(BIN)/dvc repro
	@echo "Done: open reports/index.html"

test: $(READY)
	$(BIN)/ruff check replication tests benchmarks
	$(BIN)/python -m pytest

# This environment's kernel, whatever Jupyter's path has; saved without outputs, so that looking changes no tracked file.
lab: $(READY)
	JUPYTER_PREFER_ENV_PATH=1 JUPYTER_PATH=$(abspath $(VENV))/share/jupyter $(BIN)/jupyter lab notebooks \
	  --ContentsManager.pre_save_hook=replication.notebooks.strip_on_save

install: $(READY)

$(READY): requirements.txt pyproject.toml
	@echo "Making the environment in $(VENV) (once; about 6 GB with PyTorch)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

clean:
	rm -rf $(VENV) .state
