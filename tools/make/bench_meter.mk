# What metering itself costs.
BENCH_METER := $(OUT)/bench/meter

$(BENCH_METER): $(OUT)/tools/bench/bench_meter.o $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) $< $(LIBRARY) $(LDLIBS) -o $@

.PHONY: bench-meter
bench-meter: $(BENCH_METER) ## MB a second of the readers, over requests and streams
	$(Q)$<
