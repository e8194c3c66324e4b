# Seedkeep: every command a person needs, each of which does its own set-up.
#
#   make run          set up what is missing and start Seedkeep        (ARGS="--data DIR" and the like are handed on)
#   make test         set up what is missing and run the tests         (T="tests/unit -k ledger" picks some)
#   make check        lint, format, types and the contracts between rooms
#   make trial        the long tests: full counts, foreign programs
#   make bench        measure, as ratios in one run
#   make playground   a toy world without internet: origin, peers and Seedkeep
#   make web          bundle the front end
#   make wheel        build the package, with the front end inside, into dist/
#   make lock         resolve all dependencies anew
#   make clean        remove what the other commands made, but no data
#
# Nothing is done twice: .make/ holds a stamp for each step, older than its inputs only when it is due again.

.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
LOCKED := --require-hashes --disable-pip-version-check --quiet
WEB_SOURCES := $(wildcard web/assets/*.json web/assets/.npmrc web/assets/*.mjs web/assets/*.py) \
	$(shell find web/assets/src -type f 2>/dev/null)
T ?= tests
WORKERS ?= 2

# The first Python from 3.11 to 3.13 that can make a virtual environment; PYTHON=… picks another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)

# Most tests only wait, so two at a time take half as long (a module stays with one worker); those that measure follow
# alone. Both always run, and pytest's 5 says that nothing was picked, which is wrong only when both say it.
define tests
$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "$(1) not alone" $(T); most=$$?; \
	test $$most = 2 || $(BIN)/python -m pytest -m "$(1) alone" $(T); alone=$$?; \
	case "$$most $$alone" in "0 0" | "0 5" | "5 0") ;; *) exit 1 ;; esac
endef

.PHONY: run test check trial bench playground web wheel lock clean help

run: .make/package .make/web
	@$(BIN)/seedkeep run $(ARGS)

test: .make/dev .make/package .make/web .make/tools
	@$(call tests,not trial and)

trial: .make/dev .make/package .make/web .make/tools
	@$(call tests)

check: .make/dev .make/package
	@failed=; for tool in "ruff check ." "ruff format --check ." mypy lint-imports; do \
		echo "--- $$tool"; $(BIN)/$$tool || failed="$$failed $${tool%% *}"; done; \
	test -z "$$failed" || { echo "Not in order:$$failed"; exit 1; }

bench: .make/dev .make/package .make/web .make/tools
	@$(BIN)/python -m tests.bench $(ARGS)

playground: .make/dev .make/package .make/web .make/tools
	@$(BIN)/python -m tests.playground $(ARGS)

web: .make/web

wheel: .make/run .make/web
	@rm -rf dist && $(BIN)/python -m pip wheel --no-deps --no-build-isolation --disable-pip-version-check --quiet \
		--wheel-dir dist .

help:
	@sed -n '3,12s/^# *//p' Makefile

# --- Python ---------------------------------------------------------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "Seedkeep needs Python 3.11, 3.12 or 3.13 that can make virtual environments."; \
		echo "On Debian, Ubuntu and Raspberry Pi OS:  sudo apt install python3-venv"; \
		echo "Found: $$(command -v python3 >/dev/null && python3 --version || echo 'no python3')"; exit 1; }
	@echo "Making a virtual environment with $(PYTHON) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

.make/run: requirements/run.txt requirements/build.txt | $(BIN)/python
	@mkdir -p .make
	@echo "Installing dependencies …"
	@$(BIN)/python -m pip install $(LOCKED) -r requirements/run.txt -r requirements/build.txt
	@touch $@

.make/dev: requirements/dev.txt .make/run
	@echo "Installing what developing and testing needs …"
	@$(BIN)/python -m pip install $(LOCKED) -r requirements/dev.txt
	@touch $@

.make/package: pyproject.toml .make/run .make/web
	@$(BIN)/python -m pip install --no-deps --no-build-isolation --disable-pip-version-check --quiet --editable .
	@touch $@

# --- front end ------------------------------------------------------------------------------------------------------

# Node comes from the machine where it has one that is new enough, else from a locked wheel in an environment of its own.
.make/web: $(WEB_SOURCES) .make/run
	@if ! $(BIN)/python web/assets/hatch_build.py --find-node && ! test -x .make/node/bin/npm; then \
		echo "Fetching Node for the front end …"; \
		$(BIN)/python -m venv .make/node && \
		.make/node/bin/python -m pip install $(LOCKED) -r requirements/node.txt || exit 1; fi
	@echo "Bundling the front end …"
	@PATH="$$PATH:$(CURDIR)/.make/node/bin" $(BIN)/python web/assets/hatch_build.py
	@touch $@

# --- programs the tests use -----------------------------------------------------------------------------------------

PROGRAMS := ffmpeg:ffmpeg ffprobe:ffmpeg chromium:chromium ip:iproute2 tc:iproute2 aria2c:aria2 nginx:nginx-light \
	unshare:util-linux fc-list:fontconfig \
	avahi-daemon:avahi-daemon avahi-browse:avahi-utils dbus-daemon:dbus
# What only the benchmark is compared with, and foreign programs that only the trial meets.
bench: PROGRAMS += minidlnad:minidlna
trial: PROGRAMS += gssdp-discover:gupnp-tools gupnp-av-cp:gupnp-tools xvfb-run:xvfb nft:nftables kodi:kodi pulseaudio:pulseaudio
trial: PROGRAMS += mpv:mpv $(addprefix vlc:,vlc-bin vlc-plugin-base vlc-plugin-video-output) \
	$(addprefix gst-play-1.0:gstreamer1.0-,plugins-base-apps plugins-good plugins-bad libav)

# Never up to date: it looks each time, which is quick, and installs through apt only what is missing and only as root.
.make/tools: FORCE
	@mkdir -p .make
	@missing=; PATH="$$PATH:/usr/sbin:/sbin"; for pair in $(PROGRAMS); do \
		command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair#*:}"; done; \
	test -d /usr/share/fonts/truetype/dejavu || missing="$$missing fonts-dejavu-core"; \
	missing=$$(printf '%s\n' $$missing | sort -u | tr '\n' ' '); \
	if test -n "$$(echo $$missing)"; then \
		if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			echo "Installing for the tests: $$missing"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
		else \
			echo "The tests need programs that this machine does not have. As root:"; \
			echo "    apt install --no-install-recommends $$missing"; exit 1; \
		fi; fi

FORCE:

# --- keeping house --------------------------------------------------------------------------------------------------

COMPILE := $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-header --no-annotate --no-emit-options \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# With Python 3.11, the oldest we run on, so that nothing is left out that it needs.
lock: .make/dev
	$(COMPILE) --output-file requirements/run.txt pyproject.toml
	$(COMPILE) --extra dev --allow-unsafe -c requirements/run.txt --output-file requirements/dev.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt --output-file requirements/build.txt requirements/build.in
	$(COMPILE) --output-file requirements/node.txt requirements/node.in

clean:
	rm -rf .venv .make build dist web/static/dist web/assets/node_modules tests/artifacts
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find appliance policies web tests -name __pycache__ -type d -prune -exec rm -rf {} +
