package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// question is something that a command needs to know, and that a flag answers as well.
type question struct {
	flag    string // without the dashes
	ask     string
	about   string // said before it is asked; may be empty
	preset  string // the answer where somebody gives none
	without bool   // an empty answer is one
	check   func(answer string) error
}

// prompter asks questions, one line each, and draws nothing over what was written: a screen reader reads
// them as they come. Where nobody can answer, the flags must.
type prompter struct {
	a   *app
	cmd *cobra.Command
	in  *bufio.Reader // nil: nobody answers
}

func (a *app) prompter(cmd *cobra.Command) *prompter {
	p := &prompter{a: a, cmd: cmd}
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) && a.errTTY {
		p.in = bufio.NewReader(f)
	}
	return p
}

// answer gives what the flag says, or else what somebody answers, or else the preset. Where nobody can be
// asked and there is no preset it is an error that names the flag.
func (p *prompter) answer(q question) (string, error) {
	if f := p.cmd.Flags().Lookup(q.flag); f != nil && f.Changed {
		if err := q.check(f.Value.String()); err != nil {
			return "", err
		}
		return f.Value.String(), nil
	}
	if p.in == nil {
		if q.preset == "" && !q.without {
			return "", usage(p.cmd, "--%s is missing, and nobody is there to be asked", q.flag)
		}
		return q.preset, q.check(q.preset)
	}
	if q.about != "" {
		p.a.say("%s", q.about)
	}
	for {
		line, err := p.line(q)
		if err != nil {
			return "", err
		}
		if err := q.check(line); err != nil {
			printError(p.a.err, err)
			continue
		}
		return line, nil
	}
}

// line asks once.
func (p *prompter) line(q question) (string, error) {
	ask := q.ask
	if q.preset != "" {
		ask += " [" + q.preset + "]"
	}
	fmt.Fprint(p.a.err, clean(ask)+": ")
	type typed struct {
		text string
		err  error
	}
	read := make(chan typed, 1)
	go func() { // it reads on when nobody waits for it any more, and ends with the command
		text, err := p.in.ReadString('\n')
		read <- typed{text, err}
	}()
	select {
	case <-p.cmd.Context().Done():
	case t := <-read:
		if t.err == nil || errors.Is(t.err, io.EOF) && t.text != "" {
			return cmp.Or(strings.TrimSpace(t.text), q.preset), nil
		}
	}
	p.a.say("")
	return "", &exit{exitInterrupted, fmt.Errorf("%w; nothing was done", errInterrupted)}
}

// confirmName asks for a name before something that cannot be undone. --yes answers, and must where nobody
// can be asked.
func (p *prompter) confirmName(ask, name string) error {
	if yes, err := p.cmd.Flags().GetBool("yes"); p.in == nil || err == nil && yes {
		return p.confirm(ask)
	}
	line, err := p.line(question{ask: fmt.Sprintf("%s? It cannot be undone. Type %s to go on", ask, name)})
	switch {
	case err != nil || line == name:
		return err
	case slices.Contains([]string{"", "n", "no"}, strings.ToLower(line)):
		return nothingDone("", lookOnly)
	}
	return nothingDone(fmt.Sprintf(": that was %q, not %s", line, name), "the name is what says yes here; type "+name+", or call it with --yes")
}
