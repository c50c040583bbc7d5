.PHONY: help test databases dialects readers demo picture lint bless pacing-report bench bench-stages bench-parsers bench-resume bench-runs \
	bench-instructions bench-memory bench-scale bench-report bench-pacing fuzz deny attack

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: ## Export 1,000 tasks of the sandbox into demo/
	cargo run --release --quiet -- --ids examples/ids.txt --out demo/ --sandbox

picture: ## docs/run.svg, recorded from a run against the sandbox; needs bash and Python 3.11
	cargo build --release --locked
	python3 docs/picture.py target/release/scale-export docs/run.svg

.venv/ready: tests/consumers/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tests/consumers/requirements.txt
	touch .venv/ready

# Airflow pins much that the readers have in other versions.
.venv-airflow/ready: tests/consumers/airflow.txt
	python3 -m venv .venv-airflow
	.venv-airflow/bin/pip install --quiet --disable-pip-version-check -r tests/consumers/airflow.txt
	touch .venv-airflow/ready

# Tasks with real text, over which the recipes of docs/readers.md run too, where the machine has them.
TASKS = $(wildcard ../shared/corpus/real-small.jsonl.gz)

READERS = .venv/bin/python tests/consumers/readers/run.py

.readers/ready: .venv/ready tests/consumers/readers/readers.toml
	$(READERS) --install --ci
	touch .readers/ready

.venv-dialects/ready: tests/consumers/dialects.txt
	python3 -m venv .venv-dialects
	.venv-dialects/bin/pip install --quiet --disable-pip-version-check -r tests/consumers/dialects.txt
	touch .venv-dialects/ready

# Installs a Debian package when its program is missing and that is possible; a test says what it leaves out.
install_package = command -v $(1) >/dev/null || ls /usr/lib/postgresql/*/bin/$(1) >/dev/null 2>&1 || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install $(2) >/dev/null 2>&1 \
			|| echo "could not install $(2)" >&2; \
	fi

databases:
	@$(call install_package,initdb,postgresql)
	@$(call install_package,sqlite3,sqlite3)

dialects: .venv/ready .venv-dialects/ready databases ## The SQL of each dialect, also in ClickHouse and Spark (1.5 GB, the first time)
	@$(call install_package,java,default-jre-headless)
	SCALE_EXPORT_TEST_PYTHON=$(CURDIR)/.venv/bin/python \
		SCALE_EXPORT_TEST_DIALECTS=$(CURDIR)/.venv-dialects/bin/python cargo test --locked --test it -- sql::

test: .venv/ready .venv-airflow/ready .readers/ready databases lint ## Everything that is checked
	SCALE_EXPORT_TEST_PYTHON=$(CURDIR)/.venv/bin/python \
		SCALE_EXPORT_TEST_READERS=$(CURDIR)/.readers \
		SCALE_EXPORT_TEST_AIRFLOW=$(CURDIR)/.venv-airflow/bin/python cargo test --locked

readers: .venv/ready ## Every table with all readers, old and new; the first time it downloads 2 GB
	cargo build --locked
	$(READERS) --program target/debug/scale-export --write-document $(TASKS:%=--tasks %)

lint: ## Format and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

ATTACKS = 100
KILLS = 300

attack: ## 100 exports from servers that mix all faults, and 300 kills at random moments; a quarter of an hour
	SCALE_EXPORT_TEST_ATTACKS=$(ATTACKS) SCALE_EXPORT_TEST_KILLS=$(KILLS) \
		cargo test --locked --test it -- --nocapture a_server_that_mixes_all_faults kills_at_random

.cargo-deny/bin/cargo-deny:
	cargo install --quiet --locked --root .cargo-deny --version 0.20.2 cargo-deny

ADVISORY_DATABASE = https://github.com/RustSec/advisory-db

# Crates of other platforms count too: these are fetched first. Without a connection to its database, cargo-deny cannot
# check advisories, and that is said.
deny: .cargo-deny/bin/cargo-deny ## Licenses, bans, sources and, where the database can be reached, advisories of all dependencies
	cargo fetch --locked --quiet
	.cargo-deny/bin/cargo-deny --locked check --hide-inclusion-graph licenses bans sources
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet $(ADVISORY_DATABASE) HEAD >/dev/null 2>&1; then \
		.cargo-deny/bin/cargo-deny --locked check advisories; \
	else \
		echo "advisories: NOT checked, as $(ADVISORY_DATABASE) cannot be reached" >&2; \
	fi

bench: bench-stages bench-parsers bench-resume bench-runs ## All of the next four, a quarter of an hour

bench-stages: ## Each stage of an export by itself, in bytes of JSON a second
	cargo bench --locked --quiet --bench stages

# In the program's own target directory; what needs other features of a crate is built once more, for minutes.
bench-parsers: ## Our scan beside other JSON parsers
	CARGO_TARGET_DIR=$(CURDIR)/target cargo run --release --locked --quiet --manifest-path benches/parsers/Cargo.toml

bench-resume: ## How fast a run finds out what earlier ones left
	cargo bench --locked --quiet --bench open_journal

bench-runs: ## Whole runs beside what one would use instead; with nginx, wrk and DuckDB where they are
	cargo build --release --locked
	python3 benches/whole_runs.py --json target/bench/whole_runs.json

bench-memory: ## Peak memory: fails when 100,000 tasks take more than 100 MB; then one huge task, and some of those
	cargo build --release --locked
	python3 benches/memory.py

bench-scale: ## What a task costs when there are a million of them; ten minutes
	cargo build --release --locked
	python3 benches/scale.py

bench-instructions: ## Instructions of each stage, which show a change of one percent; needs valgrind
	python3 benches/instructions.py --json target/bench/instructions.json

bench-report: ## What was measured into docs/performance.md and docs/performance.svg
	python3 benches/chart.py

bench-pacing: ## The pace against real servers with hidden limits; needs nginx, takes a quarter of an hour
	cargo build --release --locked
	python3 benches/pacing.py

bless: .venv/ready ## Write generated files anew
	BLESS=1 SCALE_EXPORT_TEST_PYTHON=$(CURDIR)/.venv/bin/python cargo test --locked --test it -- --test-threads 1 documents golden documented_queries the_table_of_faults pacing_report

pacing-report: ## What the pacer does against models of servers, into docs/pacing.md and docs/pacing.svg
	BLESS=1 cargo test --locked --test it -- pacing_report

FUZZ_TARGETS = json ids journal rebuild
FUZZ_SECONDS = 60
# Memory of all, and seconds of one input; a second is far more than any needs.
FUZZ_LIMITS = -rss_limit_mb=1024 -timeout=10

.cargo-fuzz/bin/cargo-fuzz:
	cargo install --quiet --locked --root .cargo-fuzz --version 0.13.2 cargo-fuzz

# Without the sanitizers, which need a nightly compiler: this crate has no unsafe code of its own. What is
# found new stays out of the seeds in fuzz/corpus.
fuzz: .cargo-fuzz/bin/cargo-fuzz ## A minute of fuzzing for each target
	set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/target/found/$$target; \
		.cargo-fuzz/bin/cargo-fuzz fuzz run --sanitizer none $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) $(FUZZ_LIMITS) -print_final_stats=1; \
	done
