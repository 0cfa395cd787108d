// Package machine is the port to where machines come from.
//
// A [Provider] makes a machine, lists what there is, and ends it; that is all the control loop needs,
// and every provider passes the same suite (machinetest). What only some can do is an optional
// interface, found by type assertion. What an error means to the loop is its class; each adapter
// classifies its vendor's codes in one file.
package machine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dayfly-io/dayfly"
)

// Spec is one fully resolved launch.
type Spec = dayfly.Spec

// Location is a place whose machines are listed together: a region, or this host.
type Location string

// Provider is a place machines come from. All methods may be called by several processes at once.
type Provider interface {
	// Launch asks for a machine and does not wait for it to boot. It is idempotent on Spec.Token:
	// the same token gives the same machine, for ever, also when that machine has already ended,
	// and also when the earlier call's answer was lost. A token whose machine was ended or forgotten,
	// and one whose deadline has passed, gives ErrGone or that machine, never another. An error without
	// a class leaves the outcome unknown: repeat the call with the same spec.
	Launch(ctx context.Context, s Spec) (dayfly.Machine, error)

	// List shows every machine of this installation that it can see, terminated ones for as long as
	// it remembers them. Absence proves something only in a location that is in Complete. A list
	// may be partial and come with an error for what is missing.
	List(ctx context.Context) (Listing, error)

	// Terminate ends a machine at once and for good: after it, a launch still under way under that
	// token makes none. It is idempotent; an unknown id is not an error. That it returns proves
	// nothing: gone is what List shows.
	Terminate(ctx context.Context, id dayfly.MachineID) error
}

// Listing is what a provider sees.
type Listing struct {
	Machines []dayfly.Machine
	Complete []Location
}

// IsComplete tells whether absence from the listing proves something for the machine with this id.
func (l Listing) IsComplete(id dayfly.MachineID) bool {
	return slices.Contains(l.Complete, LocationOf(id))
}

// LocationOf is the first part of a machine's id.
func LocationOf(id dayfly.MachineID) Location {
	for i := range len(id) {
		if id[i] == '/' {
			return Location(id[:i])
		}
	}
	return ""
}

// Namer is a provider that knows the id of a machine before it exists, from the spec alone. A pass
// can then end a machine whose launch it never heard of again.
type Namer interface {
	MachineID(s Spec) dayfly.MachineID
}

// Forgetter is a provider that keeps something of a machine after its end. Forget removes it from
// lists, once it was observed gone and its attempt is about to be recorded as over. A machine that is
// not terminated is an error. The token stays used up at least until the machine's deadline, after which Launch
// refuses it in any case: somebody who was paused in the middle of a launch may still come.
type Forgetter interface {
	Forget(ctx context.Context, id dayfly.MachineID) error
}

// Canceler is a provider that can tell the agent at once to look for the cancel object.
type Canceler interface {
	Cancel(ctx context.Context, id dayfly.MachineID) error
}

// ErrGone says that a machine is no more, or that its token was used up by one that is no more.
var ErrGone = errors.New("machine is gone")

// CapacityError says that there is no room now; another choice, or a later try, may find some.
type CapacityError struct {
	Scope string // what is full: a type in a zone, a host
	Err   error
}

func (e *CapacityError) Error() string { return fmt.Sprintf("no capacity in %s: %v", e.Scope, e.Err) }

// Unwrap gives the provider's own error.
func (e *CapacityError) Unwrap() error { return e.Err }

// ConfigError says that no repetition will help until somebody mends something: a permission, a
// quota, an image, an isolation that cannot be had.
type ConfigError struct {
	Problem string
	Hint    string // how to mend it
	Err     error
}

func (e *ConfigError) Error() string { return e.Problem }

// Unwrap gives the provider's own error.
func (e *ConfigError) Unwrap() error { return e.Err }
