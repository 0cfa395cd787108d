package main

import (
	"fmt"
	"strings"
)

// roff is a manual page in the making, in the macros of man(7).
type roff struct {
	b     strings.Builder
	fresh bool // nothing stands in the section yet
}

// newRoff begins a page.
func newRoff(name string, section int, date string) *roff {
	r := &roff{}
	r.line(".TH %s %d %s dayfly \"dayfly manual\"", strings.ToUpper(roffText(name)), section, date)
	return r
}

func (r *roff) line(format string, args ...any) {
	fmt.Fprintf(&r.b, format+"\n", args...)
	r.fresh = false
}

func (r *roff) section(title string) {
	r.line(".SH %s", roffText(title))
	r.fresh = true
}

// paragraph begins one, where that is not so already.
func (r *roff) paragraph() {
	if !r.fresh {
		r.line(".PP")
	}
}

// text writes lines of running text.
func (r *roff) text(s string) {
	for l := range strings.SplitSeq(foldedTo(pageWidth-16, s, "", ""), "\n") { // escapes make it longer
		if l != "" {
			r.line("%s", roffText(l))
		}
	}
}

// paragraphs writes text whose paragraphs are apart by empty lines; one that is indented stands as it is.
func (r *roff) paragraphs(text string) {
	for p := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if strings.HasPrefix(p, "  ") {
			r.example(p)
			continue
		}
		r.paragraph()
		r.text(p)
	}
}

// example writes lines as they are.
func (r *roff) example(text string) {
	r.paragraph()
	r.line(".EX")
	for l := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		r.line("%s", roffText(l))
	}
	r.line(".EE")
}

// item writes a term in bold, what stands behind it in italics, and its text.
func (r *roff) item(term, argument, text string) {
	r.line(".TP")
	head := `\fB` + roffText(term) + `\fR`
	if argument != "" {
		head += ` \fI` + roffText(argument) + `\fR`
	}
	r.line("%s", head)
	r.text(text)
}

// roffText makes text safe where requests and escapes would be read, and its hyphens such that they can be copied.
func roffText(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "→", `\(->`, "…", "...", "π", `\(*p`, "≤", `\(<=`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
