package buckettest

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dayfly-io/dayfly/internal/bucket"
)

func keys(t *testing.T, b bucket.Bucket) {
	long := strings.Repeat("k", bucket.MaxComponent)
	good := []string{
		"a", "A", "-", "~", "...", ".hidden", "a.", "-rf", "a=b&c?d#e%20", "*", "'\"`$(id)", "con", "lock", "log~", "a:b", "[a]{b}|c<d>;e,f@g!h^i+j",
		long, long + "/" + long + "/" + long + "/" + strings.Repeat("k", 127) + "/" + strings.Repeat("k", 128), // MaxKey bytes
		strings.Repeat("d/", 400) + "o",
	}
	for _, key := range good {
		if key == long {
			key = "x/" + key // not a folder of the next
		}
		put(t, b, key, "of "+key)
	}
	for _, key := range good {
		if key == long {
			key = "x/" + key
		}
		if got := get(t, b, key); got != "of "+key {
			t.Errorf("%q holds %q", key, got)
		}
	}
	before := list(t, b, "", "")
	same(t, "number of objects", len(before), len(good))

	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a b", " ", "a\\b", "a\nb", "a\x00b", "a\x7f", "é", "\xff",
		long + "k", strings.Repeat("d/", 512) + "o",
	} {
		_, err := b.Put(t.Context(), key, strings.NewReader("x"), always)
		wantErr(t, fmt.Sprintf("put %.40q", key), err, bucket.ErrKey)
		_, err = b.Get(t.Context(), key, 0, -1)
		wantErr(t, fmt.Sprintf("get %.40q", key), err, bucket.ErrKey)
		_, err = b.Stat(t.Context(), key)
		wantErr(t, fmt.Sprintf("stat %.40q", key), err, bucket.ErrKey)
		wantErr(t, fmt.Sprintf("delete %.40q", key), b.Delete(t.Context(), key), bucket.ErrKey)
	}
	same(t, "what is there afterwards", list(t, b, "", ""), before)
}

// sorted is a set of keys whose order by folders is not their order by bytes.
var sorted = func() []string {
	list := []string{"a-b", "a/b", "a/b-c/d", "a/b/x", "a.c", "a0", "a/c", "a", "A/z", "b", "b!/x", "b/1", "b/10", "b/2", "z/y/x", "z/y-/x", "z/y./x", "z/y0/x"}
	list = slices.DeleteFunc(list, func(k string) bool { // no key that is a folder of another
		return slices.ContainsFunc(list, func(l string) bool { return strings.HasPrefix(l, k+"/") })
	})
	slices.Sort(list)
	return list
}()

func listOrder(t *testing.T, b bucket.Bucket) {
	same(t, "an empty bucket", list(t, b, "", ""), nil)
	for i := range sorted {
		put(t, b, sorted[(i*7+3)%len(sorted)], "x")
	}
	same(t, "all", list(t, b, "", ""), sorted)
	chunks := make([]string, 0, 120)
	for i := range cap(chunks) {
		chunks = append(chunks, fmt.Sprintf("z/chunks/%06d", i+1))
		put(t, b, chunks[i], "x")
	}
	same(t, "many in a folder", list(t, b, "z/chunks/", ""), chunks)
}

