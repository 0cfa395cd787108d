package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dayfly-io/dayfly/internal/durable/disktest"
)

// TestDemoReal runs scripts/demo as make demo does, as root and as an ordinary user, and believes nothing that it
// says: the digits are computed anew in another way.
func TestDemoReal(t *testing.T) {
	t.Parallel()
	top := demoTree(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	t.Run(me.Username, func(t *testing.T) {
		t.Parallel()
		demo(t, top, nil)
	})
	if os.Getuid() != 0 {
		return
	}
	t.Run("ordinary user", func(t *testing.T) {
		t.Parallel()
		hidden, err := os.MkdirTemp("/var/tmp", "dayfly-e2e-demo-*")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(hidden) })
		disk := filepath.Join(hidden, "disk")
		if err := os.Mkdir(disk, 0o755); err != nil {
			t.Fatal(err)
		}
		disktest.Mount(t, disk, "1m")
		if text := demo(t, top, ordinaryUser(t)); strings.Contains(text, hidden) {
			t.Errorf("a mount that the user cannot reach on the host either is spoken of:\n%s", text)
		}
	})
}

// demoTree makes a directory with what the demo needs of the source tree. It computes for a shorter time.
func demoTree(t *testing.T) string {
	t.Helper()
	h := newHome(t)
	path := h.example("pi", "DURATION: 5s", "DURATION: 500ms")
	top, err := os.MkdirTemp("/var/tmp", "dayfly-e2e-demo-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	for from, to := range map[string]string{h.bin: "bin/dayfly", "../../scripts/demo": "scripts/demo", path: "examples/pi/pi.yaml"} {
		text := read(t, from)
		to = filepath.Join(top, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(top, "examples/pi/bin/pie"), "../../examples/pi/pie")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	err = filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	})
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// said are the lines of the demo's messages, in their order.
var said = regexp.MustCompile(`^request recorded: pi-\S+Z\.n1
machine launched: (local/[0-9a-f]{32}), isolation (full|partial)
preparing
running
saving
machine gone
succeeded in (\S+) s, exit code 0
phases:   launched (\S+) s, prepared (\S+) s, ran (\S+) s, saved (\S+) s, ended (\S+) s
used:     CPU \S+ s, largest process \S+ MB
log:      (\d+) B, sha256 ([0-9a-f]{64})
results:  1 file, stored and verified; dayfly results pi-\S+ --to DIR copies them
  pi\.txt  \S+ kB  sha256 ([0-9a-f]{64})
(?:note: +\S.*
)*machine:  (local/[0-9a-f]{32}) was observed gone at \d\d:\d\d:\d\d\.\d{3}Z; nothing is left
$`)

// printed is what the demo prints: the job's log, and what the script adds.
var printed = regexp.MustCompile(`^(computing digits of π for 500ms
(?: *\d+\.\ds +\d+ digits …\d{10}
)*done: (\d+) digits in \d+\.\ds, the last ten (\d{10})
)
pi\.txt begins (3\.\d{62})…

The demo's own data directory is removed\. To keep what a run leaves:
  bin/dayfly run examples/pi/pi\.yaml
  bin/dayfly results pi --to DIR
$`)

// demo runs the script, looks at all that it says, and returns its messages.
func demo(t *testing.T, top string, who *syscall.Credential) string {
	t.Helper()
	tmp, err := os.MkdirTemp("/var/tmp", "dayfly-e2e-demo-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	if who != nil {
		if err := os.Chown(tmp, int(who.Uid), int(who.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(top, "scripts/demo"))
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + tmp, "HOME=/nonexistent", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), diag.String())
	}
	s, p := said.FindStringSubmatch(diag.String()), printed.FindStringSubmatch(out.String())
	if s == nil || p == nil {
		t.Fatalf("the demo said\n%sand printed\n%s", diag.String(), out.String())
	}
	if s[1] != s[12] {
		t.Errorf("%s was launched, %s was gone", s[1], s[12])
	}
	if who == nil && os.Getuid() == 0 && s[2] != "full" {
		t.Errorf("root has isolation %s", s[2])
	}
	took(t, s[3], s[4:9])
	if n, sum := fmt.Sprint(len(p[1])), sha256sum(p[1]); s[9] != n || s[10] != sum {
		t.Errorf("the log is said to be %s B, %s; it is %s B, %s", s[9], s[10], n, sum)
	}
	digits, err := strconv.Atoi(p[2])
	if err != nil || digits < 100 {
		t.Fatalf("%s digits: %v", p[2], err)
	}
	pi := machin(digits)
	if sum := sha256sum(pi + "\n"); s[11] != sum || !strings.HasPrefix(pi, p[4]) || !strings.HasSuffix(pi, p[3]) {
		t.Errorf("π to %d digits is %.64s…%s, %s; the demo said %s…%s, %s", digits, pi, pi[len(pi)-10:], sum, p[4], p[3], s[11])
	}
	if left := names(t, tmp); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
	for _, pid := range processesWith(tmp) {
		t.Errorf("process %d is left behind", pid)
	}
	if left := (&home{}).leftovers(strings.TrimPrefix(s[1], "local/")); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
	return diag.String()
}

// took compares how long the phases took with the whole, which ends with the job: as far as figures with one
// decimal can be compared.
func took(t *testing.T, whole string, phases []string) {
	t.Helper()
	var all [5]float64
	for i, text := range phases {
		var err error
		if all[i], err = strconv.ParseFloat(text, 64); err != nil || all[i] < 0 {
			t.Errorf("%q is no time", text)
		}
	}
	n, err := strconv.ParseFloat(whole, 64)
	if sum := all[0] + all[1] + all[2]; err != nil || math.Abs(sum-n) > 0.25 || all[2] < 0.1 {
		t.Errorf("it took %s s, and launching, preparing and running %.1f s of them: %s", whole, sum, phases)
	}
}

func sha256sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// machin is π with so many digits by Machin's formula, which shares nothing with the example's series.
func machin(digits int) string {
	const guard = 10
	one := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits-1+guard)), nil)
	arctan := func(x int64) *big.Int { // of 1/x
		power := new(big.Int).Div(one, big.NewInt(x))
		sum, term := new(big.Int).Set(power), new(big.Int)
		for n := int64(3); power.Sign() != 0; n += 2 {
			power.Div(power, big.NewInt(x*x))
			if term.Div(power, big.NewInt(n)); n%4 == 3 {
				sum.Sub(sum, term)
			} else {
				sum.Add(sum, term)
			}
		}
		return sum
	}
	pi := new(big.Int).Mul(arctan(5), big.NewInt(16))
	pi.Sub(pi, new(big.Int).Mul(arctan(239), big.NewInt(4)))
	text := pi.String()[:digits]
	return text[:1] + "." + text[1:]
}

// ordinaryUser is the account under which root shows what an ordinary user gets.
func ordinaryUser(t *testing.T) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("dayfly-test")
	if err != nil {
		t.Skip("no account dayfly-test; scripts/prepare makes it")
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
