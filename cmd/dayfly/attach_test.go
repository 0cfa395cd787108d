package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/reconcile"
)

// interruptAt cancels when a text is written.
type interruptAt struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (w *interruptAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.cancel()
	}
	return w.Buffer.Write(p)
}

func TestInterruptBeforeTheRequestRequestsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, at string }{
		{"while earlier runs are looked after", "Looking after 1 earlier run"},
		{"before that", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			call := newCall(t)
			h := call.home()
			job := dayfly.Job{Name: "hello"}
			if err := h.store.PutVersion(ctx, job); err != nil {
				t.Fatal(err)
			}
			if _, err := reconcile.Request(ctx, h.store, job, reconcile.Wish{}, call.now()); err != nil {
				t.Fatal(err)
			}
			messages := &interruptAt{text: c.at, cancel: cancel}
			a := newApp(call.env, strings.NewReader(""), io.Discard, messages)
			if c.at == "" {
				cancel()
			}
			err := a.attach(ctx, h, attachFlags{}, func(context.Context) ([]dayfly.Run, error) {
				t.Error("a run was requested")
				return nil, errors.New("requested")
			}, job.Name)
			printError(messages, err)
			if exitCode(err) != exitInterrupted || !strings.HasSuffix(messages.String(), "error: interrupted; nothing was requested\n") {
				t.Errorf("exit code %d, %v", exitCode(err), err)
			}
			if strings.Contains(messages.String(), "warning: ") {
				t.Errorf("an interrupt is no news about the runs:\n%s", messages.String())
			}
		})
	}
}
