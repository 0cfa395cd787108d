package main

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dayfly-io/dayfly"
)

// address is the value of a flag that takes an address to listen on. What cannot be one is refused while the
// command line is read.
type address struct {
	value   *string
	example string
}

var errNoAddress = errors.New("no address")

// Set implements pflag.Value.
func (a address) Set(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil || port == "" {
		return errNoAddress
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return errNoAddress
	}
	const ofNames = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	if _, err := netip.ParseAddr(host); err != nil && strings.Trim(strings.ToLower(host), ofNames) != "" {
		return errNoAddress
	}
	*a.value = text
	return nil
}

// String implements pflag.Value.
func (a address) String() string { return *a.value }

// Type implements pflag.Value.
func (address) Type() string { return "string" }

func (a address) refusal(cmd *cobra.Command, f *pflag.Flag, text string) *dayfly.Error {
	return usage(cmd, "--%s takes an address such as %s, not %q", f.Name, a.example, text)
}
