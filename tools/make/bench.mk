# The side-by-side benchmark (docs/benchmark.md). BENCH_QUICK=1 for a shorter one, BENCH_OUTPUT for the file.
BENCH_LOAD := $(OUT)/bench/load
BENCH_LOAD_OBJECTS := $(patsubst %.c,$(OUT)/%.o,$(wildcard tools/bench/load/*.c))

$(BENCH_LOAD): $(BENCH_LOAD_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) $^ -lssl -lcrypto -o $@

.PHONY: bench
bench: programs $(BENCH_LOAD) ## side by side with HAProxy, sslsplit and mitmproxy (root, some 6 minutes)
	$(Q)/usr/bin/python3 tools/bench/bench.py --programs $(OUT) --load $(BENCH_LOAD)
	$(Q)$(MAKE) -s bench-meter
	$(Q)$(MAKE) -s bench-engine

.PHONY: bench-weaknesses
bench-weaknesses: programs ## what budgets in gateways are known to get wrong, tried on ours (docs/comparison.md; root)
	$(Q)SPENDGATE_FILES=../../tools/bench/weaknesses.mjs tests/e2e/run.sh
