package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

// maxSecret is how large a secret in a file may be.
const maxSecret = 64 << 10

// secrets resolves references in the process that launches. Errors name the reference, never a value.
func secrets(lookup func(string) (string, bool)) func(string) (string, error) {
	return func(reference string) (string, error) {
		kind, name, _ := strings.Cut(reference, ":")
		switch kind {
		case "env":
			value, ok := lookup(name)
			if !ok {
				return "", fmt.Errorf("%s: the variable is not set in the process that launches (the daemon, where there is one)", reference)
			}
			return value, nil
		case "file":
			return secretFile(reference, name)
		}
		return "", fmt.Errorf("%s: only env:NAME and file:/PATH can be resolved on this machine", reference)
	}
}

// secretFile reads a file and takes one newline off its end, as editors and echo put one there.
func secretFile(reference, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", reference, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s: not a regular file", reference)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", reference, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", reference, err)
	case len(text) > maxSecret:
		return "", fmt.Errorf("%s: more than %d bytes", reference, maxSecret)
	}
	if strings.IndexByte(string(text), 0) >= 0 {
		return "", fmt.Errorf("%s: it has a NUL byte, which no variable can carry", reference)
	}
	value := strings.TrimSuffix(string(text), "\n")
	if value != string(text) {
		value = strings.TrimSuffix(value, "\r")
	}
	return value, nil
}

// jitter spreads a wait over half of it to all of it, so that those who wait do not come together.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d/2 + rand.N(d/2+1)
}
