package spec

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dayfly-io/dayfly"
)

// Settings are what DATA/dayfly.yaml says.
type Settings struct {
	Installation string // on every machine; empty where none has been made yet
	Bucket       string // a directory; empty for the one in the data directory
	Limits       dayfly.Limit
	Keep         dayfly.Keep // of jobs that say nothing of it
}

var installation = pattern(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

// LoadSettings reads DATA/dayfly.yaml, as strictly as a job file. The error is *Errors. An empty file,
// or one of comments, is right and says nothing.
func LoadSettings(name string, data []byte) (Settings, error) {
	var s Settings
	r, ok := newReader(name, data, settingsKeys)
	if ok {
		if root := r.parse(); root != nil {
			s = r.settings(value{n: root})
		}
	}
	if err := r.finish(); err != nil {
		return Settings{}, err
	}
	return s, nil
}

func (r *reader) settings(root value) (s Settings) {
	f, ok := r.mapping(root)
	if !ok {
		return s
	}
	if v, ok := f.get("installation"); ok {
		if s.Installation, ok = r.text(v); ok && !installation().MatchString(s.Installation) {
			r.bad(v, "up to 63 of A-Z, a-z, 0-9 and -", "%q is not the name of an installation", clip(s.Installation, 60))
		}
	}
	if v, ok := f.get("bucket"); ok {
		s.Bucket, _ = r.line(v)
		if scheme, _, found := strings.Cut(s.Bucket, "://"); found {
			r.fault(RuleUnserved, v.path, r.spanOf(v), fmt.Sprintf("buckets at %s:// are not part of this build", clip(scheme, 20)), "name a directory")
		}
	}
	if v, ok := f.get("limits"); ok {
		if f, ok := r.some(v); ok {
			if v, ok := f.get("machines"); ok {
				s.Limits.Machines, _ = r.number(v)
			}
		}
	}
	if v, ok := f.get("keep"); ok {
		s.Keep = r.keep(v)
	}
	for _, key := range []string{"ec2", "notify"} {
		if p, ok := r.places[key]; ok {
			k, _ := r.table.find(key)
			r.fault(RuleUnserved, key, p.key, key+": "+k.Missing, "remove it, or use a build that serves it")
		}
	}
	return s
}

// Marshal writes a fresh dayfly.yaml, with a comment on each key. [LoadSettings] reads the same back.
func (s Settings) Marshal() []byte {
	var b strings.Builder
	b.WriteString("# The settings of this data directory.\n")
	for _, k := range settingsKeys {
		line := ""
		switch {
		case k.Path == "installation" && s.Installation != "":
			line = "installation: " + quote(s.Installation)
		case k.Path == "bucket" && s.Bucket != "":
			line = "bucket: " + quote(s.Bucket)
		case k.Path == "limits" && s.Limits.Machines > 0:
			line = fmt.Sprintf("limits: {machines: %d}", s.Limits.Machines)
		case k.Path == "keep" && s.Keep != (dayfly.Keep{}):
			line = "keep: {" + strings.Join(keepWords(s.Keep), ", ") + "}"
		case k.Missing != "" || strings.Contains(k.Path, "."):
			continue
		default:
			line = "# " + k.Example
		}
		b.WriteString("\n# " + strings.TrimSpace(k.Doc+" "+k.More) + "\n" + line + "\n")
	}
	return []byte(b.String())
}

func keepWords(k dayfly.Keep) (words []string) {
	for _, part := range []struct {
		key string
		is  dayfly.Seconds
	}{{"results", k.Results}, {"logs", k.Logs}, {"history", k.History}} {
		if part.is != 0 {
			words = append(words, part.key+": "+part.is.Words())
		}
	}
	return words
}

// quote writes text between double quotes: JSON's are YAML's.
func quote(s string) string {
	b, _ := json.Marshal(s) // text is always JSON
	return string(b)
}
