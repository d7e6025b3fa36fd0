# Everything a person runs here. `make` alone lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Set-up comes before what needs the engine; go build and go test use every core.
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

BIN := build/bin
SERVICES := user-service product-service order-service payment-service notification-service mailbox web
PROGRAMS := tend gateway $(SERVICES)
SHOP_VERSION := 1.0.0
# The versions of user-service that come after, whose migrations add a column.
USER_RELEASES := 1.1.0 1.2.0
COMPOSE_VERSION := v2.40.3
# What make release calls its files, as a semantic version.
VERSION ?= 0.0.0-dev
image_of = $(if $(filter tend,$(1)),tend/tend:dev,shop/$(1):$(SHOP_VERSION))

# Each module is built, tested and checked on its own.
MODULES := . services services/gateway bench tools/dashboards

# go_build MODULE PACKAGE [LDFLAGS]: a static program, the same on every machine.
go_build = CGO_ENABLED=0 go build -C $(1) -trimpath -ldflags '-s -w $(3)' -o $(CURDIR)/$@ $(2)
sources = $(shell find $(1) -type f -not -name '*_test.go' -not -path '*/testdata/*' -not -path '*/.*')

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][^:]*:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## prepare this machine: container engine, images, secrets (safe to repeat)
	@deploy/setup.sh

.PHONY: up
up: setup images ## start the shop under tend, and wait until it runs; OBSERVE=1 with Prometheus, alerts, exporters and Jaeger
	@$(if $(OBSERVE),deploy/setup.sh --observability)
	@$(BIN)/tend up
	@cat deploy/welcome.txt

.PHONY: down
down: $(BIN)/tend ## stop and remove the shop; its data stays
	@$(BIN)/tend down

.PHONY: clean
clean: $(BIN)/tend ## remove the shop with its data, and all that was built or generated
	@if docker version >/dev/null 2>&1; then $(BIN)/tend down -v; fi
	rm -rf build deploy/secrets .tend .env

.PHONY: build
build: $(PROGRAMS:%=$(BIN)/%) $(USER_RELEASES:%=$(BIN)/user-service-%) ## build the programs, into build/bin

.PHONY: images
images: build ## build the images of tend and the shop, where sources changed
	@$(foreach program,$(PROGRAMS),deploy/build-image.sh $(call image_of,$(program)) $(program);)
	@$(foreach version,$(USER_RELEASES),deploy/build-image.sh shop/user-service:$(version) user-service-$(version);)

# The engine that make test runs on: the machine's own (default), or newest, debian13 or
# podman, which it builds and starts; RUN chooses tests by name, as go test does.
ENGINE ?= default
RUN ?= .
# The packages whose tests use the engine.
ON_ENGINE := ./controller/engine/docker ./controller/swarm/manager/docker ./controller/execute ./controller/postgres ./e2e

# Never from the cache: go does not see when scripts, images or the engine changed.
.PHONY: test
test: setup-test images $(BIN)/docker-compose $(BIN)/nfpm ## run every test, also on the real engine; ENGINE=newest, debian13 or podman runs those of the engine on that one
ifeq ($(ENGINE),default)
	@$(foreach module,$(MODULES),echo "testing the module $(module)"; go -C $(module) test -count=1 -timeout 40m ./...;)
else
	@tools/engines/build.sh $(ENGINE)
	@tools/engines/run.sh $(ENGINE) go test -count=1 -timeout 40m -run '$(RUN)' $(ON_ENGINE)
endif

.PHONY: test-all
test-all: test $(BIN)/zincsearch $(BIN)/etcd $(BIN)/kube-apiserver ## make test, and what takes longer: the shop watched, its pages while it is updated, searches by Elasticsearch's API, what is exported by Kubernetes' API server, a Swarm of five machines that are harmed, a tend that takes over from one on another machine, a project that moves to several machines and back, each pair of faults and of crash points
	@go -C services test -tags all -count=1 -run '^(TestElasticsearchFindsWhatPostgresFinds|TestTheIndexFollowsTheCatalogue|TestTheIndexIsBuiltAnewWhileItIsSearched|TestPostgresSearchesWhileElasticsearchIsAway)$$' ./internal/product
	@go test -tags all -count=1 -timeout 10m -run '^TestTheAPIServerTakesWhatIsExported$$' ./controller/export/kubernetes
	@go test -tags all -count=1 -timeout 10m -run '^TestASwarmOfFive$$' ./controller/swarm/manager/docker
	@go test -tags all -count=1 -timeout 40m -run '^(TestObservability|TestThePagesLoadWhileTheShopIsUpdated|TestAStandbyOnAnotherMachineTakesOver|TestAProjectMovesToSeveralMachinesAndBack)$$' ./e2e
	@go test -count=1 -timeout 40m -run '^TestSmallScope$$' ./controller/simulate -one-in 1
	@go test -count=1 -timeout 40m -run '^TestEachCrashPoint$$' ./controller/swarm/simulate -one-in 1

