# Needs Go, git, gcc (for the race detector) and bash. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Linters are pinned in tools/go.mod and built on first use.
tool := go tool -modfile=tools/go.mod
# Tests run with -json so that skipped ones can be listed; testreport prints what go test would. pipefail keeps go test's exit code.
report := go run -C tools ./testreport

.PHONY: help build test race posix demo lint cross ci clean bench bench-peers bench-scale bench-guard bench-record stress lines fuzz

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build everything, and the demo into bin/
	go build ./...
	go build -o bin/ ./cmd/...

test: ## run all tests in random order, list the skipped ones at the end
	go test -json -shuffle=on ./... | $(report)

race: ## the same with the race detector
	go test -json -race -shuffle=on ./... | $(report)

posix: ## test the code for processes that Linux shares with macOS, without what Linux adds
	go vet -tags posixprocess ./process
	go test -race -shuffle=on -tags posixprocess ./process

demo: ## the main job: index real text while workers are killed, compare with the exact answer
	go run ./cmd/broker-demo run -verify -kill-every 500

lint: ## formatting, vet, linters, length of files
	@echo '== gofmt'; bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "$$bad"; exit 1; fi
	@echo '== vet'; go vet ./...
	@echo '== staticcheck'; $(tool) staticcheck -checks inherit,ST1016,ST1020,ST1021,ST1022 ./...
	@echo '== errcheck'; $(tool) errcheck -ignoretests -exclude tools/errcheck.txt ./...
	@echo '== ineffassign'; $(tool) ineffassign ./...
	@echo '== unparam'; $(tool) unparam ./...
	@echo '== misspell'; git grep --untracked -lIz '' | xargs -0 $(tool) misspell -error -locale US -i cancelled
	@echo '== files'; tools/check-files
	@echo '== tools'; cd tools; go vet ./...; go test ./...

cross: ## vet and build for Linux, macOS and Windows
	@for os in linux darwin windows; do \
		echo "== $$os"; \
		GOOS=$$os GOARCH=amd64 go vet ./...; \
		for arch in amd64 arm64; do GOOS=$$os GOARCH=$$arch go build ./...; done; \
	done

ci: ## everything that must pass before a change lands
	.ci/run

bench: ## a call beside the raw pipe it runs on
	cd bench && go run .

bench-peers: ## the same work by stdcrew and by others, side by side; tables and charts into docs/benchmarks
	mkdir -p bin/node
	@# Those that are not installed are left out by name. Python's are packages of distributions.
	npm install --prefix bin/node --no-save --no-audit --no-fund --prefer-offline workerpool@10.0.3 || echo 'npm did not install workerpool'
	cd bench && NODE_PATH=$(CURDIR)/bin/node/node_modules$${NODE_PATH:+:$$NODE_PATH} go run ./peers -out ../bin/peers.json
	cd bench && go run ./charts ../docs/benchmarks < ../bin/peers.json

bench-scale: ## many workers, many waiting callers, and calls that come when they come; takes ten minutes
	mkdir -p bin
	cd bench && go run ./scale -out ../bin/scale.json

bench-guard: ## has a call become dearer? Compare its ratios to the raw pipe with the recorded ones; half a minute, two at most
	mkdir -p bin
	cd bench && go build -o ../bin/peers ./peers && go run ./guard -peers ../bin/peers ../docs/benchmarks/guard.json

bench-record: ## record the ratios that bench-guard compares with; needs a quiet machine
	mkdir -p bin
	cd bench && go build -o ../bin/peers ./peers && go run ./guard -peers ../bin/peers -record ../docs/benchmarks/guard.json

stress: ## repeat the tests of what runs concurrently, on one core and on two
	go test -race -count=20 -cpu=1,2 -timeout=1h -skip=CallersLeave ./framing ./rpc ./pool ./process ./monitor ./worker ./broker ./broker/brokertest
	@# -stress.rounds is how often callers leave in each phase of a call; without it the tests do so 20 times.
	go test -race -cpu=1,2 -timeout=1h -run=CallersLeave ./rpc ./pool -stress.rounds=1000

lines: ## which tests hold the numbered lines of docs/, and which lines none holds
	@go run -C tools ./lines ..

fuzz: ## run every fuzz target for FUZZTIME, or all of them for ten minutes in total
	FUZZTIME=$(FUZZTIME) tools/fuzz

clean: ## remove what was built
	rm -rf bin
	go clean ./...
