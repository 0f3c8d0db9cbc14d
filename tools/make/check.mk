# The whole judgement; `make check` is what CI runs.
.PHONY: check lint format
check: ## everything: builds with gcc and clang, all tests, lint (root)
	$(Q)tools/check.sh

lint: ## formatting, layers, lengths, documents, cppcheck, clang-tidy
	$(Q)tools/check.sh format layers style docs static-analysis

format: ## format all sources
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i
