package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What a process has in the machines' folder only while it works on it carries the name of the process,
// so that others can remove it when that was killed in the middle.

// temporary is the beginning of the names of what this process has under a prefix.
func temporary(prefix string) (string, error) {
	r, err := recordOf(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("name a temporary file: %w", err)
	}
	return fmt.Sprintf("%s%d-%d-", prefix, r.PID, r.Start), nil
}

// tidy removes what has such a name of a process that is no more. What has another is nobody's here.
func (p *Provider) tidy(ctx context.Context, name string) error {
	for _, prefix := range []string{prefixMaking, prefixRemoving, prefixTrying} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		var r record
		if _, err := fmt.Sscanf(rest, "%d-%d-", &r.PID, &r.Start); err != nil {
			return nil
		}
		var err error
		if r.Boot, err = bootID(); err != nil {
			return err
		}
		if gone, err := r.isGone(); err != nil || !gone {
			return err
		}
		return p.program.removeAll(ctx, filepath.Join(p.cfg.Dir, name))
	}
	return nil
}
