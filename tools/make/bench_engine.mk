# What the budget engine adds to a call. BENCH_STATE: the directory whose file system is used.
BENCH_ENGINE := $(OUT)/bench/engine

$(BENCH_ENGINE): $(OUT)/tools/bench/bench_engine.o $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) $< $(LIBRARY) $(LDLIBS) -o $@

.PHONY: bench-engine
bench-engine: $(BENCH_ENGINE) ## nanoseconds of one hold and its settlement
	$(Q)$< $(BENCH_STATE)
