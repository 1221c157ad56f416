# Everything a developer does, from a fresh Debian machine on: each target installs what it needs,
# says so, and is quick the second time. As root, or with sudo.

# Set here, not taken from the environment, where PC may be anything: `make test PC=bookworm`.
PC := trixie
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Debian's own Python, since libvirt, udev, evdev and D-Bus bindings come from Debian's packages.
SYSTEM_PYTHON ?= /usr/bin/python3
VENV := .venv
PYTHON := $(VENV)/bin/python
# Thousands of small files, each synced: on a disk they take a third of the fast tests' time.
MEMORY := $(firstword $(wildcard /dev/shm) /tmp)

BINDINGS := python3-venv python3-libvirt python3-gi python3-pydbus python3-evdev python3-pyudev python3-yaml
LAB := qemu-system-x86 qemu-utils ovmf mmdebstrap mtools dosfstools e2fsprogs fdisk syslinux syslinux-common gcc libc6-dev libdrm-dev zstd
TOOLS := udev

.PHONY: help setup check test test-fast lab demo bench soak clean

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/ready  ## install what the other targets need

$(VENV)/ready: pyproject.toml Makefile
	@echo "== Debian packages"
	@missing=$$(dpkg-query -W -f '$${Package} $${db:Status-Status}\n' $(BINDINGS) $(LAB) $(TOOLS) 2>/dev/null \
	  | awk '$$2 == "installed" {print $$1}' | sort > .packages.have; \
	  printf '%s\n' $(BINDINGS) $(LAB) $(TOOLS) | sort | comm -23 - .packages.have; rm -f .packages.have); \
	if [ -n "$$missing" ]; then \
	  echo "installing:" $$missing; \
	  $(SUDO) apt-get -qq update && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $$missing; \
	else echo "all there"; fi
	@echo "== virtual environment in $(VENV)"
	$(SYSTEM_PYTHON) -m venv --system-site-packages $(VENV)
	$(VENV)/bin/pip install -q -e '.[lab]' 'ruff>=0.6' 'mypy>=1.11' 'pytest>=8' 'pytest-xdist>=3' 'hypothesis>=6' types-PyYAML
	@touch $@

check: $(VENV)/ready  ## ruff and mypy strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test-fast: $(VENV)/ready  ## the tests that need no PC: under two minutes
	TMPDIR=$(MEMORY) $(PYTHON) -m pytest -q -m 'not lab and not soak' -n auto --dist worksteal

test: $(VENV)/ready  ## all tests, the lab's included (PC=trixie, bookworm or forky)
	@echo "== the tests that need no PC"
	@$(MAKE) --no-print-directory test-fast
	@echo "== the tests in an emulated PC, one after the other: half an hour"
	@test="$(PYTHON) -m pytest -q -m 'lab and not soak' --pc $(PC)"; \
	eval $$test --durations=40; status=$$?; failed=0; \
	for again in 1 2 3; do \
	  case $$status in \
	  75) echo "== the emulated PC died, as emulated ones do now and then (docs/lab.md): the stories it cut short, once more";; \
	  1) failed=$$((failed + 1)); [ $$failed = 1 ] || break; \
	     echo "== what failed, told once more: held then, it is still to be looked at (docs/lab.md)";; \
	  *) break;; \
	  esac; \
	  eval $$test --failed-files; status=$$?; \
	done; exit $$status

soak: $(VENV)/ready  ## what takes longer than a CI run wants
	$(PYTHON) -m pytest -q -m soak --pc $(PC) --record docs/soak.md
	for other in bookworm forky; do \
	  $(PYTHON) -m pytest -q tests/lab/test_story_breakages.py -k healthy --pc $$other --record docs/soak.md || exit 1; \
	done

demo: $(VENV)/ready  ## two people, one PC, in software: the whole story
	$(PYTHON) examples/two-seat-gaming-pc/demo.py

bench: $(VENV)/ready  ## speed and memory, as ratios against what people use today
	$(PYTHON) tests/bench/bench.py

clean:  ## remove what was made here (the lab's images are in the cache directory)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
