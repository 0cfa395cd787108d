package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dayfly-io/dayfly"
)

// dirSpent holds the tokens of forgotten machines, as empty files in a folder for each hour in which
// deadlines lie. Somebody who was paused in the middle of a launch finds them there; after the deadline
// Launch refuses in any case. Nothing is synced: a power cut ends the paused as well.
const dirSpent = ".spent"

const (
	spentHour = "2006010215"
	// spentUnknown is for a machine that was closed before its launch: its deadline is not known, and
	// no job's is further away.
	spentUnknown = 32 * 24 * time.Hour
)

// spend marks a token as used up until its deadline.
func (p *Provider) spend(token string, deadline time.Time) error {
	if deadline.IsZero() {
		deadline = p.cfg.Now().Add(spentUnknown)
	}
	hour := filepath.Join(p.cfg.Dir, dirSpent, deadline.UTC().Format(spentHour))
	err := os.MkdirAll(hour, 0o700)
	if err == nil {
		err = markSpent(p.folder(token), filepath.Join(hour, token))
	}
	if err != nil {
		return fmt.Errorf("remember a token that is used up: %w", err)
	}
	return p.sweepSpent()
}

// markSpent is another name for the machine's lock, an empty file, where there is one.
func markSpent(f folder, mark string) error {
	if err := os.Link(f.path(fileLock), mark); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return os.WriteFile(mark, nil, 0o600)
}

// sweepSpent drops the hours that are over. A clock that is wrong by less than an hour harms nothing.
func (p *Provider) sweepSpent() error {
	hours, err := os.ReadDir(filepath.Join(p.cfg.Dir, dirSpent))
	if err != nil {
		return fmt.Errorf("look for tokens past their deadline: %w", err)
	}
	over := p.cfg.Now().Add(-2 * time.Hour).UTC().Format(spentHour)
	for _, h := range hours {
		if h.Name() < over {
			if err := os.RemoveAll(filepath.Join(p.cfg.Dir, dirSpent, h.Name())); err != nil {
				return fmt.Errorf("drop tokens past their deadline: %w", err)
			}
		}
	}
	return nil
}

// spent tells whether the folder's token was used up by a machine that is forgotten.
func (f folder) spent() (bool, error) {
	all := filepath.Join(filepath.Dir(string(f)), dirSpent)
	hours, err := os.ReadDir(all)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the token among those used up: %w", err)
	}
	for _, h := range hours {
		there, err := folder(filepath.Join(all, h.Name())).has(f.token())
		if there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// forgotten tells whether the token is used up and nothing is left under it. The order matters: a
// Forget marks the token before it removes the folder. Where there is a folder somebody was paused in
// the middle of a launch, and made it since.
func (f folder) forgotten() (bool, error) {
	there, err := f.has(".")
	if there || err != nil {
		return false, err
	}
	return f.spent()
}

// hollow tells whether the folder is what a Terminate left that found the machine just before a Forget,
// and closed it just after: no machine is in it and none can be.
func (f folder) hollow(m dayfly.Machine) (bool, error) {
	if m.State != dayfly.MachineTerminated || m.Tags.Token != "" {
		return false, nil
	}
	return f.spent()
}