.PHONY: engines
engines: ## build the engines that make test ENGINE=... runs on, into build/engines
	@tools/engines/build.sh newest debian13 podman

.PHONY: setup-test
setup-test:
	@deploy/setup.sh --test

FOR ?= 1m
# A base that nobody has run before; the run prints it.
SEED ?= $$((RANDOM << 30 | RANDOM << 15 | RANDOM))
.PHONY: simulate
simulate: ## simulate what can go wrong, from a fresh seed; FOR=10m says how long, or SEED=5 HISTORIES=1 which
	@go test ./controller/simulate -run '^TestHistories$$' -count=1 -v -timeout 0 -seed $(SEED) $(if $(HISTORIES),-histories $(HISTORIES),-for $(FOR)) $(if $(STORY),-story)

.PHONY: simulate-swarm
simulate-swarm: ## likewise, of tend on a Swarm
	@go test ./controller/swarm/simulate -run '^TestHistories$$' -count=1 -v -timeout 0 -seed $(SEED) $(if $(HISTORIES),-histories $(HISTORIES),-for $(FOR)) $(if $(STORY),-story)

.PHONY: simulate-swarm-bugs
simulate-swarm-bugs: ## likewise, with planted bugs
	@go test ./controller/swarm/simulate -run '^TestPlantedBugs$$' -count=1 -v -timeout 0 -search -seed $(SEED)

.PHONY: simulate-bugs
simulate-bugs: ## plant one bug after the other, and find it by simulation from a fresh seed, or SEED=5
	@go test ./controller/simulate -run '^TestPlantedBugs$$' -count=1 -v -timeout 0 -search -seed $(SEED)

.PHONY: lint
lint: $(BIN)/golangci-lint ## format, vet, lint
	@tools/lint.sh $(MODULES)

# What callers of gRPC were promised, which a change must keep: a commit or a branch.
AGAINST ?= main
BUF := npm exec --yes --package=@bufbuild/buf@1.75.0 -- buf
.PHONY: proto
proto: ## check the services' .proto files, also against AGAINST=main, and generate their code; needs npm
	@cd services && $(BUF) lint
	@cd services && $(BUF) breaking --against '../.git#ref=$(AGAINST),subdir=services'
	@cd services && $(BUF) generate

# Its packages are beside a copy of the sources: no tool that walks the repository meets them.
.PHONY: web
web: ## check the pages' sources and build them into services/web/dist; needs Node 18 or newer, and npm
	@mkdir -p build/web && rm -rf build/web/src build/web/dist
	@cp -R services/web/src services/web/package.json services/web/package-lock.json services/web/tsconfig.json services/web/build.mjs build/web/
	@cd build/web && npm ci --silent --no-fund --no-audit && npm run --silent build
	@rm -rf services/web/dist && cp -R build/web/dist services/web/ && cp -R build/web/testdata services/web/

.PHONY: check
check: lint setup-test images $(BIN)/docker-compose $(BIN)/nfpm $(BIN)/govulncheck ## lint, race tests, known vulnerabilities
	@tools/check.sh $(MODULES)

.PHONY: pictures
pictures: ## take the README's pictures of the page, with Chromium
	@taken=$$(mktemp -d) && TEND_PICTURES=$$taken go test ./api/page -run '^TestARolloutFinishes$$' -count=1 && \
		cp "$$taken"/page-light.png "$$taken"/page-dark.png docs/pictures/ && rm -r "$$taken"

.PHONY: release
release: $(BIN)/nfpm ## build what is released as VERSION=1.2.3, into build/release
	@deploy/release/build.sh $(VERSION) build/release

.PHONY: release-check
release-check: release ## the same, twice, from the last commit: fails where a byte differs
	@deploy/release/check.sh $(VERSION) build/release

.PHONY: sbom
sbom: build ## write what each program was built from beside it, as CycloneDX
	@go -C tools run ./sbom $(PROGRAMS:%=$(CURDIR)/$(BIN)/%)

.PHONY: mutate
mutate: ## change the planner in one place at a time, and see its tests fail
	@go -C tools build -o $(CURDIR)/$(BIN)/mutate ./mutate
	@$(BIN)/mutate -threshold 95 controller/plan -rapid.nofailfile

