package schedule_test

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/schedule"
)

func TestLoadLocation(t *testing.T) {
	t.Parallel()
	for name, hint := range map[string]string{
		"Europe/Talinn":                        "did you mean Europe/Tallinn?",
		"europe/tallinn":                       "did you mean Europe/Tallinn?",
		"tallin":                               "did you mean Europe/Tallinn?",
		"America/New York":                     "did you mean America/New_York?",
		"Tokio":                                "did you mean Asia/Tokyo?",
		"utc":                                  "did you mean UTC?",
		"GMT+2":                                "an offset is no zone; name a place, such as Europe/Tallinn",
		"+02:00":                               "an offset is no zone; name a place, such as Europe/Tallinn",
		"PST":                                  "names are those of the IANA database, such as UTC or Europe/Tallinn",
		"../etc/passwd":                        "names are those of the IANA database, such as UTC or Europe/Tallinn",
		"Europe":                               "names are those of the IANA database, such as UTC or Europe/Tallinn",
		"Europe/":                              "names are those of the IANA database, such as UTC or Europe/Tallinn",
		"Local":                                "name the zone, such as Europe/Tallinn",
		"":                                     "write an IANA name such as UTC or Europe/Tallinn",
		strings.Repeat("Europe/Tallinn", 1000): "",
	} {
		loc, err := schedule.LoadLocation(name)
		var e *schedule.Error
		if !errors.As(err, &e) || e.Field != "timezone" || e.Hint != hint {
			t.Errorf("LoadLocation(%.20q) = %v, %+v; want hint %q", name, loc, err, hint)
		}
	}
}

func TestEveryNameLoads(t *testing.T) {
	t.Parallel()
	for _, name := range zoneNames(t) {
		loc := location(t, name)
		if loc.String() != name {
			t.Errorf("%s calls itself %s", name, loc)
		}
		if again := location(t, name); again != loc {
			t.Errorf("%s is loaded twice", name)
		}
	}
}

func TestUTCIsTimeUTC(t *testing.T) {
	t.Parallel()
	if location(t, "UTC") != time.UTC {
		t.Error("UTC is another UTC")
	}
	s, err := schedule.Parse("0 0 * * *", schedule.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if at, _ := s.Next(date(2026, 1, 1)); at != date(2026, 1, 2) {
		t.Errorf("%#v is not what time.Date makes", at)
	}
}

func TestTheHostsZoneIsRefused(t *testing.T) {
	t.Parallel()
	_, err := schedule.Parse("0 0 * * *", schedule.Options{Location: time.Local})
	var e *schedule.Error
	if !errors.As(err, &e) || e.Field != "timezone" {
		t.Errorf("Parse in time.Local: %v", err)
	}
}

func TestAFixedZone(t *testing.T) {
	t.Parallel()
	s, err := schedule.Parse("0 0 * * *", schedule.Options{Location: time.FixedZone("MARS", 37*60)})
	if err != nil {
		t.Fatal(err)
	}
	if at, _ := s.Next(date(2026, 1, 1)); at.Format(time.RFC3339) != "2026-01-02T00:00:00+00:37" {
		t.Errorf("Next = %s", at)
	}
}

// TestTheHostsZonesAreNotRead gives the time package another database, in which all zones of the vectors are UTC.
func TestTheHostsZonesAreNotRead(t *testing.T) {
	t.Parallel()
	const marker = "DAYFLY_TEST_OTHER_ZONES"
	if os.Getenv(marker) != "" { // this is the process with the other zones
		if loc, err := time.LoadLocation("Europe/Tallinn"); err != nil || date(2026, 1, 1).In(loc).Hour() != 0 {
			t.Errorf("the zones of the host were not replaced: %v, %v", loc, err)
		}
		return
	}
	dir := t.TempDir()
	utc := readZone(t, "UTC")
	for _, v := range vectors(t) {
		file := filepath.Join(dir, filepath.FromSlash(v.TZ))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, utc, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^(TestVectors|TestTheHostsZonesAreNotRead)$", "-test.count=1")
	command.Env = append(os.Environ(), marker+"=1", "ZONEINFO="+dir, "TZ=America/New_York")
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("with other zones on the host: %v\n%s", err, out)
	}
}

func readZone(t *testing.T, name string) []byte {
	t.Helper()
	r, err := zip.OpenReader("tzdata/zoneinfo.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := fs.ReadFile(r, name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestReadmeNamesTheZoneData: the checksum that is written down is that of the file.
func TestReadmeNamesTheZoneData(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("tzdata/zoneinfo.zip")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("tzdata/README.md")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if !strings.Contains(string(readme), hex.EncodeToString(sum[:])) || !strings.Contains(string(readme), schedule.Release) {
		t.Errorf("tzdata/README.md does not name %s and checksum %x", schedule.Release, sum)
	}
}
