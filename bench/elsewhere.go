//go:build !linux

package main

import "context"

// What is measured with namespaces, or beside programs for Linux, is left out elsewhere.

func floors(context.Context, bench) ([]figure, error) {
	return []figure{{skipped: "floors: they are those of Linux"}}, nil
}

func neighbours(context.Context, bench) ([]figure, error) {
	return []figure{{skipped: "neighbours: they are measured on Linux"}}, nil
}

func reexec([]string) error { return nil }