# How long make compare leaves each project alone before it looks, in Go's notation.
SETTLE ?= 5m
.PHONY: compare
compare: setup images $(BIN)/docker-compose ## run 60 projects by docker compose and by tend, each taken over by the other, and compare
	@go test ./e2e -run '^TestTendMakesWhatComposeMakes$$' -count=1 -parallel 60 -timeout 2h -compare.all -compare.settle $(SETTLE)

.PHONY: bench
bench: setup images $(BIN)/docker-compose ## compare tend with its peers, and write docs/benchmarks.md
	go -C bench run .

.PHONY: cases
cases: setup images ## update and break a copy of the shop under load, and write docs/reliability.md
	go -C bench run ./cases -output ../docs/reliability.md

.PHONY: publish
publish: setup-data $(BIN)/tend ## update and break a plain project with a published port under load, and write docs/reliability.md
	go -C bench run ./publish -output ../docs/reliability.md

# A model has no images and needs no engine.
.PHONY: demo
demo: $(if $(filter model,$(ENGINE)),,setup-test images) ## show a copy of the shop changed and broken under load, in about five minutes; STEP=1 waits for Enter, ENGINE=model needs no Docker
	@go run ./e2e/demo $(if $(STEP),-step) $(if $(filter model,$(ENGINE)),-model)

# How long make chaos and make chaos-data make faults, in Go's notation.
DURATION ?= 5m

.PHONY: chaos
chaos: setup images ## break the shop, tend and an engine of their own at random for DURATION (5m)
	@go build -o $(BIN)/chaos ./e2e/chaos
	@$(BIN)/chaos -duration $(DURATION)

.PHONY: chaos-data
chaos-data: setup-data $(BIN)/tend $(BIN)/docker-compose ## break projects without specs for DURATION (5m), count lost rows, and write docs/reliability.md
	go -C bench run ./data -duration $(DURATION) -output ../docs/reliability.md

.PHONY: setup-data
setup-data:
	@deploy/setup.sh --data

# The versions stand in this file.
$(PROGRAMS:%=$(BIN)/%) $(USER_RELEASES:%=$(BIN)/user-service-%) $(BIN)/docker-compose: Makefile

$(BIN)/tend: go.mod go.sum $(call sources,cmd controller state api)
	$(call go_build,.,./cmd/tend)

$(BIN)/gateway: $(call sources,services/gateway)
	$(call go_build,services/gateway,.,-X main.version=$(SHOP_VERSION))

$(SERVICES:%=$(BIN)/%): $(BIN)/%: services/go.mod services/go.sum $(call sources,services/cmd services/contracts services/internal services/web)
	$(call go_build,services,./cmd/$*,-X github.com/tendhq/tend/services/internal/version.Version=$(SHOP_VERSION))

$(USER_RELEASES:%=$(BIN)/user-service-%): $(BIN)/user-service-%: services/go.mod services/go.sum $(call sources,services/cmd services/contracts services/internal)
	$(call go_build,services,./cmd/user-service/$*,-X github.com/tendhq/tend/services/internal/version.Version=$*)

$(BIN)/docker-compose: tools/compose/go.mod tools/compose/go.sum
	$(call go_build,tools/compose,github.com/docker/compose/v2/cmd,-X github.com/docker/compose/v2/internal.Version=$(COMPOSE_VERSION))

$(BIN)/zincsearch: tools/zincsearch/go.mod tools/zincsearch/go.sum tools/zincsearch/main.go
	$(call go_build,tools/zincsearch,.)

$(BIN)/etcd: tools/etcd/go.mod tools/etcd/go.sum
	$(call go_build,tools/etcd,go.etcd.io/etcd/server/v3)

$(BIN)/kube-apiserver: tools/kube-apiserver/go.mod tools/kube-apiserver/go.sum
	$(call go_build,tools/kube-apiserver,k8s.io/kubernetes/cmd/kube-apiserver)

$(BIN)/golangci-lint: tools/go.mod tools/go.sum
	$(call go_build,tools,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

$(BIN)/nfpm: tools/nfpm/go.mod tools/nfpm/go.sum
	$(call go_build,tools/nfpm,github.com/goreleaser/nfpm/v2/cmd/nfpm)

$(BIN)/jaeger: tools/jaeger/go.mod tools/jaeger/go.sum
	$(call go_build,tools/jaeger,github.com/jaegertracing/jaeger/cmd/jaeger)

$(BIN)/govulncheck: tools/go.mod tools/go.sum
	$(call go_build,tools,golang.org/x/vuln/cmd/govulncheck)
