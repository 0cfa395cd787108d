package bucket

import (
	"fmt"
	"strings"
)

// Limits of a key.
const (
	MaxKey       = 1024 // bytes
	MaxComponent = 255  // bytes between two slashes
)

// CheckKey tells why a text is not a key, as ErrKey. Every implementation asks it first.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("key of %d bytes (at most %d): %w", len(key), MaxKey, ErrKey)
	}
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c > '~' || c == '\\' {
			return fmt.Errorf("%q, byte %d: %w", key, i+1, ErrKey)
		}
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || len(part) > MaxComponent {
			return fmt.Errorf("%q, its part %q: %w", key, part, ErrKey)
		}
	}
	return nil
}
