// Package internal holds the rule by which packages may import one another,
// and the tests that keep it. A new edge needs a line with its reason.
package internal

// Packages are written without the module's path; dayfly is the root package.

// layers lists the packages from the bottom up. A package may import what
// stands in a lower layer, as far as plain says nothing else. A folder stands
// for everything below it.
var layers = [][]string{
	{"dayfly"},
	{"internal/schedule", "internal/archive", "internal/bell", "internal/term", "internal/durable", "internal/folder", "internal/agent/redact"},
	{"internal/spec", "internal/agent/joblog", "internal/crontab"},
	{"internal/store", "internal/machine", "internal/bucket"}, // the ports
	{
		"internal/store/sqlite", "internal/store/objects", "internal/store/fake",
		"internal/machine/local", "internal/machine/fake",
		"internal/bucket/dir", "internal/bucket/mem",
	}, // the adapters
	{"internal/reconcile", "internal/agent"},
	{"internal/daemon", "internal/metrics"},
	{"cmd"},
	{"internal/e2e"},
	{"examples"},
}

const adapters = 4 // the layer of the adapters

// testKits are conformance suites and oracles: they are imported by tests and
// by one another, never by what ships.
var testKits = []string{
	"internal/schedule/scheduletest", "internal/store/storetest",
	"internal/durable/disktest", "internal/machine/machinetest", "internal/bucket/buckettest", "internal/e2e/ptrace",
	"internal/fuzztest",
}

// An edge is an import that is allowed. One that goes up, sideways, or to an
// adapter from elsewhere than cmd says why.
type edge struct{ from, to, why string }

var edges = []edge{
	{"internal/spec", "dayfly", ""},
	{"internal/spec", "internal/schedule", ""},
	{"internal/spec", "internal/term", "a caret below a line stands where a terminal shows what is wrong"},
	{"internal/crontab", "dayfly", ""},
	{"internal/crontab", "internal/schedule", ""},
	{"internal/crontab", "internal/spec", "what it writes are job files, and what is wrong with a crontab is shown as with them"},
	{"internal/agent/joblog", "dayfly", ""},
	{"internal/agent/joblog", "internal/agent/redact", ""},
	{"internal/store", "dayfly", ""},
	{"internal/machine", "dayfly", ""},
	{"internal/store/sqlite", "dayfly", ""},
	{"internal/store/sqlite", "internal/store", ""},
	{"internal/store/sqlite", "internal/durable", "what it acknowledges must not hang on a directory that is not synced"},
	{"internal/store/objects", "dayfly", ""},
	{"internal/store/objects", "internal/store", ""},
	{"internal/store/objects", "internal/bucket", "the records lie in a bucket: it serves one port over another"},
	{"internal/store/fake", "dayfly", ""},
	{"internal/store/fake", "internal/store", ""},
	{"internal/machine/local", "dayfly", ""},
	{"internal/machine/local", "internal/machine", ""},
	{"internal/machine/fake", "dayfly", ""},
	{"internal/machine/fake", "internal/machine", ""},
	{"internal/bucket/dir", "internal/bucket", ""},
	{"internal/bucket/dir", "internal/durable", "the same"},
	{"internal/machine/local", "internal/durable", "what was started must not be forgotten at a power cut"},
	{"internal/bucket/mem", "internal/bucket", ""},
	{"internal/reconcile", "dayfly", ""},
	{"internal/reconcile", "internal/schedule", ""},
	{"internal/reconcile", "internal/store", ""},
	{"internal/reconcile", "internal/machine", ""},
	{"internal/reconcile", "internal/bucket", ""},
	{"internal/agent", "dayfly", ""},
	{"internal/agent", "internal/archive", ""},
	{"internal/agent", "internal/agent/redact", ""},
	{"internal/agent", "internal/agent/joblog", ""},
	{"internal/agent", "internal/machine", ""},
	{"internal/agent", "internal/bucket", ""},
	{"internal/daemon", "dayfly", ""},
	{"internal/daemon", "internal/reconcile", ""},
	{"internal/daemon", "internal/store", ""},
	{"internal/metrics", "dayfly", ""},
	{"internal/metrics", "internal/machine", ""},
	{"internal/metrics", "internal/reconcile", ""},
	{"cmd/dayfly", "dayfly", ""},
	{"cmd/dayfly", "internal/schedule", ""},
	{"cmd/dayfly", "internal/archive", ""},
	{"cmd/dayfly", "internal/bell", ""},
	{"cmd/dayfly", "internal/term", ""},
	{"cmd/dayfly", "internal/durable", ""},
	{"cmd/dayfly", "internal/folder", ""},
	{"cmd/dayfly", "internal/spec", ""},
	{"cmd/dayfly", "internal/crontab", ""},
	{"cmd/dayfly", "internal/store", ""},
	{"cmd/dayfly", "internal/machine", ""},
	{"cmd/dayfly", "internal/bucket", ""},
	{"cmd/dayfly", "internal/store/sqlite", ""},
	{"cmd/dayfly", "internal/machine/local", ""},
	{"cmd/dayfly", "internal/bucket/dir", ""},
	{"cmd/dayfly", "internal/reconcile", ""},
	{"cmd/dayfly", "cmd/internal/agentmain", "dayfly is its own agent where it was built without the small one"},
	{"cmd/dayfly-agent", "cmd/internal/agentmain", "the same processes, in a program of its own"},
	{"cmd/internal/agentmain", "internal/bell", ""},
	{"cmd/internal/agentmain", "internal/machine/local", ""},
	{"cmd/internal/agentmain", "internal/bucket/dir", ""},
	{"cmd/internal/agentmain", "internal/agent", ""},
	{"cmd/dayfly", "internal/daemon", ""},
	{"cmd/dayfly", "internal/metrics", ""},
}

