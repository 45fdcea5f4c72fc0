# Thin targets; the scripts do the work and say what they install.
PREFIX ?= /usr/local
DESTDIR ?=
export PREFIX DESTDIR

.PHONY: build demo test check lint bench install
build:               ## the daemon and its tools, optimised
	packaging/prepare
	cargo build --release --locked -p pluto-actors -p pluto-whack

demo: build          ## two hosts, one tunnel, a ping through it; PROTOSTACK=xfrm or embedded
	tests/lab/demo

test:                ## everything: unit tests, simulation, laboratory
	tests/run

check: lint          ## the quick loop
	cargo test --workspace --locked --lib --bins

lint:
	packaging/prepare
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

bench: build         ## ours beside libreswan and strongSwan
	cargo build --release --locked -p pluto-tests --bin ikeload
	cargo build --release --locked -p pluto-kernel --example esp_tunnel
	tests/bench/run

install: build       ## make install DESTDIR=... PREFIX=/usr/local
	packaging/install
