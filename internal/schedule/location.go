package schedule

import (
	"archive/zip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Release is the release of the IANA time zone database that is embedded.
const Release = "2025c"

//go:embed tzdata/zoneinfo.zip
var zoneinfo string

var (
	// archive maps the name of each embedded zone to its file.
	archive = sync.OnceValues(openArchive)
	// loaded maps a zone's name to its *zone, so that each is read and unrolled once in the life of a process.
	loaded sync.Map
)

// LoadLocation gives the zone with this IANA name, from the embedded copy. The same name gives the same pointer.
// An unknown name is an *Error whose hint is the nearest name there is; so are "" and "Local", since the zone of
// the host is nothing that a schedule may depend on.
func LoadLocation(name string) (*time.Location, error) {
	z, err := loadZone(name)
	if err != nil {
		return nil, err
	}
	return z.location, nil
}

// Zones are the names of all zones that are embedded, sorted.
func Zones() []string {
	files, err := archive()
	if err != nil {
		return nil // LoadLocation says why
	}
	return sortedNames(files)
}

func loadZone(name string) (*zone, error) {
	if z, ok := loaded.Load(name); ok {
		return z.(*zone), nil
	}
	location, err := readLocation(name)
	if err != nil {
		return nil, err
	}
	z, _ := loaded.LoadOrStore(name, newZone(location))
	return z.(*zone), nil
}

// zoneOf gives the unrolled zone of a location: the shared one for those of LoadLocation, else one made for it.
func zoneOf(location *time.Location) (*zone, error) {
	switch location {
	case nil, time.UTC:
		return loadZone("UTC")
	case time.Local:
		return nil, localZone()
	}
	if z, ok := loaded.Load(location.String()); ok && z.(*zone).location == location {
		return z.(*zone), nil
	}
	return newZone(location), nil
}

func readLocation(name string) (*time.Location, error) {
	switch name {
	case "":
		return nil, &Error{Field: "timezone", Problem: "the name of the zone is empty", Hint: "write an IANA name such as UTC or Europe/Tallinn"}
	case "Local":
		return nil, localZone()
	case "UTC":
		return time.UTC, nil
	}
	files, err := archive()
	if err != nil {
		return nil, err
	}
	file, ok := files[name]
	if !ok {
		return nil, &Error{Field: "timezone", Problem: fmt.Sprintf("there is no time zone %.80q", name), Hint: suggestZone(name, files)}
	}
	data, err := readAll(file)
	if err != nil {
		return nil, fmt.Errorf("read embedded time zone %s: %w", name, err)
	}
	return time.LoadLocationFromTZData(name, data)
}

func localZone() *Error {
	return &Error{Field: "timezone", Problem: "the zone of the host is not used", Hint: "name the zone, such as Europe/Tallinn"}
}

func openArchive() (map[string]*zip.File, error) {
	r, err := zip.NewReader(strings.NewReader(zoneinfo), int64(len(zoneinfo)))
	if err != nil {
		return nil, fmt.Errorf("open embedded time zones: %w", err)
	}
	files := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		if !f.FileInfo().IsDir() {
			files[f.Name] = f
		}
	}
	return files, nil
}

func readAll(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// suggestZone is the hint for a name that is not there: the nearest one by spelling, the place's own name counting
// as much as the whole ("tallin" is near Europe/Tallinn), or "" when nothing is near.
func suggestZone(name string, files map[string]*zip.File) string {
	if len(name) > 40 {
		return ""
	}
	given := strings.ToLower(strings.ReplaceAll(name, " ", "_"))
	if strings.HasPrefix(given, "utc") || strings.HasPrefix(given, "gmt") || strings.ContainsAny(given[:1], "+-") {
		if strings.ContainsAny(given, "+-") {
			return "an offset is no zone; name a place, such as Europe/Tallinn"
		}
	}
	best, bestDistance := "", 1+len(given)/4
	for _, known := range sortedNames(files) {
		if strings.HasPrefix(known, "Etc/GMT") {
			continue // Etc/GMT+2 is two hours west of Greenwich, which is not what GMT+2 was meant to be.
		}
		lower := strings.ToLower(known)
		d := distance(given, lower)
		if !strings.Contains(given, "/") {
			place := lower[strings.LastIndexByte(lower, '/')+1:]
			d = min(d, distance(given, place))
		}
		if d < bestDistance || d == bestDistance && len(known) < len(best) {
			best, bestDistance = known, d
		}
	}
	if best == "" {
		return "names are those of the IANA database, such as UTC or Europe/Tallinn"
	}
	return "did you mean " + best + "?"
}

func sortedNames(files map[string]*zip.File) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// distance is the number of letters to insert, drop, change or swap with their neighbour to get from a to b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
