package crontab

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/dayfly-io/dayfly"
)

// naming is the names that are taken, with the number that comes after them next.
type naming map[dayfly.JobName]int

// maxName is the length of a name, with room for a number after it.
const maxName = 42

// take makes a name out of a command, one that nobody else has.
func (n naming) take(command string) dayfly.JobName {
	base := slug(strings.Join(telling(command, 0), "-"))
	name := dayfly.JobName(base)
	first := name
	for n[name] > 0 {
		n[first] = max(n[first], 1) + 1
		name = dayfly.JobName(base + "-" + strconv.Itoa(n[first]))
	}
	n[name] = 1
	return name
}

// slug makes the name of a job out of a text.
func slug(text string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := b.String()
	if s = strings.Trim(s[:min(len(s), maxName)], "-"); s == "" {
		return "job"
	}
	return s
}

// wrapper is a program that runs another: its options that take a value, and how many arguments come before the
// other's name.
type wrapper struct {
	options string
	skip    int
}

func wrappers() map[string]wrapper {
	return map[string]wrapper{
		"nice": {options: "n"}, "ionice": {options: "cn"}, "timeout": {options: "ks", skip: 1}, "flock": {options: "wE", skip: 1},
		"sudo": {options: "ugChp"}, "doas": {options: "u"}, "env": {options: "uC"}, "nohup": {}, "exec": {}, "command": {}, "chronic": {},
		"cronic": {}, "setsid": {}, "stdbuf": {options: "ioe"}, "time": {}, "runuser": {options: "ug"}, "xvfb-run": {options: "s"},
		"cpulimit": {options: "lp"}, "systemd-cat": {options: "tp"}, "!": {}, "if": {}, "then": {}, "do": {}, "else": {}, "while": {}, "until": {}, "{": {}, "(": {},
	}
}

// before are commands that only prepare others, and marks of the shell's language.
func before() []string {
	return []string{
		"cd", "test", "[", "[[", "export", "set", "source", ".", "sleep", "umask", "ulimit", "true", ":", "fi", "done", "}", ")",
		"for", "case", "esac", "pushd", "popd", "unset", "trap", "echo", "printf", "mkdir", "shopt", "eval", "wait",
	}
}

var (
	assignment  = pattern(`^[A-Za-z_][A-Za-z0-9_]*=`)
	interpreter = pattern(`^(python|perl|php|ruby|node|bun|deno|lua|Rscript|java|pypy)[0-9.]*$`)
	shell       = pattern(`^(ba|da|k|mk|z|a|fi|c|tc)?sh$`)
	plainWord   = pattern(`^[A-Za-z][A-Za-z0-9]*([:_-][A-Za-z0-9]+)*$`)
	extension   = pattern(`\.(sh|bash|py|pl|php|rb|js|ts|R|jar|exe|ksh|zsh|lua)$`)
	sleeping    = pattern(`\bsleep\b`)
)

// telling are the words of a command that say what it does.
func telling(command string, depth int) []string {
	var first []string
	for _, one := range commands(command) {
		words := strip(one.words)
		if len(words) == 0 {
			continue
		}
		if inner, ok := quotedCommand(words); ok && depth < 3 {
			if name := telling(inner, depth+1); len(name) > 0 && name[0] != "job" {
				return name
			}
		}
		name := nameOf(words)
		switch {
		case len(name) == 0:
		case !slices.Contains(before(), words[0]) && !(interpreter().MatchString(path.Base(words[0])) && sleeping().MatchString(strings.Join(words, " "))):
			return name
		case first == nil:
			first = name
		}
	}
	if first == nil {
		first = []string{"job"}
	}
	return first
}

// strip takes away what stands before the command proper: assignments, and programs that run others.
func strip(words []string) []string {
	for len(words) > 0 {
		w, ok := wrappers()[path.Base(words[0])]
		switch {
		case assignment().MatchString(words[0]):
			words = words[1:]
		case !ok:
			return words
		default:
			words = words[1:]
			for len(words) > 0 && strings.HasPrefix(words[0], "-") {
				value := len(words[0]) == 2 && strings.Contains(w.options, words[0][1:])
				if words[0] == "-c" && !value {
					return append([]string{"sh"}, words...) // flock -c 'command'
				}
				words = words[1:]
				if value && len(words) > 0 {
					words = words[1:]
				}
			}
			for range w.skip {
				if len(words) > 0 {
					words = words[1:]
				}
			}
			if w.skip > 0 && len(words) > 1 && words[0] == "-c" {
				return append([]string{"sh"}, words...)
			}
		}
	}
	return nil
}

