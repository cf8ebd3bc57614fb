# Targets of proxymap. `make` alone lists them.

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.7.0
FUZZTIME    ?= 60s

VERIFY = verify-lint verify-test verify-smoke verify-syscalls verify-long verify-e2e verify-race verify-chaos verify-race20 \
	verify-fuzz verify-soak verify-identity

.DEFAULT_GOAL := help
.PHONY: help build run test race portable lint lint-here fuzz bench benchstat bench-tools compare syscalls soak identity smoke verify $(VERIFY)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/proxymap
	$(GO) build -o bin/proxymap ./cmd/proxymap

run: build ## start a stub provider and the relay on ports 10201-10300, and print what to try
	@./bin/proxymap demo

# Of the loud packages, some tests load or measure the machine, and have it to themselves. All others run side by side.
LOUD = ./relay ./cmd/proxymap/internal/e2e ./bench/drive
ALONE = Allocates?Nothing|OneLoopDoes|LoopsGather|LoopsShare|TunnelsSpread|Collector|LeavePipes|TestChaos$$|ManyPorts|TestIdleTunnels|StalledPeers|TunnelsComeAndGo|MemoryReturns|TestScenarios
calm = $(filter-out $(LOUD:./%=proxymap/%),$(shell $(GO) list ./...))

test: ## run all tests, which lint vets; PROXYMAP_LONG=1 has the long ones run too
	$(GO) test -vet=off -p 1 $(calm) & calm=$$!; \
	$(GO) test -vet=off -skip '$(ALONE)' $(LOUD); loud=$$?; wait $$calm && exit $$loud
	$(GO) test -vet=off -p 1 -run '$(ALONE)' $(LOUD)

race: ## run all tests under the race detector
	$(GO) test -race $(calm)
	$(GO) test -race -p 1 $(LOUD)

portable: ## run the relay's tests on the portable poller, under the race detector
	$(GO) test -race -tags netpoll ./relay/...

lint: lint-here ## gofmt, go vet, staticcheck; go vet for other systems too
	GOOS=darwin $(GO) vet ./relay/... ./cmd/...
	GOOS=freebsd $(GO) vet ./relay/... ./cmd/...

lint-here: ## the same for this system alone, whose packages need not be compiled for others
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags netpoll ./relay/...
	$(GO) run $(STATICCHECK) ./...

fuzz: ## run each fuzzer for FUZZTIME (60s)
	@./.ci/fuzz $(FUZZTIME)

bench: ## run the micro-benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

compare: ## measure proxymap beside HAProxy and others; COMPARE='--against COMMIT' beside itself; see bench/README.md
	$(GO) run ./bench/compare $(COMPARE)

benchstat: ## micro-benchmarks of AGAINST=COMMIT and of the files as they are, in turn; BENCH=REGEXP PKG=./httpparse
	$(GO) run ./bench/micro --against '$(AGAINST)' --bench '$(or $(BENCH),.)' --package '$(or $(PKG),./httpparse)' --old-package '$(OLDPKG)' \
		--count '$(or $(COUNT),10)' --benchtime '$(or $(BENCHTIME),200ms)'

bench-tools: ## point wrk, ab and hey at a port with a stub behind it, as far as they are installed
	$(GO) run ./bench/compare --tools

syscalls: ## count system calls for each request with strace
	$(GO) run ./bench/compare --syscalls

soak: ## look whether proxymap stays as it was under mixed load, ten minutes; SOAK='--time 20s' for less
	$(GO) run ./bench/soak $(SOAK)

identity: ## look whether ports keep their sessions, 20 s; IDENTITY='--requests 10000000' for more, '--kill' for crashes too
	$(GO) run ./bench/identity $(IDENTITY)

smoke: build ## start the binary, ask it with curl, stop it
	./.ci/smoke bin/proxymap

verify: ## everything, the long way, in the steps below; a summary at the end
	@./.ci/verify $(VERIFY)

# Each step can be run alone; it prints its time. .ci/verify says what they do.
verify-lint: ## make lint
verify-test: ## make test
verify-smoke: ## make smoke
verify-syscalls: ## make syscalls, which fails where one of the numbers is above its budget
verify-long: ## what PROXYMAP_LONG=1 adds to the tests inside of packages
verify-e2e: ## what PROXYMAP_LONG=1 adds to those that run the program: kills, TIME_WAIT, scale, all of the browser's rows
verify-race: ## make race
verify-chaos: ## three minutes of the chaos test under the race detector
verify-race20: ## the relay's tests 20 times under the race detector, on both pollers
verify-fuzz: ## each fuzzer for 20 s
verify-soak: ## the soak, for two minutes
verify-identity: ## make identity with ten million requests, and for two minutes over kills
$(VERIFY):
	@./.ci/verify $@
