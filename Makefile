# SPDX-License-Identifier: MIT OR Apache-2.0
# The front door. `make help` says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check bench bench-cgroup bench-flood bench-guard bench-read bench-report bench-veth bench-xdp fuzz install install-guard \
	release deps deps-bench deps-demo deps-fleet deps-test deps-vm vm-test

PREFIX ?= /usr/local
DESTDIR ?=
# Where the programs that `make install` copies were built.
BUILT ?= $(TARGET)/release
TARGET := $(or $(CARGO_TARGET_DIR),target)
PROGRAMS := ibsr-loader ibsr-reader ibsr-export ibsr-report
ROOT := $(if $(filter 0,$(shell id -u)),,sudo)

# Debian 12 packages: to build, for the demo, for the tests.
BUILD_PACKAGES := ca-certificates clang-19 gcc libelf-dev linux-libc-dev make pkg-config zlib1g-dev
DEMO_PACKAGES := $(BUILD_PACKAGES) curl ethtool iproute2 nginx-light procps tcpdump util-linux
TEST_PACKAGES := $(DEMO_PACKAGES) bind9-dnsutils bpftool chromium clang-14 clang-format-19 dnsmasq-base e2fsprogs \
	fonts-dejavu-core iputils-ping jq mmdebstrap python3 python3-pip strace systemd systemd-container
# To boot other kernels. Nothing of the kernels' own packages is installed.
VM_PACKAGES := $(BUILD_PACKAGES) apt busybox-static debian-archive-keyring qemu-system-x86
FLEET_PACKAGES := openjdk-17-jre-headless python3 python3-venv
# The oracle of the report, and the cluster that folds for a fleet.
FLEET_PYTHON := duckdb==2.0.0 pyspark==4.1.4
FLEET_VENV := $(TARGET)/fleet-venv

help: ## this text
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18

demo: deps-demo ## the whole path on real traffic, in network namespaces; needs root
	@cargo build --quiet --locked --workspace --bins
	@$(ROOT) $(TARGET)/debug/ibsr-demo

test: deps-test check ## everything CI runs, after installing what is missing

check: ## the same without installing anything: before each commit
	@cargo xtask check

vm-test: deps-test deps-vm ## the root tests on other kernels, in QEMU; KERNELS="6.1 newest"
	@cargo xtask vm $(KERNELS)

bench: bench-cgroup bench-flood bench-guard bench-read bench-report bench-veth bench-xdp ## every benchmark

bench-cgroup: deps-demo ## what the cgroup sensor adds to a packet and a connection; ROUNDS=N JSON=FILE; needs root
	@cargo build --quiet --locked --workspace --bins
	@$(ROOT) env $(if $(ROUNDS),ROUNDS="$(ROUNDS)") $(if $(JSON),JSON="$(JSON)") $(TARGET)/debug/bench-cgroup

bench-guard: deps-demo ## what a large policy of the guard costs: load, swap, memory, packets; needs root
	@cargo build --quiet --locked --workspace --bins
	@$(ROOT) $(TARGET)/debug/bench-guard

bench-flood: deps-demo ## what floods do to the counts of steady clients; ONLY=CASE JSON=FILE; needs root
	@cargo build --quiet --locked --workspace --bins
	@$(ROOT) env $(if $(ONLY),ONLY="$(ONLY)") $(if $(JSON),JSON="$(JSON)") $(TARGET)/debug/bench-flood

bench-read: deps-bench ## sweeps beside bpftool and beside packets; ONLY=TABLE SOURCES=N ROUNDS=N JSON=FILE; needs root
	@cargo build --quiet --locked --workspace --bins
	@$(ROOT) env $(if $(ONLY),ONLY="$(ONLY)") $(if $(SOURCES),SOURCES="$(SOURCES)") $(if $(ROUNDS),ROUNDS="$(ROUNDS)") $(if $(JSON),JSON="$(JSON)") $(TARGET)/debug/bench-read

bench-report: deps deps-fleet ## the report beside DuckDB; ROWS=N JSON=FILE; 2 GB of disk
	@cargo build --quiet --locked --package ibsr-tests --bin bench-report
	@cargo build --quiet --locked --release --package ibsr-report
	@env $(if $(JSON),JSON="$(JSON)") $(if $(ROWS),ROWS="$(ROWS)") $(TARGET)/debug/bench-report

bench-veth: deps-demo ## packets end to end on two CPUs; JSON=FILE; needs root
	@cargo build --quiet --locked --workspace --bins
	@$(ROOT) $(if $(JSON),env JSON="$(JSON)") $(TARGET)/debug/bench-veth