func listPart(t *testing.T, b bucket.Bucket) {
	for _, key := range sorted {
		put(t, b, key, "x")
	}
	var prefixes []string
	for _, key := range sorted {
		for i := range len(key) + 1 {
			prefixes = append(prefixes, key[:i], key[:i]+"/", key[:i]+"~")
		}
	}
	slices.Sort(prefixes)
	afters := append([]string{"", "a/", "a/b/", "zz", "a-", "z/y", "z/y/"}, sorted...)
	for _, prefix := range slices.Compact(prefixes) {
		for _, after := range afters {
			var want []string
			for _, key := range sorted {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			same(t, fmt.Sprintf("prefix %q after %q", prefix, after), list(t, b, prefix, after), want)
		}
	}
	for range b.List(t.Context(), "", "") {
		break // leaving early leaves nothing locked
	}
	put(t, b, "zz", "x")
	for _, prefix := range []string{"../", "/", "a/../", ".", "a//", "\x00", "é"} {
		same(t, fmt.Sprintf("prefix %q", prefix), list(t, b, prefix, ""), nil)
	}
}

// listWhile: what is there all the time is listed exactly once, in order, whatever comes and goes.
func listWhile(t *testing.T, b bucket.Bucket) {
	for i := range 20 {
		put(t, b, fmt.Sprintf("stay/%02d/o", i), "x")
	}
	var done atomic.Bool
	race(3, func(i int) bool {
		if i == 0 {
			for range 20 {
				var stayed []string
				last := ""
				for info, err := range b.List(t.Context(), "stay/", "") {
					if err != nil {
						t.Errorf("list: %v", err)
						break
					}
					if info.Key <= last {
						t.Errorf("%s is listed after %s", info.Key, last)
					}
					last = info.Key
					if strings.HasSuffix(info.Key, "/o") {
						stayed = append(stayed, info.Key)
					}
				}
				if len(stayed) != 20 {
					t.Errorf("%d of 20 were listed", len(stayed))
				}
			}
			done.Store(true)
			return true
		}
		for n := 0; !done.Load(); n++ {
			key := fmt.Sprintf("stay/%02d/come/%d/go", n%20, i)
			put(t, b, key, "x")
			if err := b.Delete(t.Context(), key); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
		return true
	})
}

func prefixFolder(t *testing.T, b bucket.Bucket) {
	put(t, b, "a", "object")
	put(t, b, "d/e/f", "object")
	for _, c := range []bucket.Condition{{}, {IfAbsent: true}} {
		for _, key := range []string{"a/b", "a/b/c", "d", "d/e", "d/e/f/g"} {
			_, err := b.Put(t.Context(), key, strings.NewReader("x"), c)
			wantErr(t, fmt.Sprintf("put %s %+v", key, c), err, bucket.ErrKey)
		}
	}
	same(t, "what is there", list(t, b, "", ""), []string{"a", "d/e/f"})
	same(t, "an object", get(t, b, "a"), "object")

	// What is deleted no longer stands in the way.
	for _, key := range []string{"a", "d/e/f"} {
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	put(t, b, "a/b/c", "x")
	put(t, b, "d", "x")
	same(t, "after deletes", list(t, b, "", ""), []string{"a/b/c", "d"})
}

// raceFolder: of a key and a key below it, put at once, exactly one is there.
func raceFolder(t *testing.T, b bucket.Bucket) {
	for round := range 15 {
		base := fmt.Sprintf("r/%d", round)
		pair := []string{base, base + "/x/y"}
		winners := race(8, func(i int) bool {
			_, err := b.Put(t.Context(), pair[i%2], strings.NewReader("x"), bucket.Condition{IfAbsent: true})
			return err == nil
		})
		if got := list(t, b, base, ""); winners != 1 || len(got) != 1 {
			// r/1 is a prefix of r/10 too, but rounds go up
			t.Errorf("%d of %v succeeded, and there is %v", winners, pair, got)
		}
	}
}

func remove(t *testing.T, b bucket.Bucket) {
	for _, key := range []string{"d/e/f", "d/e/g", "d/h", "i"} {
		put(t, b, key, "x")
	}
	for _, step := range []struct {
		key  string
		left []string
	}{
		{"d/e", []string{"d/e/f", "d/e/g", "d/h", "i"}},
		{"d/e/f", []string{"d/e/g", "d/h", "i"}},
		{"d/e/f", []string{"d/e/g", "d/h", "i"}},
		{"d/e/g", []string{"d/h", "i"}},
		{"d/h", []string{"i"}},
		{"i", nil},
	} {
		if err := b.Delete(t.Context(), step.key); err != nil {
			t.Fatal(err)
		}
		same(t, "after deleting "+step.key, list(t, b, "", ""), step.left)
	}
	put(t, b, "d/e/f", "back")
	same(t, "what came back", get(t, b, "d/e/f"), "back")
}

// raceDelete: folders that empty and fill at once lose no object.
func raceDelete(t *testing.T, b bucket.Bucket) {
	const each = 40
	race(4, func(i int) bool {
		for n := range each {
			key := fmt.Sprintf("d/e/f/%d", i)
			if _, err := b.Put(t.Context(), key, strings.NewReader("x"), always); err != nil {
				t.Errorf("put beside deletes: %v", err)
			}
			if _, err := b.Stat(t.Context(), key); err != nil {
				t.Errorf("an acknowledged object: %v", err)
			}
			if n < each-1 {
				if err := b.Delete(t.Context(), key); err != nil {
					t.Errorf("delete beside puts: %v", err)
				}
			}
		}
		return true
	})
	same(t, "what is there", list(t, b, "", ""), []string{"d/e/f/0", "d/e/f/1", "d/e/f/2", "d/e/f/3"})
}