// quotedCommand is the text after -c of a shell or of su.
func quotedCommand(words []string) (string, bool) {
	if name := path.Base(words[0]); !shell().MatchString(name) && name != "su" {
		return "", false
	}
	for i, w := range words[1:] {
		if strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") && strings.HasSuffix(w, "c") && i+2 < len(words) {
			return words[i+2], true
		}
	}
	return "", false
}

// nameOf are the words of one command that say what it does: the program, and up to two plain words after it.
func nameOf(words []string) []string {
	program := words[0]
	words = words[1:]
	base := path.Base(program)
	run := interpreter().MatchString(base) || shell().MatchString(base) || base == "run-parts"
	for run && len(words) > 0 {
		w := words[0]
		words = words[1:]
		switch {
		case w == "-m" || w == "-jar":
			continue
		case w == "-c" || w == "-e" || w == "-r":
			return []string{base}
		case strings.HasPrefix(w, "-"):
			continue
		}
		program, run = w, false
	}
	name := []string{extension().ReplaceAllString(path.Base(program), "")}
	if above := path.Base(path.Dir(program)); slices.Contains(vague(), name[0]) && plainWord().MatchString(above) && !slices.Contains(vague(), above) {
		name[0] = above + "-" + name[0]
	}
	for _, w := range words {
		if strings.HasPrefix(w, "-") && len(name) == 1 {
			continue
		}
		if len(name) == 3 || !plainWord().MatchString(w) {
			break
		}
		name = append(name, w)
	}
	return name
}

// vague are names that say little without that of the directory above; directories that say little themselves.
func vague() []string {
	return []string{
		"cron", "run", "main", "script", "index", "task", "start", "update", "manage", "console", "job", "jobs", "wrapper", "cli",
		"bin", "sbin", "scripts", "usr", "local", "opt", "home", "root", "src", "share", "lib", "libexec", "etc", "srv", "tmp", "www", "html", "var", "public", "app", "tools",
	}
}

// simple is one simple command of a line of shell.
type simple struct {
	words      []string
	background bool // it ends with &
}

// commands takes a line of shell apart into simple commands and those into words, without their quotes. It need
// not understand all of the language: what is made of it are names and hints.
func commands(line string) []simple {
	var r shellReader
	for i := 0; i < len(line); i++ {
		i = r.next(line, i)
	}
	r.endCommand(false)
	return r.all
}

// shellReader gathers the words of a line.
type shellReader struct {
	all   []simple
	words []string
	word  strings.Builder
	open  bool // a word has begun
	quote byte
}

func (r *shellReader) endWord() {
	if r.open {
		r.words = append(r.words, r.word.String())
	}
	r.word.Reset()
	r.open = false
}

func (r *shellReader) endCommand(background bool) {
	r.endWord()
	if len(r.words) > 0 {
		r.all = append(r.all, simple{r.words, background})
	}
	r.words = nil
}

func (r *shellReader) add(c byte) {
	r.word.WriteByte(c)
	r.open = true
}

// next reads the character at i, and gives the place of the last one it took.
func (r *shellReader) next(line string, i int) int {
	c := line[i]
	follows := func(any string) bool { return i+1 < len(line) && strings.IndexByte(any, line[i+1]) >= 0 }
	switch {
	case r.quote != 0 && c == r.quote:
		r.quote = 0
	case r.quote != 0:
		r.word.WriteByte(c)
	case c == '\'' || c == '"' || c == '`':
		r.quote, r.open = c, true
	case c == '\\' && i+1 < len(line):
		r.add(line[i+1])
		return i + 1
	case c == '$' && follows("("):
		r.add('$')
		return i + substitution(line[i+1:])
	case c == ' ' || c == '\t':
		r.endWord()
	case c == '>' || c == '<' || c == '&' && follows(">"):
		r.endWord()
		r.words = append(r.words, ">") // a file follows
		for i+1 < len(line) && strings.IndexByte("<>&|", line[i+1]) >= 0 {
			i++
		}
	case c == '&' && follows("&"):
		r.endCommand(false)
		return i + 1
	case strings.IndexByte(";|&()\n", c) >= 0:
		r.endCommand(c == '&')
	case c == '#' && !r.open:
		return len(line)
	default:
		r.add(c)
	}
	return i
}

// substitution is the length of what stands between brackets, with them.
func substitution(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}
