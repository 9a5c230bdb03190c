# Every target does its own set-up. Installing happens again only when pyproject.toml or constraints.txt changed.

PYTHON ?= python3
VENV := .venv
EXTRAS := .venv-extras
FRESH := build/venv-package
NEEDS := pyproject.toml constraints.txt
# No questions, no version banner, no list of packages: pip prints errors only.
PIP := -m pip --disable-pip-version-check install -q --no-input -c constraints.txt
TESTS := -m pytest -q -n 2 --dist worksteal

.DEFAULT_GOAL := help
# Two installs at once would write to one environment.
.NOTPARALLEL:
# The stamp of a failed recipe must not remain.
.DELETE_ON_ERROR:
.PHONY: help demo test check extras docs package clean

help: ## This list
	@echo "logpose: keypoint regression by maximum likelihood"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Another Python:   make test PYTHON=python3.12"
	@echo "No GPU? PyTorch's CPU build is 3 GB smaller: set pip's extra index as on PyTorch's"
	@echo "installation page (PIP_EXTRA_INDEX_URL=… make demo)."

demo: $(VENV)/.installed ## Install, train on synthetic people, write runs/demo/report.html
	@echo "==> logpose demo"
	@$(VENV)/bin/logpose demo $(ARGS)

test: $(VENV)/.installed-test ## Install with the test extras, run the tests (ARGS="-m slow" for the slow ones)
	@echo "==> pytest"
	@$(VENV)/bin/python $(TESTS) $(ARGS)

check: $(VENV)/.installed-dev ## Lint, format, types, links and docstrings: ruff, mypy, tests/test_docs.py
	@echo "==> ruff check"
	@$(VENV)/bin/ruff check
	@echo "==> ruff format --check"
	@$(VENV)/bin/ruff format --check
	@echo "==> mypy"
	@$(VENV)/bin/mypy
	@echo "==> pytest tests/test_docs.py: links and docstrings"
	@$(VENV)/bin/python -m pytest -q tests/test_docs.py -k "not runs"

extras: $(EXTRAS)/.installed ## Install the optional extras in an environment of their own (.venv-extras), test them
	@echo "==> pytest, with the extras"
	@$(EXTRAS)/bin/python $(TESTS) tests/cli/test_train.py -k search
	@$(EXTRAS)/bin/python $(TESTS) tests/models/test_backbones.py tests/models/test_efficientnet.py tests/flows/test_adapters.py \
		tests/data/test_pillow_files.py tests/training/test_interop.py tests/models/test_rcnn.py tests/models/test_mask_rcnn.py \
		tests/models/test_timm_backbone.py tests/models/test_version_0_1.py tests/training/test_search.py \
		tests/data/test_deeplabcut_tables.py tests/data/test_sleap.py \
		tests/recipes/test_mask_rcnn.py tests/tasks/detection/test_predict.py tests/report/test_systems.py \
		tests/export tests/runtime tests/models/test_exported.py tests/cli/test_export.py

docs: $(VENV)/.installed-docs $(VENV)/.installed-test ## Run the pages' code, build the site with its API reference into build/site; a broken link is an error
	@echo "==> pytest tests/test_docs.py: the code of the method page and the tutorial"
	@$(VENV)/bin/python -m pytest -q -n 2 -m slow tests/test_docs.py
	@echo "==> docs/build.py"
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python docs/build.py

package: $(VENV)/.installed-dev ## Build wheel and sdist, install the wheel in a fresh environment, use it there
	@echo "==> build"
	@rm -rf dist
	@PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(VENV)/bin/python -m build >/dev/null
	@ls dist
	@echo "==> install the wheel in a fresh environment"
	@$(VENV)/bin/python -m venv --clear $(FRESH)
	@# Unconstrained, pip would take a CUDA build of torch, gigabytes that CI does not use: torch comes first, pinned.
	@# Everything else is resolved from the wheel's own metadata.
	@$(FRESH)/bin/python $(PIP) torch
	@$(FRESH)/bin/python $(filter-out -c constraints.txt,$(PIP)) dist/*.whl
	@$(FRESH)/bin/python -m pip --disable-pip-version-check check
	@echo "==> use it, outside the checkout"
	@folder="$$(mktemp -d)" && trap 'rm -rf "$$folder"' EXIT && cd "$$folder" && bin="$(CURDIR)/$(FRESH)/bin/logpose" \
		&& "$$bin" --version && "$$bin" recipes >/dev/null && "$$bin" train synthetic_resnet18_rle --epochs 1 --out run \
		&& test -s run/best.ckpt

clean: ## Remove the environments, builds and caches (runs/ stays)
	rm -rf $(VENV) $(EXTRAS) build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks docs examples -type d -name __pycache__ -prune -exec rm -rf {} +

# $(call create,DIR): a new virtual environment, or one sentence on why it cannot be created.
define create
@command -v "$(PYTHON)" >/dev/null || { echo "logpose: there is no '$(PYTHON)'; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3." >&2; exit 1; }
@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "logpose: Python 3.11 or newer is needed, but '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1); name a newer one: make PYTHON=python3.12." >&2; exit 1; }
@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "logpose: '$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv." >&2; exit 1; }
@echo "==> creating $(1) with $$("$(PYTHON)" --version)"
@rm -rf $(1)
@"$(PYTHON)" -m venv $(1)
@# So that Git, ruff and others ignore it, whatever its name.
@echo '*' > $(1)/.gitignore
@touch $(1)/.created
endef

# The interpreter is a link to a file as old as the system, so the stamp is a file of its own.
$(VENV)/.created:
	$(call create,$(VENV))

$(EXTRAS)/.created:
	$(call create,$(EXTRAS))

$(VENV)/.installed: $(VENV)/.created $(NEEDS)
	@echo "==> installing logpose (minutes the first time)"
	@$(VENV)/bin/python $(PIP) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.created $(NEEDS)
	@echo "==> installing logpose and its test dependencies (minutes the first time)"
	@$(VENV)/bin/python $(PIP) -e ".[test]"
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.created $(NEEDS)
	@echo "==> installing the site builder"
	@$(VENV)/bin/python $(PIP) -e ".[docs]"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created $(NEEDS)
	@echo "==> installing logpose and its developer tools (minutes the first time)"
	@$(VENV)/bin/python $(PIP) -e ".[dev]"
	@touch $@

$(EXTRAS)/.installed: $(EXTRAS)/.created $(NEEDS)
	@echo "==> installing logpose with its extras (minutes the first time)"
	@$(EXTRAS)/bin/python $(PIP) -e ".[deeplabcut,detect,export,flows,heic,hub,lite,search,sleap,timm,test]" efficientnet-lite-pytorch
	@touch $@
