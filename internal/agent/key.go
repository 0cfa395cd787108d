package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
)

// resultKey is the key of a result of the attempt with this prefix. A name that is a key as it is becomes
// itself; bytes that a key cannot have, and "%", become %XX; a name that is then too long becomes
// "~" and its SHA-256. Different names have different keys, and no key is a folder of another, because
// no file is one: a leading "~" is escaped too.
func resultKey(prefix, name string) string {
	prefix += dayfly.KeyResults
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == '%' || c == '\\' || (c == '~' && i == 0) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	if key := prefix + b.String(); bucket.CheckKey(key) == nil {
		return key
	}
	sum := sha256.Sum256([]byte(name))
	return prefix + "~" + hex.EncodeToString(sum[:])
}
