package dayfly_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dayfly-io/dayfly"
)

func TestParamValue(t *testing.T) {
	t.Parallel()
	integer, number := dayfly.Param{Type: "int", Min: "-5", Max: "5000"}, dayfly.Param{Type: "float", Min: "0.5", Max: "1"}
	choice := dayfly.Param{Type: "string", Enum: []json.RawMessage{[]byte(`"fast"`), []byte(`"slow"`)}}
	for _, c := range []struct {
		p    dayfly.Param
		text string
		want string // part of the error; "" is none
	}{
		{integer, "5000", ""}, {integer, "-5", ""}, {integer, "0", ""},
		{integer, "5001", "more than 5000"}, {integer, "-6", "less than -5"}, {integer, "1000000000000000000000", "not a whole number"},
		{integer, "1.0", "not a whole number"}, {integer, "", "not a whole number"}, {integer, "007", "not a whole number"},
		{integer, "+5", "not a whole number"}, {integer, "1e3", "not a whole number"}, {integer, "0x10", "not a whole number"},
		{integer, "1_000", "not a whole number"}, {integer, " 5", "not a whole number"}, {integer, "5\n", "not a whole number"}, {integer, "٣", "not a whole number"},
		{number, "0.5", ""}, {number, "1", ""}, {number, "1.00", ""}, {number, "1.01", "more than 1"}, {number, "-0.5", "less than 0.5"},
		{number, ".5", "not a number"}, {number, "1.", "not a number"}, {number, "NaN", "not a number"}, {number, "Inf", "not a number"},
		{number, "5e-1", "not a number"}, {number, strings.Repeat("1", 101), "not a number"},
		{dayfly.Param{Type: "bool"}, "true", ""}, {dayfly.Param{Type: "bool"}, "yes", "not true or false"}, {dayfly.Param{Type: "bool"}, "True", "not true or false"},
		{dayfly.Param{Type: "string"}, "", ""}, {dayfly.Param{Type: "string"}, "$(reboot); `id`\n'\"", ""},
		{dayfly.Param{Type: "string"}, "a\x00b", "not text"}, {dayfly.Param{Type: "string"}, "a\xffb", "not text"},
		{dayfly.Param{Type: "string"}, strings.Repeat("x", dayfly.MaxParam), ""}, {dayfly.Param{Type: "string"}, strings.Repeat("x", dayfly.MaxParam+1), "not text"},
		{choice, "fast", ""}, {choice, "Fast", "not one of fast, slow"}, {choice, "", "not one of fast, slow"},
		{dayfly.Param{Type: "float", Enum: []json.RawMessage{[]byte("0.5"), []byte("2")}}, "2.0", ""}, {dayfly.Param{Type: "money"}, "2", "not text"},
	} {
		got, err := c.p.Value(c.text)
		switch {
		case c.want == "" && (err != nil || got != c.text):
			t.Errorf("%s of %+v: %q, %v", c.text, c.p, got, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || dayfly.ErrorCode(err) != dayfly.CodeInvalid):
			t.Errorf("%q of %+v: %q, %v, want %q", c.text, c.p, got, err, c.want)
		}
	}
}

// TestParamBounds: a number between the bounds is taken as it is written, and any other is not.
func TestParamBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		low, high, n := rapid.Int64().Draw(t, "low"), rapid.Int64().Draw(t, "high"), rapid.Int64().Draw(t, "n")
		p := dayfly.Param{Type: "int", Min: json.Number(strconv.FormatInt(low, 10)), Max: json.Number(strconv.FormatInt(high, 10))}
		text := strconv.FormatInt(n, 10)
		if got, err := p.Value(text); (err == nil) != (low <= n && n <= high) || err == nil && got != text {
			t.Errorf("%d in %d to %d: %q, %v", n, low, high, got, err)
		}
	})
}

func TestValues(t *testing.T) {
	t.Parallel()
	j := dayfly.Job{Name: "pi", Params: map[string]dayfly.Param{
		"digits": {Type: "int", Default: json.RawMessage("1000"), Max: json.Number(strconv.Itoa(math.MaxInt32))},
		"title":  {Type: "string", Default: json.RawMessage(`"a <b> \"c\""`)},
		"to":     {Type: "string"}, "maybe": {Type: "bool", Required: new(bool)},
	}}
	got, err := j.Values(map[string]string{"to": "x=y", "digits": "5"})
	if err != nil || len(got) != 3 || got["to"] != "x=y" || got["digits"] != "5" || got["title"] != `a <b> "c"` {
		t.Errorf("values %v, %v", got, err)
	}
	for want, given := range map[string]map[string]string{
		"needs a value for its parameter to, text":          {"digits": "5"},
		`no parameter "digit"`:                              {"to": "x", "digit": "5"},
		`parameter digits of job pi: "many" is not a whole`: {"to": "x", "digits": "many"},
	} {
		if _, err := j.Values(given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("values of %v: %v, want %q", given, err, want)
		}
	}
	if got, err := (dayfly.Job{Name: "pi"}).Values(nil); got != nil || err != nil {
		t.Errorf("a job without parameters: %v, %v", got, err)
	}
	if v := dayfly.ParamVar("to-the-year"); v != "TO_THE_YEAR" {
		t.Error(v)
	}
}
