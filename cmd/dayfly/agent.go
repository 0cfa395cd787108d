package main

import (
	"embed"
	"io"
	"io/fs"

	"github.com/spf13/cobra"
)

// agentFiles holds the agent as a program of its own, where scripts/build has put it in.
//
//go:embed all:agentbin
var agentFiles embed.FS

// embeddedAgent opens that program; nil in a dayfly that was built without it, which is its own agent.
func embeddedAgent() func() (io.ReadCloser, error) {
	const name = "agentbin/dayfly-agent"
	if _, err := fs.Stat(agentFiles, name); err != nil {
		return nil
	}
	return func() (io.ReadCloser, error) { return agentFiles.Open(name) }
}

// agentCommand only says what the agent is: its processes begin in agentmain.
func (a *app) agentCommand() *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "The part of dayfly at the machine, which dayfly starts itself", Hidden: true,
		Long: `The part of dayfly at the machine. "agent supervise" is the process on the host that looks after one
machine, "agent init" is the first process in it. dayfly starts both itself.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return usage(cmd, "the agent is started by dayfly itself, with a machine to look after")
		},
	}
}
