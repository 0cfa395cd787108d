package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/bucket/mem"
)

func result(t *testing.T, b bucket.Bucket, name, text string) dayfly.Result {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	r := dayfly.Result{Name: name, Mode: 0o644, Object: dayfly.Object{Key: "runs/x/" + hex.EncodeToString(sum[:]), Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}}
	if _, err := b.Put(t.Context(), r.Key, strings.NewReader(text), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCopyOutStaysInside(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../evil", "/evil", "a/../../evil", "a/../evil", "", ".", "..", "a//evil", "./evil"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, top := mem.New(time.Now), t.TempDir()
			to := filepath.Join(top, "to")
			good, evil := result(t, b, "good", "good"), result(t, b, name, "evil")
			n, err := copyOut(t.Context(), b, []dayfly.Result{good, evil}, to, true)
			if err == nil || n != 0 {
				t.Errorf("%d copied, %v", n, err)
			}
			for _, dir := range []string{top, to} {
				entries, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if e.Name() != "to" {
						t.Errorf("%s is there", filepath.Join(dir, e.Name()))
					}
				}
			}
		})
	}
}

func TestCopyOutKeepsBytesOfNames(t *testing.T) {
	t.Parallel()
	b, to := mem.New(time.Now), t.TempDir()
	r := result(t, b, "caf\uFFFD", "x")
	r.Raw, r.Mode = []byte("caf\xe9"), 0o6755
	if _, err := copyOut(t.Context(), b, []dayfly.Result{r}, to, false); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(to, "caf\xe9"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o755 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestCopyOutTakesNoHalf(t *testing.T) {
	t.Parallel()
	b, to := mem.New(time.Now), t.TempDir()
	r := result(t, b, "a", "x")
	r.SHA256 = strings.Repeat("0", 64)
	if _, err := copyOut(t.Context(), b, []dayfly.Result{r}, to, false); err == nil {
		t.Error("another SHA-256 was taken")
	}
	if left, _ := os.ReadDir(to); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
