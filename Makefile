# Everything is installed into .venv, nothing into the system's Python.
#   make demo   metrics of a simulated call center in a minute, without any configuration
#   make test   lint, types, tests, coverage; CI also runs chart-test, site and compat
#   make unit ARGS="tests/test_rest.py -x"   some tests only, in one process, without coverage
#   make site   the documentation as a site, in build/site
#   make chart-test  the Helm chart, with the real Helm and the schemas of Kubernetes
#   make compat  some tests with the oldest and the newest releases allowed, on every Python here
#   make attacks  attacks one by one, on the oldest and the newest Python here: docs/attacks.md
#   make image  the container image; ENGINE=podman builds it with Podman
#   make image-test  builds it and runs it, alone, in the stack, and in the chart's pods; as root
#   make deb deb-test   the package for this release of Debian, and its life in booted machines, as root
#   make release-check   builds a release into build/release, and checks all that needs no forge
#   make nights      who is told of what, with real parts: three minutes, writes docs/nights.md
#   make peers PEERS=FOLDER  the tests with Prometheus and Alertmanager, with other versions of them
#   make bench  speed and memory on this machine, compared with named baselines
.DELETE_ON_ERROR:
.PHONY: demo test bench format lint types unit peers compiled parts lock schema dashboards rules \
	reference site chart chart-test deb deb-test nights release-check compat image image-test \
	attacks clean

PYTHON ?= $(shell .ci/python)
VENV := .venv
BIN := $(VENV)/bin
# Versions and hashes come from the lock files; the project itself is installed without them.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

demo: $(VENV)/.runtime
	@$(BIN)/agent-rest-exporter demo $(ARGS)

# Two at a time: programs and packages are installed, then mypy has one core to itself, and the other
# compiles the tests. The environment comes first, because its Python may have to be installed too.
test: $(VENV)/bin/python
	@$(MAKE) --no-print-directory --jobs 2 parts lint types compiled
	@$(MAKE) --no-print-directory unit

parts:
	@.ci/parts

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

# Every worker and every command that tests start would compile all of it anew, where the variable
# PYTHONDONTWRITEBYTECODE is set, as in many containers, or where they all begin at once.
unit compiled: export PYTHONDONTWRITEBYTECODE =

compiled: $(VENV)/.dev
	@$(BIN)/python -m pytest --collect-only --quiet >/dev/null || true  # `unit` says what is wrong

unit: $(VENV)/.dev
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --maxschedchunk 1
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
endif

bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks $(ARGS)

# Without PEERS, the installed versions; .ci/peers gets others into a folder.
peers: $(VENV)/.dev
	PEERS="$(abspath $(PEERS))" $(BIN)/python -m pytest -n auto --maxschedchunk 1 -m peers tests

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(VENV)/.dev
	$(BIN)/python deploy/schema.py > deploy/config.schema.json

dashboards: $(VENV)/.dev
	$(BIN)/python deploy/grafana/generate.py

rules: $(VENV)/.runtime
	$(BIN)/python deploy/prometheus/generate.py

reference: $(VENV)/.dev
	@$(BIN)/python -m tests.support.reference_pages

# Warnings are errors: a link or an anchor that leads nowhere, a page that no index lists.
site: $(VENV)-site/.done
	@$(VENV)-site/bin/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet --fresh-env \
		-d build/site-cache -c docs/site docs build/site
	@echo "The site is in build/site: open build/site/index.html"

# Writes what follows from values.yaml and templates, and the package dist/agent-rest-exporter-*.tgz.
chart: $(VENV)/.chart
	$(BIN)/python deploy/helm/generate.py
	$(BIN)/python deploy/helm/render.py
	$(BIN)/python deploy/helm/package.py

chart-test: $(VENV)/.chart
	$(BIN)/python -m pytest tests/chart

nights: $(VENV)/.dev
	NIGHTS=1 $(BIN)/python -m pytest tests/nights

# BEFORE=COMMIT attacks that version instead, for the column that is compared with.
attacks: $(VENV)/.dev
	$(BIN)/python .ci/attacks.py $(if $(BEFORE),--before $(BEFORE)) $(ARGS)

compat: $(VENV)/.dev
	@$(BIN)/python .ci/compat.py

# Labels say what is in it: version, commit, and the commit's date. Outside a git checkout the last
# two are empty.
ENGINE ?= docker
IMAGE ?= agent-rest-exporter
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py)
REVISION = $(shell git describe --always --abbrev=40 --exclude='*' --dirty=-changed 2>/dev/null)
CREATED = $(shell TZ=UTC git show -s --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null)
image:
	$(ENGINE) build $(if $(findstring podman,$(ENGINE)),--format docker) -f deploy/docker/Dockerfile \
		-t $(IMAGE):$(VERSION) -t $(IMAGE):latest \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
		--build-arg CREATED=$(CREATED) $(BUILD_FLAGS) .

image-test: parts $(VENV)/.chart
	@tests/shipped/prepare
	CONTAINERS_CONF=$(CURDIR)/tests/shipped/containers.conf SHIPPED=yes \
		$(BIN)/python -m pytest -n 2 --dist loadfile tests/shipped $(ARGS)

# Into dist/, for the release of Debian that this machine runs. Needs debhelper, dh-python, lintian
# and python3-venv; the test also debootstrap and systemd-container.
deb: $(VENV)/.dev
	@$(BIN)/python deploy/debian/build.py

deb-test: deb
	DEB_TEST=1 $(BIN)/python -m pytest tests/debian

release-check: $(VENV)-release/.done
	@$(VENV)-release/bin/python .ci/release_check.py --tag '$(TAG)' --deb '$(DEB)'

# The lock files are valid for every platform and every Python from 3.11 on.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(UPGRADE)
lock: $(VENV)/.dev
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --group dev -o requirements-dev.lock
	$(COMPILE) pyproject.toml --group bench -o requirements-bench.lock
	echo hatchling | $(COMPILE) - -c requirements-dev.lock -o requirements-build.lock
	$(COMPILE) --group site -o requirements-site.lock
	$(COMPILE) pyproject.toml --group chart -c requirements-dev.lock -o requirements-chart.lock
	$(COMPILE) --group release -o requirements-release.lock

$(VENV)/bin/python:
	.ci/python --check
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --editable .
	@touch $@

# What tests import is compiled by `compiled`, at the same time as mypy runs.
$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) --no-compile --require-hashes -r requirements-dev.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.runtime

$(VENV)/.bench: requirements-bench.lock $(VENV)/.runtime
	$(PIP) --require-hashes -r requirements-bench.lock
	@touch $@

$(VENV)-%/.done: requirements-%.lock
	.ci/python --check
	$(PYTHON) -m venv --clear $(VENV)-$*
	$(VENV)-$*/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: -r $<
	@touch $@

$(VENV)/.chart: requirements-chart.lock $(VENV)/.dev
	$(PIP) --require-hashes -r requirements-chart.lock
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-attacks $(VENV)-compat $(VENV)-site $(VENV)-release build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
