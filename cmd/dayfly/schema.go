package main

import (
	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly/internal/spec"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Prints the JSON Schema of the job file, for editors",
		Long: `Prints the JSON Schema (2020-12) of the job file. An editor that knows it completes keys, shows what they
mean, and marks what is wrong while you type. Those with the YAML language server are told by a line at
the top of the job file:

  # yaml-language-server: $schema=dayfly.schema.json

"dayfly validate" knows more than a schema can say.`,
		Example: "  dayfly schema > dayfly.schema.json",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(spec.Schema())
			return err
		},
	}
}
