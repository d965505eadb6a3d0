# The daily commands. Each one that needs Docker, nginx or Rust first makes sure of them (scripts/ground).
.DEFAULT_GOAL := help
.PHONY: help demo test soak bench dist check lint fmt ground clean-ground

GROUND := scripts/ground
# Runs a command with everything in reach that the ground has just installed.
ON_GROUND := $(GROUND) exec

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ground ## watch a pull request become a URL; ONCE=1 ends by itself; APP=NAME shows one of examples/; REPO=PATH BRANCH=… takes your repository
	@$(ON_GROUND) cargo build --package preview-cli
	@$(ON_GROUND) cargo run --quiet --package preview-cli -- demo $(if $(ONCE),--once) $(if $(APP),--app "$(APP)") \
		$(if $(REPO),--repo "$(REPO)") $(if $(BRANCH),--branch "$(BRANCH)")

test: ## everything that CI runs: format, lints, documentation, all tests
	@$(GROUND) up tests
	@$(ON_GROUND) scripts/test

soak: ## the long proof: 200 cycles, every step × fault, many scenarios; writes docs/RELIABILITY.md; STAGES="cycles fuzz"
	@$(GROUND) up soak
	@$(ON_GROUND) scripts/soak $(STAGES)

bench: ground ## how fast and how small; writes docs/BENCHMARKS.md
	@$(ON_GROUND) cargo bench --package preview-cli --bench bench

dist: ground ## the release: a program that runs on older systems too, its units, a checksum, in target/dist
	@$(ON_GROUND) scripts/dist

check: ## does it compile? the fastest answer
	@$(ON_GROUND) cargo check --workspace --all-targets

lint: ## format check, clippy, shellcheck
	@$(ON_GROUND) scripts/test format shell clippy

fmt: ## format the code
	@$(ON_GROUND) cargo fmt --all

ground: ## install what is missing: Docker, Compose, buildx, nginx, git, Rust; stand-in images where no registry answers
	@$(GROUND) up

clean-ground: ## remove the stand-in images
	@$(GROUND) clean
