//go:build !linux

package local

import (
	"context"
	"errors"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/machine"
)

// Provider makes sandboxes, on Linux.
type Provider struct{}

const problem = "local machines need Linux"

// New refuses: there are no local machines on this system.
func New(Config) (*Provider, error) {
	return nil, &machine.ConfigError{Problem: problem, Hint: "choose another machine with machine: {on: …}"}
}

// Launch refuses, as New does.
func (*Provider) Launch(context.Context, machine.Spec) (dayfly.Machine, error) {
	return dayfly.Machine{}, &machine.ConfigError{Problem: problem}
}

// List refuses, as New does.
func (*Provider) List(context.Context) (machine.Listing, error) {
	return machine.Listing{}, &machine.ConfigError{Problem: problem}
}

// Terminate refuses, as New does.
func (*Provider) Terminate(context.Context, dayfly.MachineID) error {
	return &machine.ConfigError{Problem: problem}
}

// Supervise refuses, as New does.
func Supervise(context.Context, SuperviseConfig, func(ctx context.Context, w Work) error) error {
	return errors.New(problem)
}

// Init refuses, as New does.
func Init([]string) int { return 2 }

// Trial is what came of trying one way to a rung.
type Trial struct {
	Isolation dayfly.Isolation
	Way       string
	Err       error
	Hint      string
}

// TryRungs has nothing to try.
func (*Provider) TryRungs(context.Context) []Trial { return nil }

// Limit is what came of trying to limit one thing.
type Limit struct {
	What    string
	Version int
	Err     error
}

// TryLimits has nothing to try.
func TryLimits(context.Context) []Limit { return nil }
