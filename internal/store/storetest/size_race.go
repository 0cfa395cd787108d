//go:build race

package storetest

// Under the race detector SQLite, which is compiled from C, is slower by far.
const defaultSize = 3_000
