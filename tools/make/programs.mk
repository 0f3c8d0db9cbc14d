# One archive with every module, and the programs that draw from it.
MAINS := user/cli/main.c user/warden/main.c user/enforcer/main.c user/runc/main.c
LIBRARY_SOURCES := $(filter-out $(MAINS),$(wildcard user/*/*.c))
LIBRARY := $(OUT)/libspendgate.a
TOKEN_TABLES := sg_token_table_o200k sg_token_table_cl100k sg_text_classes
OBJECTS := $(patsubst %.c,$(OUT)/%.o,$(LIBRARY_SOURCES)) \
	$(OUT)/llhttp/llhttp.o $(OUT)/llhttp/api.o $(OUT)/llhttp/http.o \
	$(OUT)/generated/builtin_prices.o $(TOKEN_TABLES:%=$(OUT)/generated/%.o)
PROGRAMS := $(OUT)/spendgate $(OUT)/spendgated $(OUT)/spendgate-enforcer $(OUT)/spendgate-runc

.PHONY: programs
programs: $(PROGRAMS)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

# The only includer of the generated skeleton.
$(OUT)/user/redirect/%.o: CPPFLAGS += -isystem $(BPF_OUT)
$(patsubst %.c,$(OUT)/%.o,$(wildcard user/redirect/*.c)): $(BPF_SKELETON)

# llhttp comes as C sources from Debian's package; its warnings are its own. Without strict mode it takes blanks in header
# names and control characters in targets.
$(OUT)/llhttp/%.o: $(LLHTTP_DIR)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(CFLAGS) -DLLHTTP_STRICT_MODE=1 -w -c $< -o $@

# The built-in price table, as bytes in the program.
$(OUT)/generated/builtin_prices.c: user/provider/prices.json tools/embed.sh
	@mkdir -p $(@D)
	$(call say,EMBED,$@)tools/embed.sh sg_builtin_prices $< > $@

# Vocabularies of tokens, and the classes of code points, as tables in the program (docs/decisions/0009).
TABLE_TOOL := $(OUT)/generated/table
$(TABLE_TOOL): $(OUT)/tools/vocabulary/table.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) $< $(shell pkg-config --libs libzstd) -o $@

$(OUT)/generated/sg_token_table_o200k.table: user/tokens/o200k_base.zst
$(OUT)/generated/sg_token_table_cl100k.table: user/tokens/cl100k_base.zst
$(OUT)/generated/sg_text_classes.table: user/tokens/classes.zst
$(TOKEN_TABLES:%=$(OUT)/generated/%.table): $(TABLE_TOOL)
	$(call say,TABLE,$@)$(TABLE_TOOL) $(if $(findstring token,$(@F)),tokens,classes) $(filter %.zst,$^) $@

$(OUT)/generated/%.s: $(OUT)/generated/%.table tools/embed-table.sh
	$(call say,EMBED,$@)tools/embed-table.sh $* $< > $@

$(OUT)/generated/%.o: $(OUT)/generated/%.s
	$(call say,AS,$@)$(CC) -c $< -o $@

$(OUT)/generated/%.o: $(OUT)/generated/%.c
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(LIBRARY): $(OBJECTS)
	$(call say,AR,$@)rm -f $@; ar rcs $@ $^

$(OUT)/spendgate: $(OUT)/user/cli/main.o $(LIBRARY)
$(OUT)/spendgated: $(OUT)/user/warden/main.o $(LIBRARY)
$(OUT)/spendgate-enforcer: $(OUT)/user/enforcer/main.o $(LIBRARY)
$(OUT)/spendgate-runc: $(OUT)/user/runc/main.o $(LIBRARY)
$(PROGRAMS):
	$(call say,LD,$@)$(CC) $(LDFLAGS) $(filter %.o,$^) $(LIBRARY) $(LDLIBS) -o $@

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

.PHONY: install uninstall
BINDIR := $(PREFIX)/bin
SBINDIR := $(PREFIX)/sbin
UNITDIR := $(PREFIX)/lib/systemd/system
MANDIR := $(PREFIX)/share/man
install: programs ## install below DESTDIR and PREFIX
	install -D -m 755 $(OUT)/spendgate $(DESTDIR)$(BINDIR)/spendgate
	install -D -m 755 $(OUT)/spendgate-runc $(DESTDIR)$(BINDIR)/spendgate-runc
	install -D -m 755 $(OUT)/spendgated $(DESTDIR)$(SBINDIR)/spendgated
	install -D -m 755 $(OUT)/spendgate-enforcer $(DESTDIR)$(PREFIX)/libexec/spendgate/spendgate-enforcer
	install -d $(DESTDIR)$(UNITDIR)
	for unit in spendgated.service spendgate-watch.service; do \
		sed 's|@SBINDIR@|$(SBINDIR)|; s|@BINDIR@|$(BINDIR)|' tools/install/$$unit > $(DESTDIR)$(UNITDIR)/$$unit; done
	for page in docs/man/*.[1-8]; do install -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done

uninstall: ## remove what install put there
	rm -f $(addprefix $(DESTDIR),$(BINDIR)/spendgate $(BINDIR)/spendgate-runc $(SBINDIR)/spendgated $(UNITDIR)/spendgated.service $(UNITDIR)/spendgate-watch.service)
	rm -rf $(DESTDIR)$(PREFIX)/libexec/spendgate
	for page in docs/man/*.[1-8]; do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done

.PHONY: deb
deb: ## a Debian package, in build/deb
	$(Q)tools/build-deb.sh
