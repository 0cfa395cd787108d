package spec

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// noAliases lets the library read a file with anchors and aliases without ever following one, so that
// all of them can be reported at once.
type noAliases struct{}

func (noAliases) NewAliasDataContext(yaml.AliasDataServices) (yaml.AliasDataContext, error) {
	return noAliases{}, nil
}
func (noAliases) BeginDocument() error                  { return nil }
func (noAliases) EndDocument() error                    { return nil }
func (noAliases) DefineAnchor(string, *yaml.Node) error { return nil }
func (noAliases) ResolveAlias(string) (*yaml.Node, bool, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, true, nil
}

// parse reads the one document of a file. What is wrong with its YAML is reported; nil means that
// there is nothing that could be read on.
func (r *reader) parse() *yaml.Node {
	loader, err := yaml.NewLoader(strings.NewReader(r.src.text), yaml.WithV4Defaults(),
		yaml.WithPlugin(noAliases{}), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(MaxDepth))))
	if err != nil {
		panic("spec: the options of the YAML library are constant: " + err.Error())
	}
	var doc yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		r.empty()
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	var second yaml.Node
	if err := loader.Load(&second); err == nil {
		r.fault(RuleSyntax, "", r.clamp(span{second.Line, second.Column, 3}), "a second document begins here", "a file holds one document; put each job into a file of its own")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
		return nil
	}
	if len(doc.Content) != 1 || isNull(doc.Content[0]) && doc.Content[0].Value == "" && doc.Content[0].Anchor == "" {
		r.empty()
		return nil
	}
	root := doc.Content[0]
	if !r.plain(root, 1) {
		return nil
	}
	return root
}

// empty reports a file that says nothing, where that is wrong.
func (r *reader) empty() {
	if r.emptyHint != "" {
		r.fault(RuleMissing, "", span{1, 1, 1}, "the file is empty", r.emptyHint)
	}
}

// plain reports what of YAML is not used in files: anchors, aliases, tags, keys that are not text.
// Below a tag nothing can be trusted, so false ends the reading.
func (r *reader) plain(n *yaml.Node, depth int) bool {
	ok := true
	at := r.clamp(span{n.Line, n.Column, 1})
	if depth > MaxDepth {
		r.fault(RuleLimit, "", at, fmt.Sprintf("lists and mappings stand more than %d deep inside one another", MaxDepth), "put data into a file and name it under files:")
		return false
	}
	switch {
	case n.Kind == yaml.AliasNode:
		// The name is not repeated: a password may begin with *, & or !.
		r.fault(RuleSyntax, "", at, "aliases (*) are not used here", "write the value out, or put text that begins with * between quotes")
		return false
	case n.Anchor != "":
		r.fault(RuleSyntax, "", at, "anchors (&) are not used here", "write values out where they are needed, or put text that begins with & between quotes")
		ok = false
	}
	if n.Style&yaml.TaggedStyle != 0 || n.Tag == "!" {
		r.fault(RuleSyntax, "", at, "tags (!) are not used here", "remove it, or put text that begins with ! between quotes")
		ok = false
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Kind != yaml.ScalarNode && c.Kind != yaml.AliasNode {
			r.fault(RuleSyntax, "", r.clamp(span{c.Line, c.Column, 1}), "a key must be a word, not "+found(c), "begin with the word and a colon, such as name: backup")
			ok = false
		}
		ok = r.plain(c, depth+1) && ok
	}
	return ok
}

// clamp brings a place that the library names into the file.
func (r *reader) clamp(at span) span {
	at.line = min(max(at.line, 1), len(r.src.lines))
	width := r.src.width(at.line)
	at.col = min(max(at.col, 1), width+1)
	at.length = max(1, min(at.length, width+1-at.col))
	return at
}

