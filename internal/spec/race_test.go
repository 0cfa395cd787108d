//go:build race

package spec_test

// raced: the race detector costs time and memory of its own, so neither can be measured.
const raced = true
