// Command dayfly-agent is the agent alone: the part of dayfly at a machine. It is a program of its own
// because it is started twice for every run and a small program begins sooner; dayfly carries it inside.
// dayfly starts it, never a person.
package main

import (
	"fmt"
	"os"

	"github.com/dayfly-io/dayfly/cmd/internal/agentmain"
)

func main() {
	code, ok := agentmain.Main(os.Args[1:], os.Stderr)
	if !ok {
		fmt.Fprintln(os.Stderr, "error: dayfly-agent is started by dayfly itself, with a machine to look after")
		code = 2
	}
	os.Exit(code)
}