// syntax reports an error of the library in our words.
func (r *reader) syntax(err error) {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		r.fault(RuleSyntax, "", span{1, 1, 1}, "this is not YAML that can be read", "compare it with what dayfly init makes")
		return
	}
	at := r.clamp(span{le.Mark.Line, le.Mark.Column, 1})
	if le.Mark.Line == 0 {
		at = r.clamp(span{le.ContextMark.Line, le.ContextMark.Column, 1})
	}
	problem, hint := r.explainSyntax(le, &at)
	rule := RuleSyntax
	if strings.HasPrefix(le.Message, "exceeded max depth") {
		rule = RuleLimit
	}
	r.fault(rule, "", at, problem, hint)
}

// explainSyntax says in plain words what the library found, and may move to a better place.
func (r *reader) explainSyntax(e *yaml.LoadError, at *span) (problem, hint string) {
	line := r.src.lines[at.line-1]
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if i := strings.IndexByte(indent, '\t'); i >= 0 {
		*at = span{at.line, i + 1, 1}
		return "a tab is used to indent", "YAML is indented with blanks only"
	}
	began := r.clamp(span{e.ContextMark.Line, e.ContextMark.Column, 1})
	rest := r.src.rest(*at)
	has := func(s string) bool { return strings.Contains(e.Message, s) }
	within := func(s string) bool { return strings.Contains(e.ContextMsg, s) }
	if opened, ok := r.unclosed(*at); ok && !has("exceeded max depth") {
		*at = opened
		return "text between quotes does not end on its line", "close the quotes that begin here"
	}
	switch {
	case within("an alias"), within("an anchor"), r.star(*at) >= 0:
		return r.starred(at)
	case has("block sequence entries are not allowed"):
		return "a list cannot begin here", "begin it on the line below its key, or write it as [one, two]"
	case has("mapping values are not allowed"):
		if oneWord().MatchString(strings.TrimSuffix(line, rest)) {
			return "a key cannot stand here", "mend the indentation: the line before is not one that keys can stand below"
		}
		return "text that holds a colon and a blank needs quotes", "put the text between quotes, or write it in a block below \"|\""
	case has("cannot start any token") && strings.HasPrefix(rest, "\t"):
		return "a tab stands where a value should begin", "use blanks"
	case has("cannot start any token") && rest != "":
		return fmt.Sprintf("text cannot begin with %q", []rune(rest[:min(len(rest), 4)])[0]), "put it between quotes"
	case has("did not find expected key"), has("did not find expected '-' indicator"):
		return "this fits neither the line above nor a new key", "mend the indentation or the quotes of the lines before"
	case has("could not find expected ':'"):
		return "a key without a colon", "write key: value"
	case has("unexpected end of stream") && within("quoted"):
		*at = began
		return "text between quotes does not end", "close the quotes that begin here"
	case has("exceeded max depth"):
		return fmt.Sprintf("lists and mappings stand more than %d deep inside one another", MaxDepth), ""
	case within("flow sequence"), within("flow mapping"), within("flow node"):
		return "a list [...] or mapping {...} is not closed, or a comma is missing in it", fmt.Sprintf("look from line %d on", began.line)
	case has("unknown escape"), has("escape code"), has("expected hexadecimal"):
		return "an escape that YAML does not know", "use single quotes, where \\ means itself"
	case e.ContextMsg != "":
		return e.Message + " (" + e.ContextMsg + ")", ""
	}
	return e.Message, ""
}

// oneWord is a line up to the colon behind its first key.
var oneWord = pattern(`^\s*["']?[A-Za-z0-9_.-]+["']?$`)

// isNull tells whether a value is absent: nothing, ~ or null without quotes.
func isNull(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || !isPlain(n) {
		return false
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// isBool tells whether a value is true or false, in any spelling that YAML 1.2 knows.
func isBool(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || !isPlain(n) {
		return false
	}
	switch n.Value {
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return true
	}
	return false
}

// isPlain tells whether a scalar stands without quotes and not as a block.
func isPlain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}
