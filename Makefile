# Everything here needs Go (the version in go.mod) and make, nothing else; what a
# target can use beyond that, it says when it is missing.

GO       ?= go
# Go writes the version into the binary, from the tags, where git can read them;
# without git, or in a tree of somebody else's, the version says only (devel).
STAMP    := $(if $(shell git describe --always 2>/dev/null),true,false)
FUZZTIME ?= 30s
JOBS     ?= 2

# No C compiler is needed and the binary runs on any Linux, whatever its libc.
export CGO_ENABLED ?= 0
# Not FUZZ and RACED: make would export them empty where nobody has set them.
export GO FUZZTIME STAMP

.PHONY: help build demo man docs test check mutants kill9 powercut faults soak bench fuzz vuln clean

help: ## say what there is to make
	@echo 'make TARGET'
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  \1	\2/p' Makefile | expand -t 12

build: ## bin/dayfly, static, with the small agent in it
	scripts/build bin/dayfly

demo: build ## run the sample job, digits of π, on a machine of its own
	@$(GO) build -trimpath -ldflags '-s -w' -o examples/pi/bin/pie ./examples/pi/pie
	@scripts/demo

man: build ## the manual pages, in dist/man
	@bin/dayfly man dist/man

docs: ## what is written by the program: cli.md, jobfile.md, the schema, what errors show
	@$(GO) test ./cmd/dayfly ./internal/spec -run 'TestDocs|TestPublished|TestReference|TestErrorsAsShown' -update -count=1

test: bin/tools/testsum ## run every test; RACED='' leaves out the race detector
	@scripts/prepare
	@scripts/test

check: ## format, vet, staticcheck, import directions, modules, patches, scripts
	@scripts/check

mutants: bin/tools/mutants ## show that the tests can fail; ONLY=name, WRITE=1, JOBS=2
	@bin/tools/mutants -jobs $(JOBS) -build '$(GO) build ./... && $(GO) -C tools build ./...' \
		$(if $(WRITE),-write docs/promises.md) $(ONLY)

kill9: ## kill -9 at every system call of one run; ONLY=regexp picks some
	@scripts/prepare
	@$(GO) test ./internal/e2e -run '^TestKill9Real$$' -count=1 -v -timeout 2h -e2e.kill9=0 $(if $(ONLY),-e2e.kill9.only='$(ONLY)')

faults: ## a disk that fails at every system call of one run; ONLY=regexp picks some
	@scripts/prepare
	@$(GO) test ./internal/e2e -run '^Test(Faults|DeadDisk)Real$$' -count=1 -v -timeout 3h -e2e.faults=0 $(if $(ONLY),-e2e.faults.only='$(ONLY)')

powercut: ## power cuts at every moment of a day; CUTS=number draws so many
	@$(GO) test ./internal/e2e -run '^TestPowerCutReal$$' -count=1 -v -timeout 2h -e2e.cuts=$(or $(CUTS),0)

soak: ## a daemon under load for SOAK=10m: what it holds must not grow
	@$(GO) test ./internal/e2e -run '^TestSoakReal$$' -count=1 -v -timeout 0 -e2e.soak=$(or $(SOAK),10m)

bench: build ## measure speed, beside gates and floors; BENCH='-n 100 launch'
	$(GO) -C bench run . $(BENCH)
	$(GO) -C bench test -bench Next

fuzz: ## each fuzz target for FUZZTIME=30s; FUZZ=regexp picks some
	@scripts/fuzz

vuln: ## known vulnerabilities that are reached (asks vuln.go.dev)
	$(GO) tool -modfile=tools/go.mod govulncheck ./...

clean: ## remove what was built
	rm -rf bin dist examples/pi/bin

# Always built: go knows better than make what has changed.
.PHONY: bin/tools/testsum bin/tools/mutants
bin/tools/testsum bin/tools/mutants:
	@$(GO) -C tools build -o ../$@ ./$(@F)
