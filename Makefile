# Everything a developer or a user types. `make demo` and `make test` are README's two commands; both work on a fresh
# Debian 12 machine as root and install what they need.

IMAGES ?= target/images
BINARY := target/release/isopod
SEED ?= 1
ROUNDS ?= 50
KILLS ?= 50
SEEDS ?= 10000
SECONDS ?= 600

.PHONY: build run demo test lint bench chaos linearizable sim sim-cluster fuzz clean-host tools

## build: the release binary
build:
	cargo build --release --locked -p isopod

## run: a cluster in the foreground, state under /var/lib/isopod
run: build
	$(BINARY) server

## demo: from nothing to a real Pod that serves a page, and what to type next
demo: tools
	./demo.sh

## test: everything CI runs
test: tools
	./test.sh

## lint: formatting and clippy, warnings are errors
lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

## bench: start-up, idle cost, Pod start, API speed, workloads on hollow nodes, scheduler throughput; prints figures and asserts nothing
bench: tools build
	./images/build.sh $(IMAGES)
	cargo run --release --locked -p xtask -- bench --binary $(BINARY) --images $(IMAGES)
	cargo bench --locked -p scheduler --bench throughput

## chaos: the fault campaign: `make chaos SEED=7 ROUNDS=300`
chaos: tools build
	./images/build.sh $(IMAGES)
	ISOPOD_BIN=$(abspath $(BINARY)) ISOPOD_CHAOS_SEED=$(SEED) ISOPOD_CHAOS_ROUNDS=$(ROUNDS) \
		cargo test --locked -p tests --test chaos

## linearizable: 20 clients compare and swap while the server is killed: `make linearizable SEED=7 KILLS=50`
linearizable: tools build
	./images/build.sh $(IMAGES)
	ISOPOD_BIN=$(abspath $(BINARY)) ISOPOD_LINEARIZABLE_SEED=$(SEED) ISOPOD_LINEARIZABLE_KILLS=$(KILLS) \
		cargo test --locked -p tests --test linearizable

## sim: random Pods against a fake runtime and a clock that only moves when all wait: `make sim SEED=7 SEEDS=500`
sim:
	ISOPOD_SIM_FIRST=$(SEED) ISOPOD_SIM_SEEDS=$(SEEDS) \
		cargo test --release --locked -p kubelet --lib simulation -- --nocapture

## sim-cluster: a whole cluster from one seed, in one thread under such a clock: `make sim-cluster SEED=7 SEEDS=500`
sim-cluster:
	ISOPOD_SIM_FIRST=$(SEED) ISOPOD_SIM_SEEDS=$(SEEDS) \
		cargo test --profile sim --locked -p sim --test simulation

## fuzz: every target so many seconds, one after the other: `make fuzz SEED=7 SECONDS=600`
fuzz:
	ISOPOD_FUZZ_SEED=$(SEED) ISOPOD_FUZZ_SECONDS=$(SECONDS) \
		cargo test --locked -p apiserver -p spdy --lib fuzz -- --nocapture --test-threads=1

## clean-host: stop the default cluster and remove everything isopod made on this host
clean-host:
	-[ ! -f target/demo/registry.pid ] || { kill $$(cat target/demo/registry.pid); rm target/demo/registry.pid; }
	$(BINARY) reset

## tools: Debian packages that building and testing need
tools:
	./tools.sh
