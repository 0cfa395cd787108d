//go:build !race

package storetest

const defaultSize = 20_000
