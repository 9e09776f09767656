# The commands of the repository; `make help` lists them. Each sets up what it needs by itself.
# ARGS are handed on: `make demo ARGS="--photos ~/Pictures"`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-aws simulate lint bench peers gallery clean

help: ## List these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install the system packages and Rust components the build needs; silent when all are there
	@worker/scripts/setup.sh

demo: setup ## Send real photos and captions through a durable queue and watch them come out
	@cargo run --locked --bin flotilla -- demo $(ARGS)

test: ## Check format and lints, run every test; ends with the test runner's summary
	@worker/scripts/setup.sh test
	@worker/scripts/test.sh $(ARGS)

test-aws: ## Hold SQS and DynamoDB to the queue suites and to faults on an emulator; takes about half an hour
	@worker/scripts/setup.sh test
	@worker/scripts/test.sh --ignore-default-filter -p flotilla-aws
	@worker/scripts/test.sh --ignore-default-filter -p flotilla a_fleet_on_sqs

simulate: ## Run the fleet on virtual time under faults: SEEDS=10000 for more, SEED=17 to tell one whole story
	@worker/scripts/setup.sh test
	@$(if $(SEED),FLOTILLA_TEST_SEED=$(SEED)) $(if $(SEEDS),FLOTILLA_TEST_SEEDS=$(SEEDS)) \
		cargo test --locked --package flotilla-simulation -- seeds_of $(if $(SEED),--nocapture)

lint: setup ## Check format and lints only
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

bench: setup ## Measure the embedded queue: enqueue, drain, pickup latency (optimised build)
	@cargo run --locked --release --bin flotilla -- bench --profile embedded --jobs 100000 --work none $(ARGS)

peers: setup ## Measure it beside other job queues on this machine, with ratios; ARGS=--quick for a short run
	@tests/bench/peers.sh $(ARGS)

gallery: setup ## Write a page of pictures made with every option, to look at; ARGS: more folders of pictures
	@cargo run --locked --example gallery -p flotilla-images -- target/gallery tests/fixtures/demo $(ARGS)

clean: ## Remove build products and the peers' installations
	@cargo clean --quiet
	@rm -rf .cache tests/bench/*/node_modules
