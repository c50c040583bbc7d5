.PHONY: help test demo lint bless bench

help: ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: ## Export 1,000 tasks of the sandbox into demo/
	cargo run --release --quiet -- --ids examples/ids.txt --out demo/ --sandbox

.venv/ready: tests/consumers/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tests/consumers/requirements.txt
	touch .venv/ready

test: .venv/ready lint ## Everything that is checked
	SCALE_EXPORT_TEST_PYTHON=$(CURDIR)/.venv/bin/python cargo test --locked

lint: ## Format and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

bench: ## Ways from JSON to columns, side by side
	cargo bench --locked --quiet --bench json_to_columns

bless: .venv/ready ## Write generated files anew
	BLESS=1 SCALE_EXPORT_TEST_PYTHON=$(CURDIR)/.venv/bin/python cargo test --locked --test it -- --test-threads 1 documents golden readme
