package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly/internal/schedule"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Shows which dayfly this is", Args: none,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.page(), "dayfly %s (%s, %s/%s, time zones %s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, schedule.Release)
			return err
		},
	}
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return cmp.Or(info.Main.Version, "(devel)")
}
