# spendgate: builds with Debian 12's packages. `make help` lists the targets.
#
# Variables that may be set on the command line:
#   CC         gcc (default) or clang
#   SANITIZER  address (with undefined), thread, fuzzer; empty: none
#   WERROR     1 (default): warnings are errors
#   DESTDIR, PREFIX=/usr/local
#   V=1        show the commands

SHELL := /bin/bash
CC := gcc
CLANG := clang
SANITIZER :=
WERROR := 1
PREFIX := /usr/local

CONFIG := $(notdir $(CC))$(if $(SANITIZER),-$(SANITIZER))
OUT := build/$(CONFIG)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)';)

.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

include tools/make/flags.mk
include tools/make/bpf.mk
include tools/make/programs.mk
include tools/make/tests.mk
include tools/make/check.mk
include tools/make/demo.mk
include tools/make/bench.mk
include tools/make/bench_engine.mk
include tools/make/bench_meter.mk

.DEFAULT_GOAL := all
.PHONY: all help clean
all: programs ## build the programs

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

clean: ## remove everything that was built
	rm -rf build
