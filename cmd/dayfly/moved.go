package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/store"
)

// served is a note in the records: which host serves them. A data directory that was copied while it was
// served says so at its new place.
type served struct {
	Host  string    `json:"host"`           // what tells hosts apart; empty where nothing does
	Name  string    `json:"name"`           // for people
	Since time.Time `json:"since"`          //
	Until time.Time `json:"until,omitzero"` // when it stopped; zero: it did not, or was killed
}

const servedKey = "served "

// hostID tells this host from others, and from itself never, whatever its name and however often it starts;
// empty where nothing does. The host's own id is no business of those who read the records.
func hostID() string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		text, err := os.ReadFile(path)
		if id := strings.TrimSpace(string(text)); err == nil && len(id) == 32 {
			sum := sha256.Sum256([]byte("dayfly host\n" + id))
			return hex.EncodeToString(sum[:8])
		}
	}
	return ""
}

// claim takes note that this host serves the records from now on; leave takes note that it has stopped. It
// refuses where another host serves them and has not stopped, as far as they know, unless moved says that
// that one does so no more.
func (a *app) claim(ctx context.Context, h *home, moved bool) (leave func(), err error) {
	s, err := h.Store(ctx)
	if err != nil {
		return nil, err
	}
	was, err := readServed(ctx, s, a.now())
	if err != nil {
		return nil, err
	}
	host := a.hostID()
	elsewhere := was.Host != "" && host != "" && was.Host != host
	switch {
	case elsewhere && was.Until.IsZero() && !moved:
		return nil, &dayfly.Error{
			Code:    dayfly.CodeConflict,
			Message: fmt.Sprintf("host %s serves this installation since %s, as far as the records here know: both would run every job", was.Name, instant(was.Since)),
			Hint:    "stop dayfly there; if it is gone, or does not serve any more, say so once: dayfly serve --moved",
		}
	case elsewhere && was.Until.IsZero():
		a.say("Host %s served this installation since %s, and does so no more.", clean(was.Name), instant(was.Since))
	case elsewhere:
		a.say("Host %s served this installation until %s; from now on it is this one.", clean(was.Name), instant(was.Until))
	}
	is := served{Host: host, Since: a.now().UTC()}
	if is.Name, err = os.Hostname(); err != nil {
		is.Name = "unknown"
	}
	if err := putServed(ctx, s, is); err != nil {
		return nil, err
	}
	return func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopFor)
		defer cancel()
		is.Until = a.now().UTC()
		if err := putServed(bounded, s, is); err != nil && h.gone() == nil {
			a.bearable("it is not on record that this host serves no more: ", err)
		}
	}, nil
}

func readServed(ctx context.Context, s store.Store, now time.Time) (was served, err error) {
	notes, err := s.Notes(ctx, servedKey, now)
	if err == nil && len(notes) > 0 {
		err = json.Unmarshal([]byte(notes[0].Value), &was)
	}
	if err != nil {
		return was, fmt.Errorf("read who serves the records: %w", err)
	}
	return was, nil
}

func putServed(ctx context.Context, s store.Store, is served) error {
	value, err := json.Marshal(is)
	if err == nil {
		err = s.PutNote(ctx, store.Note{Key: servedKey, Value: string(value)})
	}
	if err != nil {
		return fmt.Errorf("note who serves the records: %w", err)
	}
	return nil
}
