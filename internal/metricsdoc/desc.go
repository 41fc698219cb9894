package metricsdoc

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// description holds the fields of a [prometheus.Desc].
type description struct {
	name, help string
	labels     []string // constant ones first
}

// parseDesc reads a description out of its String, because a Desc exports no fields. It is strict, so that another
// spelling in another version of the library is an error and not a wrong document.
func parseDesc(d *prometheus.Desc) (description, error) {
	p := parser{rest: d.String()}
	var out description
	p.expect("Desc{fqName: ")
	out.name = p.quoted()
	p.expect(", help: ")
	out.help = p.quoted()
	if p.accept(", unit: ") {
		p.quoted()
	}
	p.expect(", constLabels: {")
	for !p.failed && !p.accept("}") {
		p.accept(",")
		out.labels = append(out.labels, p.until("="))
		p.quoted() // the value, which differs from process to process
	}
	p.expect(", variableLabels: {")
	if names := p.until("}}"); names != "" {
		for name := range strings.SplitSeq(names, ",") {
			// A label whose values are normalised is spelt c(name).
			if inner, ok := strings.CutPrefix(name, "c("); ok {
				name = strings.TrimSuffix(inner, ")")
			}
			out.labels = append(out.labels, name)
		}
	}
	if p.failed || p.rest != "" || out.name == "" {
		return description{}, fmt.Errorf("this is no description of a metric that is understood: %s", d)
	}
	return out, nil
}

// parser eats a string. After the first mistake failed stays true and all methods return zero values.
type parser struct {
	rest   string
	failed bool
}

// accept eats s if it comes next.
func (p *parser) accept(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	if ok && !p.failed {
		p.rest = rest
		return true
	}
	return false
}

func (p *parser) expect(s string) {
	if !p.accept(s) {
		p.failed = true
	}
}

// until eats up to and including s, and returns the text before it.
func (p *parser) until(s string) string {
	before, after, ok := strings.Cut(p.rest, s)
	if !ok || p.failed {
		p.failed = true
		return ""
	}
	p.rest = after
	return before
}

// quoted eats a Go string literal.
func (p *parser) quoted() string {
	q, err := strconv.QuotedPrefix(p.rest)
	if err != nil || p.failed {
		p.failed = true
		return ""
	}
	p.rest = p.rest[len(q):]
	s, err := strconv.Unquote(q)
	if err != nil {
		p.failed = true
	}
	return s
}