// A dependency is a module of others and the packages that may import it.
type dependency struct {
	module string
	by     []string // none: tests only
	why    string
}

var dependencies = []dependency{
	{"github.com/spf13/cobra", []string{"cmd"}, "commands are cmd's; what they call knows no flags"},
	{"golang.org/x/term", []string{"cmd"}, "only commands talk to a terminal"},
	{"github.com/rivo/uniseg", []string{"internal/term"}, "how wide characters are; a table of Unicode's, wrapped in one package"},
	{"go.yaml.in/yaml", []string{"internal/spec"}, "young: wrapped in one package"},
	{"modernc.org/sqlite", []string{"internal/store/sqlite"}, "the database of one adapter"},
	{"github.com/aws/aws-sdk-go-v2", []string{"internal/machine/ec2", "internal/bucket/s3", "internal/awsdeploy"}, "huge, and only these call the cloud"},
	{"golang.org/x/sync", []string{"cmd", "internal/reconcile", "internal/agent"}, "a bounded number of goroutines at once"},
	{"golang.org/x/sys", []string{"internal/machine/local", "internal/store/sqlite", "internal/bucket/dir", "internal/bell", "internal/folder", "internal/daemon", "cmd"}, "system calls that syscall lacks"},
	{"github.com/prometheus", []string{"internal/metrics"}, "what is counted is told to interfaces of our own"},
	{"github.com/spf13/pflag", []string{"cmd"}, "cobra's flags, and what is wrong with their values"},
	{"github.com/google/go-cmp", nil, ""},
	{"pgregory.net/rapid", nil, ""},
	{"github.com/rogpeppe/go-internal", nil, ""},
	{"github.com/santhosh-tekuri/jsonschema", nil, ""},
}

// unreachable lists what a package must not reach even through others.
var unreachable = []struct {
	from string
	to   []string
	why  string
}{
	{"internal/agent", []string{"internal/store", "internal/web", "internal/api", "internal/reconcile", "github.com/aws/", "modernc.org/"}, "the agent runs at the machine: no store, no web, no cloud SDK"},
	{"cmd/dayfly-agent", []string{"internal/store", "internal/spec", "internal/schedule", "internal/reconcile", "github.com/", "go.yaml.in/", "modernc.org/"}, "a small program begins at once, and it is begun twice for each run"},
	{"internal/reconcile", []string{"internal/agent", "os/exec", "net/http", "modernc.org/", "github.com/aws/"}, "a pass acts through ports only"},
}

// pure lists packages without input and output, and what they may not import.
var pure = []string{"dayfly", "internal/schedule", "internal/spec", "internal/crontab", "internal/term", "internal/agent/redact"}

var impure = []string{"os", "os/*", "net", "net/http", "net/http/*", "net/rpc", "net/smtp", "syscall", "io/ioutil", "log", "log/*", "plugin", "runtime/debug", "crypto/rand", "math/rand", "math/rand/*", "testing"}

// clockless lists packages that are told the time and never ask or wait for it.
var clockless = []string{"dayfly", "internal/schedule", "internal/spec", "internal/crontab", "internal/reconcile"}
