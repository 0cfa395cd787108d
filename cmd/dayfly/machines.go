package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
)

func (a *app) machinesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "machines", Short: "Lists the machines that there are now", Args: none,
		Long:    "Lists every machine of this installation that any provider shows and that is not gone, with who asked for it and by when it ends.",
		Example: "  dayfly machines -o wide",
	}
	var output *string
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.machines(cmd.Context(), *output) }
	output = outputFlag(cmd)
	return cmd
}

// liveMachine is a machine as it is listed.
type liveMachine struct {
	ID         dayfly.MachineID    `json:"id"`
	Run        dayfly.RunID        `json:"run"`
	Attempt    int                 `json:"attempt"`
	Provider   string              `json:"provider"`
	State      dayfly.MachineState `json:"state"`
	Phase      string              `json:"phase"`
	LaunchedAt stamp               `json:"launched_at"`
	Deadline   stamp               `json:"deadline"`
	Isolation  dayfly.Isolation    `json:"isolation"`
	Notes      []string            `json:"notes"`
}

func (a *app) machines(ctx context.Context, output string) error {
	h, err := a.openToLook()
	if err != nil {
		return err
	}
	providers, err := h.Providers()
	if err != nil {
		return err
	}
	var rows []liveMachine
	var errs []error
	for name, p := range providers {
		list, err := h.list(ctx, p)
		if err != nil {
			errs = append(errs, fmt.Errorf("list machines on %s: %w", name, err))
		}
		for _, m := range list.Machines {
			if m.Tags.Installation != h.settings.Installation || m.State == dayfly.MachineTerminated {
				continue
			}
			rows = append(rows, liveMachine{
				ID: m.ID, Run: m.Tags.Run, Attempt: m.Tags.Attempt, Provider: name, State: m.State, Phase: m.Phase,
				LaunchedAt: stamp(m.LaunchedAt), Deadline: stamp(m.Tags.Deadline), Isolation: m.Isolation, Notes: append([]string{}, m.Notes...),
			})
		}
	}
	slices.SortFunc(rows, func(x, y liveMachine) int {
		return cmp.Or(time.Time(x.LaunchedAt).Compare(time.Time(y.LaunchedAt)), cmp.Compare(x.ID, y.ID))
	})
	return errors.Join(append([]error{a.machineList().show(a, output, allOf(rows))}, errs...)...)
}

func (a *app) machineList() listing[liveMachine] {
	return listing[liveMachine]{
		columns: []column[liveMachine]{
			{head: "MACHINE", fit: short, cell: func(m liveMachine) string { return string(m.ID) }},
			{head: "RUN", fit: middle, cell: func(m liveMachine) string { return string(m.Run) }},
			{head: "STATE", cell: func(m liveMachine) string { return string(m.State) }},
			{head: "PHASE", fit: spare, cell: func(m liveMachine) string { return m.Phase }},
			{head: "AGE", cell: func(m liveMachine) string { return coarse(a.now().Sub(time.Time(m.LaunchedAt))) }},
			{head: "DEADLINE", cell: func(m liveMachine) string { return when(time.Time(m.Deadline), a.now()) }},
			{head: "ISOLATION", fit: spare, cell: func(m liveMachine) string { return string(m.Isolation) }},
			{head: "ATTEMPT", wide: true, cell: func(m liveMachine) string { return fmt.Sprint(m.Attempt) }},
			{head: "DEADLINE AT", wide: true, cell: func(m liveMachine) string { return instant(time.Time(m.Deadline)) }},
			{head: "NOTES", wide: true, cell: func(m liveMachine) string { return fmt.Sprint(len(m.Notes)) }},
		},
		name: func(m liveMachine) string { return string(m.ID) }, empty: "There is no machine.",
	}
}