bench-xdp: deps-demo ## what the sensor adds to a packet; ONLY=ROW JSON=FILE SVG=FILE; needs root
	@cargo build --quiet --locked --workspace --bins
	@$(ROOT) env $(if $(ONLY),ONLY="$(ONLY)") $(if $(JSON),JSON="$(JSON)") $(if $(SVG),SVG="$(SVG)") $(TARGET)/debug/bench-xdp

fuzz: deps ## each fuzz target for SECONDS=600; TARGETS="rules row" for some; needs g++
	@fuzz/run $(or $(SECONDS),600) $(TARGETS)

release: deps ## optimised programs in target/release
	@cargo build --locked --release --workspace --bins

install: ## programs, units, manual pages, completions; PREFIX=/usr/local DESTDIR=
	@for program in $(PROGRAMS) xtask; do test -x $(BUILT)/$$program || \
		{ echo "$(BUILT)/$$program is missing: run \`make release\` first" >&2; exit 1; }; done
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/systemd/system lib/sysusers.d lib/tmpfiles.d share/ibsr)
	install -m 755 $(addprefix $(BUILT)/,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin
	for unit in $(filter-out systemd/ibsr-guard%,$(wildcard systemd/*.service systemd/*.timer)); do \
		sed 's|/usr/bin/ibsr-|$(PREFIX)/bin/ibsr-|g' $$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}; done
	install -m 644 systemd/ibsr.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/ibsr.conf
	install -m 644 systemd/ibsr.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/ibsr.conf
	install -m 644 $(filter-out systemd/guard.env,$(wildcard systemd/*.env systemd/*.conf)) $(DESTDIR)$(PREFIX)/share/ibsr
	$(BUILT)/xtask man $(DESTDIR)$(PREFIX)/share/man/man1
	$(BUILT)/xtask completions $(DESTDIR)$(PREFIX)/share

install-guard: ## the guard and its units, which `install` leaves out and nothing enables; the same variables
	@test -x $(BUILT)/ibsr-guard || { echo "$(BUILT)/ibsr-guard is missing: run \`make release\` first" >&2; exit 1; }
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/systemd/system share/ibsr)
	install -m 755 $(BUILT)/ibsr-guard $(DESTDIR)$(PREFIX)/bin
	for unit in systemd/ibsr-guard*; do \
		sed 's|/usr/bin/ibsr-|$(PREFIX)/bin/ibsr-|g' $$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}; done
	install -m 644 systemd/guard.env $(DESTDIR)$(PREFIX)/share/ibsr

# $(1): packages. Installs those that are missing when root, else says how.
define need
	@command -v cargo > /dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
	@if ! command -v dpkg-query > /dev/null; then \
		echo "not a Debian: make sure that the likes of these are here: $(1)" >&2; exit 0; fi; \
	missing=$$(comm -13 \
		<(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' | sed -n 's/^installed //p' | sort -u) \
		<(printf '%s\n' $(1) | sort -u) | tr '\n' ' '); \
	if test -z "$$missing"; then exit 0; fi; \
	if test "$$(id -u)" != 0; then \
		echo "packages are missing, install them with: sudo apt-get install --no-install-recommends $$missing" >&2; exit 1; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	install="apt-get install -qq --no-install-recommends $$missing"; \
	$$install 2> /dev/null || { apt-get update -qq; $$install; }
endef

deps:
	$(call need,$(BUILD_PACKAGES))
deps-demo:
	$(call need,$(DEMO_PACKAGES))
deps-vm:
	$(call need,$(VM_PACKAGES))
deps-bench:
	$(call need,$(DEMO_PACKAGES) bpftool)
deps-test: deps-fleet
	$(call need,$(TEST_PACKAGES))
# Unpacked, not installed: its package would take over /etc/resolv.conf.
	@if ! test -x $(TARGET)/tools/systemd-resolved && command -v dpkg-deb > /dev/null; then \
		echo "unpacking systemd-resolved into $(TARGET)/tools" >&2; \
		dir=$$(mktemp -d); (cd $$dir; apt-get download -qq systemd-resolved; \
			dpkg-deb --fsys-tarfile *.deb | tar -xO ./lib/systemd/systemd-resolved > program); \
		install -D -m 755 $$dir/program $(TARGET)/tools/systemd-resolved; rm -r $$dir; fi
# 570 MB, about a minute when it is missing; PySpark is a source package without sources.
deps-fleet:
	$(call need,$(FLEET_PACKAGES))
	@if test "$$(cat $(FLEET_VENV)/pins 2> /dev/null)" != "$(FLEET_PYTHON)"; then \
		echo "installing $(FLEET_PYTHON) into $(FLEET_VENV)" >&2; \
		rm -rf $(FLEET_VENV); python3 -m venv $(FLEET_VENV); \
		$(FLEET_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir $(FLEET_PYTHON); \
		echo "$(FLEET_PYTHON)" > $(FLEET_VENV)/pins; fi
