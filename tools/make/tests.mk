# A test program of one source.
LINK_TEST = $(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) $< $(LIBRARY) $(LDLIBS) -o $@

# Unit tests: tests/unit/<module>/test_<file>.c, one cmocka program each.
UNIT_SOURCES := $(wildcard tests/unit/*/test_*.c)
# The encoder makes what the decoder reads.
UNIT_LDLIBS := -lcmocka -lbrotlienc
UNIT_TESTS := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(UNIT_SOURCES))
# There is no other way to let memory be short, or a disk; and no kernel is asked here.
$(OUT)/unit/enforcer/test_body: UNIT_LDLIBS += -Wl,--wrap=fstatvfs
$(OUT)/unit/enforcer/test_exchange: UNIT_LDLIBS += -Wl,--wrap=sg_response_reader_new
$(OUT)/unit/warden/test_messages: UNIT_LDLIBS += -Wl,--wrap=sg_redirect_is_cut

$(OUT)/unit/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(LINK_TEST) $(UNIT_LDLIBS)

.PHONY: unit-tests check-unit
unit-tests: $(UNIT_TESTS)
check-unit: unit-tests ## unit tests (no root)
	$(Q)printf '%s\n' $(UNIT_TESTS) | xargs -n 1 -P "$$(nproc)" tools/run-whole

# Fuzz targets: tests/fuzz/fuzz_<what>.c with seeds in tests/fuzz/corpus/<what>/. Built with CC=clang SANITIZER=fuzzer.
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(OUT)/fuzz/%,$(FUZZ_SOURCES))

$(OUT)/fuzz/%: tests/fuzz/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)$(LINK_TEST) -fsanitize=fuzzer

.PHONY: fuzz-targets
fuzz-targets: $(FUZZ_TARGETS)

# Conformance: recorded exchanges with what they must count.
.PHONY: check-conformance
check-conformance: $(OUT)/conformance/test_fixtures ## recorded exchanges (no root)
	$(Q)$<

$(OUT)/conformance/%: tests/conformance/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(LINK_TEST) -lcmocka

# Integration: tests/integration/test_<what>.c on a stage of network namespaces, cgroups and real BPF (root).
INTEGRATION_SUPPORT := $(filter-out tests/integration/test_%,$(wildcard tests/integration/*.c))
INTEGRATION_TESTS := $(patsubst tests/integration/%.c,$(OUT)/integration/%,$(wildcard tests/integration/test_*.c))

# A kernel that refuses an object is not to be had otherwise.
$(OUT)/integration/test_versions: INTEGRATION_LDLIBS := -Wl,--wrap=bpf_object__load_skeleton

$(OUT)/integration/%: tests/integration/%.c $(INTEGRATION_SUPPORT) tests/integration/scene.h $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,TEST,$@)$(CC) $(CPPFLAGS) -Itests $(filter-out -MMD -MP,$(CFLAGS)) $(LDFLAGS) $< $(INTEGRATION_SUPPORT) $(LIBRARY) \
		$(LDLIBS) -lcmocka $(INTEGRATION_LDLIBS) -o $@

.PHONY: integration-tests check-integration
integration-tests: $(INTEGRATION_TESTS)
check-integration: integration-tests ## parts against the system, and every way out in namespaces of the tests' own (root)
	$(Q)set -e; for t in $(INTEGRATION_TESTS); do echo "== $$t"; $$t; done

# The same on Debian's kernels, in machines of their own.
.PHONY: check-kernels
check-kernels: integration-tests ## the redirection on Debian's 6.1 and 6.12 kernels, under qemu
	$(Q)tests/kernels/run.sh $(OUT)/integration

# End to end: real BPF, real TLS, real SDKs (root).
.PHONY: check-e2e
check-e2e: programs ## end to end with the real SDKs (root)
	$(Q)tests/e2e/run.sh

# Containers on a real engine (root).
.PHONY: check-docker
check-docker: programs ## containers on a real Docker engine (root)
	$(Q)tests/docker/run.sh

# The Debian package, installed, used and purged over this system in an overlay (root).
.PHONY: check-package
check-package: ## the Debian package: install, use, upgrade, remove, purge (root)
	$(Q)tests/package/run.sh
