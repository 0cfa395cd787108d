//go:build !race

package spec_test

const raced = false
