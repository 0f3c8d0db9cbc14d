#!/bin/sh
# cppcheck and clang-tidy over user/, with the chosen checks of .clang-tidy. cppcheck knows neither the cleanup attribute, which
# closes descriptors here, nor the loops of uthash. The analyzer follows a third of the states that it would by default, which takes
# half of the time: ANALYZER_STATES=225000 for all.
set -eu
cd "$(dirname "$0")/.."
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
	--suppress=missingIncludeSystem --suppress=resourceLeak --suppress=unknownMacro -j "$(nproc)" \
	-Iinclude -Iuser -D_GNU_SOURCE --template=gcc user
find user -name '*.c' | xargs -n 6 -P "$(nproc)" sh -c 'exec clang-tidy --quiet --warnings-as-errors="*" "$@" -- -std=gnu11 \
	-D_GNU_SOURCE -Iinclude -Iuser -isystem /usr/share/include/llhttp -isystem build/bpf \
	-Xclang -analyzer-config -Xclang max-nodes=${ANALYZER_STATES:-75000}' clang-tidy
