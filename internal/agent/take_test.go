package agent_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dayfly-io/dayfly/internal/agent"
)

// slow is a log whose first write takes so long that meanwhile the job prints its last words and the time to read
// them passes.
type slow struct {
	t           *testing.T
	read, write *os.File
	strings.Builder
}

func (s *slow) Write(b []byte) (int, error) {
	if s.Len() == 0 {
		_, err := s.write.WriteString("last words\n")
		must(s.t, err)
		must(s.t, s.read.SetReadDeadline(time.Unix(1, 0)))
	}
	return s.Builder.Write(b)
}

// TestLastWordsOnASlowHost: what was printed in time is in the log, however late it is read, and who still holds the
// pipe open is not waited for.
func TestLastWordsOnASlowHost(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	must(t, err)
	defer read.Close()
	defer write.Close() // a process of the job that nobody can end
	_, err = write.WriteString("first words\n")
	must(t, err)
	s := &slow{t: t, read: read, write: write}
	agent.Take(s, read)
	if got := s.String(); got != "first words\nlast words\n" {
		t.Errorf("the log is %q", got)
	}
}
