package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// parser writes a field of a [Config]. An unset variable leaves the zero value of the field.
type parser interface {
	// parse sets the field, or returns the problem. The error holds neither the value nor a right one.
	parse(value string) error
	// String returns the field in the form that parse takes.
	String() string
}

// whole is a whole number of units between min and max.
type whole[T ~int | ~int64] struct {
	field    *T
	unit     T
	min, max int64
}

func (w whole[T]) parse(value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return errors.New("out of range")
	case err != nil:
		if _, err := strconv.ParseFloat(value, 64); err == nil {
			return errors.New("not a whole number")
		}
		return errors.New("not a number")
	}
	return w.set(n)
}

func (w whole[T]) set(n int64) error {
	switch {
	case n < 0:
		return errors.New("negative")
	case n < w.min:
		return fmt.Errorf("less than %d", w.min)
	case n > w.max:
		return fmt.Errorf("more than %d", w.max)
	}
	*w.field = T(n) * w.unit
	return nil
}

func (w whole[T]) String() string { return strconv.FormatInt(int64(*w.field/w.unit), 10) }

// size is a number of bytes that may be written with a binary unit: 1048576, 1Mi or 1MiB.
type size[T ~int | ~int64] struct{ whole[T] }

func (s size[T]) parse(value string) error {
	digits := strings.TrimSuffix(value, "B")
	for unit, factor := range map[string]int64{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30} {
		number, found := strings.CutSuffix(digits, unit)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return errors.New("not a number of bytes")
		}
		if n < 0 {
			return errors.New("negative")
		}
		if n > s.max/factor {
			return fmt.Errorf("more than %d", s.max)
		}
		return s.set(n * factor)
	}
	return s.whole.parse(value)
}

// boolean is true or false.
type boolean struct{ field *bool }

func (b boolean) parse(value string) error {
	v, err := strconv.ParseBool(value)
	if err != nil {
		return errors.New("neither true nor false")
	}
	*b.field = v
	return nil
}

func (b boolean) String() string { return strconv.FormatBool(*b.field) }

// oneOf is one of a few words, in any case.
type oneOf struct {
	field *string
	words []string
}

func (o oneOf) parse(value string) error {
	for _, w := range o.words {
		if strings.EqualFold(value, w) {
			*o.field = w
			return nil
		}
	}
	return errors.New("unknown")
}

func (o oneOf) String() string { return *o.field }

// text is a string that passes a check.
type text struct {
	field *string
	check func(string) error // nil for none
}

func (t text) parse(value string) error {
	if t.check != nil && value != "" {
		if err := t.check(value); err != nil {
			return err
		}
	}
	*t.field = value
	return nil
}

func (t text) String() string { return *t.field }

// list is a list of strings, separated by commas. Blank entries are left out, unless the list is strict; a comma at
// the end never begins one.
type list struct {
	field  *[]string
	check  func(string) error // of an entry; nil for none
	strict bool               // a blank entry is wrong
}

func (l list) parse(value string) error {
	var entries, wrong []string
	n := 0
	for entry := range strings.SplitSeq(strings.TrimSuffix(value, ","), ",") {
		n++
		entry = strings.TrimSpace(entry)
		switch err := l.wrong(entry); {
		case entry == "" && l.strict && value != "":
			wrong = append(wrong, fmt.Sprintf("entry %d is empty", n))
		case entry == "":
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("entry %s is %v", printable(entry), err))
		default:
			entries = append(entries, entry)
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, ", "))
	}
	*l.field = entries
	return nil
}

func (l list) wrong(entry string) error {
	if l.check == nil || entry == "" {
		return nil
	}
	return l.check(entry)
}

func (l list) String() string { return strings.Join(*l.field, ",") }

// endpoint is the URL of a receiver. A URL with a user, a query or a fragment is refused: credentials belong into
// files, and no receiver uses the others.
type endpoint struct{ field **url.URL }

