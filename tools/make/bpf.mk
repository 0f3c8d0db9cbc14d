# The BPF object: every bpf/*.bpf.c compiled, linked into one object, turned into a skeleton.
BPF_SOURCES := $(wildcard bpf/*.bpf.c)
BPF_OUT := build/bpf
BPF_OBJECTS := $(patsubst bpf/%.bpf.c,$(BPF_OUT)/%.bpf.o,$(BPF_SOURCES))
BPF_SKELETON := $(BPF_OUT)/spendgate.skel.h
BPFTOOL := $(firstword $(wildcard /usr/sbin/bpftool /sbin/bpftool /usr/bin/bpftool) bpftool)

# Debian keeps asm/types.h in a multiarch folder that `clang -target bpf` does not search.
BPF_CFLAGS := -g -O2 -target bpf -D__TARGET_ARCH_x86 -Wall -Wextra -Werror -Iinclude -Ibpf \
	-idirafter /usr/include/$(shell $(CLANG) -dumpmachine 2>/dev/null | sed 's/-pc-/-/')

$(BPF_OUT):
	$(Q)mkdir -p $@

$(BPF_OUT)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.bpf.h) include/spendgate/abi.h | $(BPF_OUT)
	$(call say,BPF,$@)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(BPF_OUT)/spendgate.o: $(BPF_OBJECTS)
	$(call say,GEN,$@)$(BPFTOOL) gen object $@ $^

$(BPF_SKELETON): $(BPF_OUT)/spendgate.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name spendgate_bpf > $@
