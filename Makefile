# make setup   a virtual environment in .venv          make test    all tests, as root or as an ordinary user
# make lab     the first lesson in JupyterLab          make lint    ruff and mypy
# make demo    the lessons, run, as HTML in build/     make bench   how fast, beside other programs
# make notebooks   the notebooks, from notebooks/src   make terminal   the terminal of %lxc_console, by npm
# make browser   the tests in a real browser           make screenshots   the pictures of docs/pictures
.PHONY: help setup system lab test bench lint demo notebooks terminal browser screenshots
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ok
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Programs that are used when they are there, and Debian's packages of them.
SYSTEM := busybox:busybox-static newuidmap:uidmap setpriv:util-linux ip:iproute2
# Optional, and only for tests/guest, a virtual machine: qemu-system-x86 and e2fsprogs. .ci/run installs them.

help:
	@sed -n '/^# make/s/^# //p' $(MAKEFILE_LIST)

setup: $(STAMP)

# The first Python from 3.11 on that can make a virtual environment.
find_python = for python in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; done

# Root installs what is missing; anybody else is told. Only Python is needed at once: the rest is looked for when it is used.
system:
	@missing=; $(find_python); [ -n "$$python" ] || missing="python3-venv"; \
	for pair in $(SYSTEM); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; } >/dev/null \
		|| echo "could not install:$$missing"; \
	else echo "missing, some things will not work without: sudo apt-get install $$missing"; fi

$(STAMP): pyproject.toml
	@$(MAKE) --no-print-directory system
	@$(find_python); [ -n "$$python" ] || { echo "a Python of 3.11 or newer with venv is needed: sudo apt-get install python3-venv"; exit 1; }; \
	$$python -m venv --clear $(VENV)
	$(BIN)/pip install -q -e '.[lab,test]'
	@touch $@

# What the browser shows of a console, from npm's packages, with their licence. Without npm, consoles go line by line.
TERMINAL := kernel_ext/static/terminal.js
terminal: $(TERMINAL)

$(TERMINAL): $(wildcard kernel_ext/terminal/*)
	@command -v npm >/dev/null || { echo "npm is needed: sudo apt-get install npm"; exit 1; }
	@rm -rf build/terminal && mkdir -p build/terminal $(@D) && cp kernel_ext/terminal/* build/terminal
	@cd build/terminal && npm ci --silent && npm run --silent build && cp built/* $(CURDIR)/$(@D)

# Jupyter itself takes the next port when 8888 is busy.
lab: setup $(if $(shell command -v npm),$(TERMINAL))
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) \
		$(if $(DISPLAY)$(WAYLAND_DISPLAY)$(BROWSER),,--no-browser) notebooks/01_process.ipynb

test: setup
	$(BIN)/pytest $(ARGS)

# Chromium comes from the distribution; Playwright, which drives it, from pip.
PLAYWRIGHT := $(VENV)/.browser
$(PLAYWRIGHT): $(STAMP)
	@command -v chromium >/dev/null || { echo "Chromium is needed: sudo apt-get install chromium"; exit 1; }
	$(BIN)/pip install -q -e '.[browser]'
	@touch $@

browser: $(PLAYWRIGHT)
	$(BIN)/pytest -m browser $(ARGS)

screenshots: $(PLAYWRIGHT)
	$(BIN)/python docs/screenshots.py $(ARGS)

bench: setup
	$(BIN)/python benchmarks/bench.py $(ARGS)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

notebooks: setup
	$(BIN)/python notebooks/generate.py

# Without the scripts that nbconvert would have the page load from elsewhere: no lesson needs them.
HTML := $(BIN)/jupyter nbconvert --to html --execute --HTMLExporter.require_js_url= --HTMLExporter.mathjax_url=

demo: setup
	$(HTML) --output-dir build notebooks/*.ipynb
	$(HTML) --output-dir build/zh --HTMLExporter.language_code=zh notebooks/zh/*.ipynb
