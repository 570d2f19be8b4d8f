# kars: build, test, demonstrate. 'make' alone lists the targets.

SWIFT ?= swift
RELEASE := $(SWIFT) build -c release --static-swift-stdlib
# 'swift build' knows the folder of the platform.
DEBUG_KARS = $(shell $(SWIFT) build --show-bin-path)/kars

.DEFAULT_GOAL := help
.PHONY: help setup build release demo demo-cluster test test-full test-soak test-cluster test-cluster-moves fuzz bench image docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the Debian packages kars needs, when some are missing
	@scripts/setup

build: setup ## Build everything for development
	$(SWIFT) build

release: setup ## Build kars and kars-load, optimised and without Swift libraries to install
	$(RELEASE) --product kars
	$(RELEASE) --product kars-load

demo: release ## Move a talking agent between two peers on this machine
	@scripts/demo

demo-cluster: release image ## Move a talking agent from this machine to a pod of a real Kubernetes and back (root; once ten minutes)
	@scripts/test-cluster install
	@scripts/demo-cluster

test: export KARS_TEST = 1
test: setup ## Build and run all tests
	$(SWIFT) build --build-tests
	# One at a time: many tests wait for real processes, and two cores make them wait for each other otherwise.
	$(SWIFT) test --skip-build --no-parallel
	Tests/Scripts/make-certs-test.sh
	Tests/Scripts/setup-test.sh
	Tests/Scripts/test-cluster-test.sh
	Tests/Scripts/image-test.sh $(DEBUG_KARS)
	@bwrap --unshare-all --ro-bind / / true 2>/dev/null || \
		echo "Note: this machine lets bubblewrap make no sandboxes; tests that need one were skipped."
	@[ "$$(id -u)" = 0 ] || echo "Note: tests of the Docker driver were skipped; their engine needs root."

test-full: export KARS_TEST_FULL = 1
test-full: test ## Run all tests, the slow ones and those on a Kubernetes of their own too
	@$(MAKE) test-soak
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) test-cluster; \
		else echo "SKIPPED: the tests on a Kubernetes need root to run one."; fi

test-soak: release ## Move an agent 200 times under 500 requests a second, and workspaces of all shapes, with a release build
	$(SWIFT) build --build-tests
	KARS_TEST_FULL=1 KARS_TEST_BIN=$$($(SWIFT) build -c release --show-bin-path) \
		$(SWIFT) test --skip-build --no-parallel --filter 'SoakTests|LargeWorkspaceTests'

test-cluster: release image ## Test all that needs a cluster on a real Kubernetes (root; building it takes ten minutes once)
	@scripts/test-cluster install
	@status=0; export KUBECONFIG=$$(scripts/test-cluster up) && \
		Tests/Scripts/crds-test.sh $$KUBECONFIG && \
		Tests/Scripts/kinds-test.sh $$KUBECONFIG && \
		Tests/Scripts/helm-test.sh $$KUBECONFIG && \
		Tests/Scripts/rbac-test.sh $$KUBECONFIG && \
		KARS_TEST_KUBECONFIG=$$KUBECONFIG $(SWIFT) test --no-parallel --filter ClusterTests && \
		Tests/Scripts/controller-test.sh && \
		Tests/Scripts/promote-test.sh && \
		KARS_CLUSTER_ROUNDS=$${KARS_CLUSTER_ROUNDS:-2} Tests/Scripts/cluster-moves-test.sh && \
		scripts/demo-cluster || status=1; \
		scripts/test-cluster down; exit $$status

test-cluster-moves: image ## The longer run of moves to a cluster and back while its parts are killed; after 'scripts/test-cluster install'
	@Tests/Scripts/cluster-moves-test.sh

fuzz: setup ## Feed every decoder that meets strangers from libFuzzer for FUZZ_SECONDS (60)
	@scripts/fuzz $(or $(FUZZ_SECONDS),60)

bench: release ## Measure start-up, sandboxes, sessions, relay, registry and peers beside their limits or the Python library
	$(RELEASE) --product kars-bench
	$(RELEASE) --product kars-bench-relay
	$(RELEASE) --product kars-bench-registry
	$(RELEASE) --product kars-bench-peer
	@scripts/bench
	@scripts/bench-sandboxes
	@scripts/bench-sessions
	@$$($(SWIFT) build -c release --show-bin-path)/kars-bench-relay
	@scripts/bench-registry
	@$$($(SWIFT) build -c release --show-bin-path)/kars-bench-peer

image: release ## Write .build/image/kars.tar, the root file system of a container
	@mkdir -p .build/image
	@scripts/image .build/image/kars.tar

docs: build ## Write docs/reference.md and the manual pages anew from the command tree
	@mkdir -p docs
	$(DEBUG_KARS) reference > docs/reference.md
	$(DEBUG_KARS) manual --out docs/man

clean: ## Remove what was built
	$(SWIFT) package clean
