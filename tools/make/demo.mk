.PHONY: demo
demo: ## an agent with the official SDK until its $0.01 is gone (root)
	$(Q)tools/install-dependencies.sh demo
	$(Q)$(MAKE) --no-print-directory -s all
	$(Q)tools/demo/demo.sh
