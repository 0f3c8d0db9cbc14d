# Compiler and linker flags of the user-space programs.
PACKAGES := libbpf openssl libnghttp2 jansson sqlite3 zlib libbrotlidec libzstd libseccomp libcap-ng yaml-0.1 libmicrohttpd
LLHTTP_DIR := /usr/share/llhttp
LLHTTP_INCLUDE := /usr/share/include/llhttp

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla -Wundef \
	-Wformat=2 $(if $(filter 1,$(WERROR)),-Werror)
CPPFLAGS += -D_GNU_SOURCE -Iinclude -Iuser -I$(OUT)/generated -isystem $(LLHTTP_INCLUDE)
CFLAGS := -std=gnu11 -O2 -g $(WARNINGS) -fno-strict-aliasing -fstack-protector-strong -fPIE -MMD -MP
LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
LDLIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread

ifeq ($(SANITIZER),)
CFLAGS += -D_FORTIFY_SOURCE=2
else ifeq ($(SANITIZER),address)
CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(SANITIZER),thread)
CFLAGS += -fsanitize=thread -fno-omit-frame-pointer
LDFLAGS += -fsanitize=thread
else ifeq ($(SANITIZER),fuzzer)
CFLAGS += -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address,undefined
endif
