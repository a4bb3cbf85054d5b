# SPDX-License-Identifier: MIT
# A thin front on meson: what each target really does is in meson.build and tools/.

BUILD ?= build
MESON_OPTIONS ?=
STEPS ?= unit e2e asan tsan fuzz check
BENCH_OPTIONS ?=
PIPELINE ?=

.PHONY: all build demo test unit e2e check asan tsan fuzz soak bench format install clean help \
        packages-build packages-test packages-bench

all: build

help:
	@echo 'make demo     build, then read a hundred simulated sensors into SQLite (PIPELINE=file for another pipeline)'
	@echo 'make          build only: $(BUILD)/weir'
	@echo 'make test     every test: unit, end to end, sanitizers, a short fuzzing, checks'
	@echo 'make unit     unit tests only              make e2e      end-to-end tests only'
	@echo 'make check    style and include directions make format   clang-format all sources'
	@echo 'make asan     unit and end-to-end tests with ASan and UBSan'
	@echo 'make tsan     unit and threaded end-to-end tests with TSan'
	@echo 'make fuzz     each fuzz target for 5 s (FUZZ_SECONDS=60 for longer)'
	@echo 'make soak     the long runs: fuzzing and endless streams (SOAK_SECONDS=600)'
	@echo 'make bench    speed on this machine, beside its peers (BENCH_OPTIONS=--quick for a first look)'
	@echo 'make install  into PREFIX (/usr/local)     make clean    remove all build folders'

packages-build:
	@tools/install_packages.sh build
packages-test:
	@tools/install_packages.sh build test
packages-bench:
	@tools/install_packages.sh build bench

build: packages-build
	@tools/build.sh $(BUILD) $(MESON_OPTIONS)

demo: build
	@$(if $(PIPELINE),$(BUILD)/weir run $(PIPELINE),tools/demo.sh $(BUILD)/weir)

test: packages-test
	@tools/run_tests.sh $(STEPS)

unit e2e asan tsan fuzz check: packages-test
	@tools/run_tests.sh $@

soak: packages-test
	@tools/run_tests.sh soak

# Without the Python peers their figures are left out.
bench: packages-build
	@tools/install_packages.sh bench || echo 'The Python peers cannot be installed: their figures are left out.' >&2
	@NINJA_TARGETS='weir bench-programs' tools/build.sh build-bench --buildtype=release
	@/usr/bin/python3 bench/run.py build-bench $(BENCH_OPTIONS)

format: packages-test
	@git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cpp' | xargs clang-format -i

PREFIX ?= /usr/local
install: packages-build
	@test ! -f build-install/build.ninja || meson configure build-install --prefix=$(PREFIX)
	@tools/build.sh build-install --prefix=$(PREFIX) --buildtype=release
	@meson install -C build-install --no-rebuild

clean:
	rm -rf build build-*
