# make help tells what there is. Everything is pinned, and nothing is installed outside a cache directory.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

IMAGE ?= k8s-vectordb-sync:dev
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMANDS := $(notdir $(wildcard cmd/*))

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ See it

.PHONY: demo
demo: ## Run a small cluster with a receiver and three replicas, and search it. Ctrl-C ends it.
	@VERSION="$(VERSION)" hack/demo/run.sh

##@ Build

.PHONY: build
build: ## Build all commands into bin/.
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/...
	@echo "built: $(addprefix bin/,$(COMMANDS))"

.PHONY: image
image: ## Build the container image IMAGE. Needs Docker or something that behaves like it.
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: release
release: ## Make the release VERSION (v1.0.0) in dist/release: binaries, images, chart, SBOMs. Without Docker.
	hack/release/release.sh $(VERSION)

.PHONY: release-test
release-test: ## Make a release twice and compare the bytes. PLATFORMS are those to build for (linux/amd64).
	hack/release/reproducible.sh

.PHONY: clean
clean: ## Remove what was built and reported. Caches of tools and of the control plane stay.
	rm -rf bin dist

##@ Test

.PHONY: test
test: ## Run all tests: unit with the race detector, long, integration, end to end.
	hack/test.sh

.PHONY: test-unit
test-unit: ## Run the tests that need nothing but Go.
	hack/test.sh unit

.PHONY: test-long
test-long: ## Run at full length what the unit tests cut short: simulations.
	hack/test.sh long

.PHONY: test-integration
test-integration: ## Run the tests that need an API server.
	hack/test.sh integration

.PHONY: pictures
pictures: ## Take the pictures of docs/pictures anew, with headless Chromium.
	PICTURES=write go test -count=1 -run ThePictureOf ./internal/api ./internal/receiver

.PHONY: test-browser
test-browser: ## Run the tests that look at pages in headless Chromium.
	hack/test.sh browser

.PHONY: test-e2e
test-e2e: ## Run the stories: several replicas, a real API server, faults.
	hack/test.sh e2e

.PHONY: test-cluster
test-cluster: ## Run the stories on a real cluster: install, scale, upgrade, kill, cut. Needs root, or CLUSTER=kind.
	hack/cluster/test.sh

.PHONY: chart-test
chart-test: ## Test the Helm chart and the kustomize manifests on an API server.
	hack/chart-test.sh

.PHONY: bench
bench: ## Run the benchmarks. BENCH limits them by name, BENCHTIME is for each (1s).
	go test -run '^$$' -bench '$(or $(BENCH),.)' -benchtime '$(or $(BENCHTIME),1s)' -benchmem ./...

.PHONY: bench-compare
bench-compare: ## Compare the benchmarks of BASE (the last tag) with those of the working tree. BENCH, PKG and COUNT limit them.
	hack/bench-compare.sh

.PHONY: bench-scale
bench-scale: ## Measure replicas against a replayed cluster, for hours: docs/benchmarks.md and its plots. PART is one of them.
	hack/benchscale/run.sh $(PART)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s).
	hack/fuzz.sh

.PHONY: controlplane
controlplane: ## Get etcd, kube-apiserver and kubectl into the cache: 7 to 12 minutes the first time.
	@hack/controlplane/ensure.sh

.PHONY: prometheus
prometheus: ## Get prometheus and promtool into the cache: seconds on Debian, six minutes elsewhere.
	@hack/prometheus/ensure.sh

##@ Real cluster

.PHONY: cluster-up
cluster-up: ## Make a cluster with three nodes on this machine. Needs root, or CLUSTER=kind with Docker.
	hack/cluster/cluster.sh up

.PHONY: cluster-down
cluster-down: ## Take it away, with all that it has put on this machine.
	hack/cluster/cluster.sh down

##@ Check

.PHONY: lint
lint: ## Run golangci-lint, and actionlint on the workflows.
	"$$(hack/tools/install.sh golangci-lint)/golangci-lint" run ./...
	"$$(hack/tools/install.sh actionlint)/actionlint" -no-color

.PHONY: lint-fix
lint-fix: ## Run golangci-lint and let it mend what it can.
	"$$(hack/tools/install.sh golangci-lint)/golangci-lint" run --fix ./...

.PHONY: fmt
fmt: ## Format the code and sort the imports.
	"$$(hack/tools/install.sh golangci-lint)/golangci-lint" fmt ./...

.PHONY: generate
generate: ## Write every generated file anew.
	hack/generate.sh

.PHONY: verify
verify: ## Fail if a generated file is stale or a go.mod is not tidy.
	hack/generate.sh --check

.PHONY: check
check: lint verify test-unit ## Run what is quick, before a commit.

.PHONY: presubmit
presubmit: ## Run all that CI runs.
	.ci/run

.PHONY: tools
tools: ## Build the pinned tools into the cache.
	@hack/tools/install.sh
