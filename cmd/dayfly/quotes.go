package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dayfly-io/dayfly"
	"github.com/dayfly-io/dayfly/internal/schedule"
)

// someExpression stands for one that nobody can tell any more.
const someExpression = "0 23 * * *"

// unquoted is the error of arguments that are perhaps an expression which the shell took apart: into words, and
// each * into the names of the files there.
func unquoted(cmd *cobra.Command, takes string, args []string) *dayfly.Error {
	e := usage(cmd, "%s, not %d arguments", takes, len(args))
	meant := strings.Join(args, " ")
	if !isExpression(meant) {
		files, _ := filepath.Glob("[^.]*") // which shells write for *; the pattern is right
		stars, found := starsOf(args, files)
		if meant = strings.Join(stars, " "); found {
			e.Message += fmt.Sprintf(": for a * without quotes the shell writes the names of files, here %s", fewOf(files))
		}
	}
	if !isExpression(meant) {
		meant = someExpression
	}
	e.Hint = fmt.Sprintf("an expression stands between quotes: dayfly next -- '%s'", meant)
	return e
}

// starsOf puts a * back for the names of all files together; found tells whether any stood there, or at least
// the name of one.
func starsOf(args, files []string) (stars []string, found bool) {
	sorted := slices.Sorted(slices.Values(files))
	for len(args) > 0 {
		n := len(sorted)
		if n > 0 && len(args) >= n && slices.Equal(slices.Sorted(slices.Values(args[:n])), sorted) { // shells sort as they like
			stars, args, found = append(stars, "*"), args[n:], true
			continue
		}
		if _, err := os.Lstat(args[0]); err == nil {
			found = true
		}
		stars, args = append(stars, args[0]), args[1:]
	}
	return stars, found
}

func isExpression(text string) bool {
	_, err := schedule.Parse(text, schedule.Options{Key: "job"})
	return err == nil
}