func (e endpoint) parse(value string) error {
	if value == "" {
		*e.field = nil
		return nil
	}
	u, err := url.Parse(value)
	if err != nil { // the error may quote a password, so it is not passed on
		return errors.New("not a URL")
	}
	port, portErr := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.User != nil:
		return errors.New("has a user or password, which belong into AUTH_TOKEN_FILE")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("has no scheme http or https")
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.Port() != "" && (portErr != nil || port == 0):
		return errors.New("has a port that is none")
	case u.RawQuery != "" || u.ForceQuery:
		return errors.New("has a query")
	case u.Fragment != "" || strings.HasSuffix(value, "#"):
		return errors.New("has a fragment")
	}
	*e.field = u
	return nil
}

func (e endpoint) String() string {
	if *e.field == nil {
		return ""
	}
	return (*e.field).Redacted()
}

// level is a level of logs: by name, or as a verbosity, of which 1 is debug.
type level struct{ field *zapcore.Level }

// maxVerbosity is the highest level at which Kubernetes' libraries log.
const maxVerbosity = 10

func (l level) parse(value string) error {
	switch value = strings.ToLower(value); value {
	case "debug", "info", "warn", "error":
		return l.field.UnmarshalText([]byte(value))
	}
	n, err := strconv.ParseInt(value, 10, 8)
	if err != nil || n < 0 || n > maxVerbosity {
		return errors.New("unknown level")
	}
	*l.field = zapcore.Level(-n)
	return nil
}

func (l level) String() string {
	if *l.field < zapcore.DebugLevel {
		return strconv.Itoa(-int(*l.field))
	}
	return l.field.String()
}

func bindAddress(value string) error {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return errors.New("not an address with a port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("has a port that is none")
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil && len(validation.IsDNS1123Subdomain(host)) > 0 {
		return errors.New("has a host that is none")
	}
	return nil
}

func bindAddressOrOff(value string) error {
	if value == Off {
		return nil
	}
	return bindAddress(value)
}

func dnsLabel(value string) error {
	if len(validation.IsDNS1123Label(value)) > 0 {
		return errors.New("no DNS label")
	}
	return nil
}

func dnsSubdomain(value string) error {
	if len(validation.IsDNS1123Subdomain(value)) > 0 {
		return errors.New("no DNS subdomain")
	}
	return nil
}

func absolutePath(value string) error {
	if !filepath.IsAbs(value) {
		return errors.New("not an absolute path")
	}
	return nil
}

func resourceType(value string) error {
	if whole, part, found := strings.Cut(value, "/"); found && !strings.Contains(part, "/") && resourceType(whole) == nil && resourceType(part) == nil {
		return fmt.Errorf("a subresource, which nobody can watch: %s is watched whole", whole)
	}
	if _, err := resource.NewFilter([]string{value}, nil); err != nil {
		return errors.New("no resource type")
	}
	return nil
}

func annotation(value string) error {
	if _, err := resource.NewAnnotationFilter([]string{value}, nil); err != nil {
		return errors.New("no annotation")
	}
	return nil
}

func label(value string) error {
	if _, err := resource.NewLabelFilter([]string{value}, nil); err != nil {
		return errors.New("no label")
	}
	return nil
}

func qualifiedName(value string) error {
	if len(validation.IsQualifiedName(value)) > 0 {
		return errors.New("no key of an annotation")
	}
	return nil
}

// The functions below make the parser of a field; see the table of settings.

func millis(field func(*Config) *time.Duration, least int64, most time.Duration) func(*Config) parser {
	return func(c *Config) parser {
		return whole[time.Duration]{field(c), time.Millisecond, least, most.Milliseconds()}
	}
}

func count(field func(*Config) *int, least, most int64) func(*Config) parser {
	return func(c *Config) parser { return whole[int]{field(c), 1, least, most} }
}

func words(field func(*Config) *string, allowed ...string) func(*Config) parser {
	return func(c *Config) parser { return oneOf{field(c), allowed} }
}

func checked(field func(*Config) *string, check func(string) error) func(*Config) parser {
	return func(c *Config) parser { return text{field(c), check} }
}

func entries(field func(*Config) *[]string, check func(string) error) func(*Config) parser {
	return func(c *Config) parser { return list{field: field(c), check: check} }
}

func types(field func(*Config) *[]string) func(*Config) parser {
	return func(c *Config) parser { return list{field: field(c), check: resourceType, strict: true} }
}

func toggle(field func(*Config) *bool) func(*Config) parser {
	return func(c *Config) parser { return boolean{field(c)} }
}
