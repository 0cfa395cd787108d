//go:build race

package fuzztest

// Raced tells that the race detector is on, which costs time and memory of its own.
const Raced = true
