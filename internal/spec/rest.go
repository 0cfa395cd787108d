package spec

import (
	"net/url"

	"go.yaml.in/yaml/v4"

	"github.com/dayfly-io/dayfly"
)

var (
	address   = pattern(`^[^\t\n\f\r @<>"(),:;\\\[\]]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	slackName = pattern(`^[#@][\p{L}\p{N}_.-]{1,80}$`)
	topicName = pattern(`^[A-Za-z0-9_-]{1,64}$`)
)

// notify reads who is told of what.
func (r *reader) notify(v value, j *dayfly.Job) {
	f, ok := r.mapping(v)
	if !ok {
		return
	}
	n := dayfly.Notify{}
	targets := len(f.values)
	if v, ok := f.get("on"); ok {
		targets--
		n.On = r.words(v)
	}
	if v, ok := f.get("email"); ok {
		n.Email, _ = r.line(v)
		if n.Email != "" && !address().MatchString(n.Email) {
			r.bad(v, "for example ops@example.org", "%q is not a mail address", clip(n.Email, 60))
		}
	}
	if v, ok := f.get("webhook"); ok {
		n.Webhook = r.webhook(v)
	}
	if v, ok := f.get("slack"); ok {
		// The address of a Slack webhook is a secret, so it is not repeated.
		if n.Slack, ok = r.text(v); ok && !slackName().MatchString(n.Slack) {
			r.conceal(v)
			r.bad(v, `name the channel, such as "#ops"; the token stands in the settings`, "%s is not the name of a Slack channel", v.name())
		}
	}
	if v, ok := f.get("ntfy"); ok {
		if n.Ntfy, ok = r.text(v); ok && !topicName().MatchString(n.Ntfy) {
			r.bad(v, "up to 64 of A-Z, a-z, 0-9, _ and -", "%s is not an ntfy topic", v.name())
		}
	}
	if targets == 0 {
		r.fault(RuleMissing, v.path, r.spanOf(v), v.name()+" tells nobody", "name one of email, webhook, slack, ntfy")
	}
	j.Notify = append(j.Notify, n)
}

func (r *reader) webhook(v value) string {
	s, ok := r.line(v)
	if !ok {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "":
		r.conceal(v)
		r.bad(v, "for example https://example.org/hook", "%s is not an https address", v.name())
	case u.User != nil:
		r.conceal(v)
		r.bad(v, "requests are signed; remove what stands before the @", "%s holds a user or password", v.name())
	}
	return s
}

// limits reads budget, limit and keep.
func (r *reader) limits(top fields, j *dayfly.Job) {
	if v, ok := top.get("budget"); ok {
		if f, ok := r.some(v); ok {
			j.Budget = &dayfly.Budget{}
			if v, ok := f.get("run"); ok {
				j.Budget.Run, _ = r.dollars(v)
			}
			if v, ok := f.get("month"); ok {
				j.Budget.Month, _ = r.dollars(v)
			}
		}
	}
	if v, ok := top.get("limit"); ok {
		if f, ok := r.some(v); ok {
			if v, ok := f.get("machines"); ok {
				j.Limit.Machines, _ = r.number(v)
			}
		}
	}
	if v, ok := top.get("keep"); ok {
		j.Keep = r.keep(v)
	}
}

// keep reads for how long what runs leave is kept.
func (r *reader) keep(v value) (k dayfly.Keep) {
	f, ok := r.some(v)
	if !ok {
		return k
	}
	for key, to := range map[string]*dayfly.Seconds{"results": &k.Results, "logs": &k.Logs, "history": &k.History} {
		if v, ok := f.get(key); ok {
			*to = r.term(v)
		}
	}
	for _, key := range []string{"results", "logs"} {
		v, ok := f.get(key)
		if of := map[string]dayfly.Seconds{"results": k.Results, "logs": k.Logs}[key]; ok && of != 0 && k.History > 0 && (of > k.History || of == dayfly.Forever) {
			r.advise(v, "make keep.history as long, or shorten "+v.name(), "%s is %s, but after keep.history, %s, the record of a run goes, and all the rest of the run with it", v.name(), of.Words(), k.History.Words())
		}
	}
	return k
}

// term reads a length of time, or forever.
func (r *reader) term(v value) dayfly.Seconds {
	if v.n.Kind == yaml.ScalarNode {
		switch v.n.Value {
		case "forever":
			return dayfly.Forever
		case "for ever", "always", "never", "none", "unlimited", "infinite":
			r.bad(v, didYouMean("forever"), "%s is %q, not a length of time such as 90d, nor forever", v.name(), v.n.Value)
			return 0
		}
	}
	d, _ := r.duration(v)
	return d
}

// some reads a mapping that must say something.
func (r *reader) some(v value) (fields, bool) {
	f, ok := r.mapping(v)
	if ok && len(v.n.Content) == 0 {
		r.bad(v, "remove it", "%s is empty", v.name())
		return f, false
	}
	return f, ok
}
