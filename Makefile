# Targets of proxymap. `make` alone lists them.

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.7.0
FUZZTIME    ?= 60s
FUZZERS      = ./httpparse ./session ./session/credential ./session/credential/pattern ./relay/hostrule ./relay/socks ./cmd/proxymap/internal/settings

.DEFAULT_GOAL := help
.PHONY: help build run test race portable lint fuzz bench benchstat bench-tools compare syscalls soak smoke verify

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/proxymap
	$(GO) build -o bin/proxymap ./cmd/proxymap

run: build ## start a stub provider and the relay on ports 10201-10300, and print what to try
	@./bin/proxymap demo

test: ## run all tests; one package after the other, for some of them load the machine
	$(GO) test -p 1 ./...

race: ## run all tests under the race detector
	$(GO) test -race -p 1 ./...

portable: ## run the relay's tests on the portable poller, under the race detector
	$(GO) test -race -tags netpoll ./relay/...

lint: ## gofmt, go vet, staticcheck; for other systems too
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags netpoll ./relay/...
	GOOS=darwin $(GO) vet ./relay/... ./cmd/proxymap
	GOOS=freebsd $(GO) vet ./relay/... ./cmd/proxymap
	$(GO) run $(STATICCHECK) ./...

fuzz: ## run each fuzzer for FUZZTIME (60s)
	@set -e; for p in $(FUZZERS); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done

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

smoke: build ## start the binary, ask it with curl, stop it
	./.ci/smoke bin/proxymap

verify: lint test smoke syscalls ## everything, the long way: run before calling something done
	PROXYMAP_LONG=1 $(GO) test -run 'TestTimeWait|TestTunnelsComeAndGo|TestStateOverKills' -count=1 ./cmd/proxymap
	PROXYMAP_LONG=1 $(GO) test -race -run TestChaos -count=1 ./relay
	$(GO) test -race -p 1 ./...
	$(GO) test -race -timeout 40m -count=20 ./relay
	$(GO) test -race -timeout 40m -count=20 -tags netpoll ./relay/...
	$(MAKE) fuzz
	$(MAKE) soak SOAK='--time 2m'
