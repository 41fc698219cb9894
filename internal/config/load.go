package config

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// whispererMaxBytes is the largest body that cluster-whisperer takes; it refuses a body that is one byte longer.
const whispererMaxBytes = 5_242_880

// loader fills a [Config] and collects all mistakes.
type loader struct {
	env    map[string]string
	config Config
	errs   []error
	failed map[string]bool // variables whose own value is wrong: checks that depend on them are skipped
}

func (l *loader) refuse(s Setting, value, problem string) {
	l.fail(&Error{Variable: s.Name, Value: shown(s.Name, value), Problem: problem, Want: s.Want})
}

func (l *loader) fail(err *Error) {
	l.failed[err.Variable] = true
	l.errs = append(l.errs, err)
}

// fine tells whether none of the variables has a wrong value of its own.
func (l *loader) fine(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return l.failed[n] })
}

// set tells whether the variable was given a value.
func (l *loader) set(name string) bool { return l.env[name] != "" }

// load parses every variable by itself.
func (l *loader) load() {
	alias := l.env[instancesEndpoint]
	for _, s := range settings {
		if s.parser == nil {
			continue
		}
		value, isSet := l.env[s.Name]
		if s.Name == restEndpoint && value == "" && alias != "" {
			s.Name, value, isSet = instancesEndpoint, alias, true
		}
		if !isSet || value == "" && !s.keepsEmpty {
			value = l.defaultOf(s)
		}
		if err := s.parser(&l.config).parse(value); err != nil {
			l.refuse(s, value, err.Error())
		}
	}
}

func (l *loader) defaultOf(s Setting) string {
	switch {
	case s.Name == restEndpoint && isTrue(l.env["RESOURCE_SYNC_CONFIG"]):
		return ""
	case s.DotAIDefault != "" && l.config.EndpointFormat == DotAI:
		return s.DotAIDefault
	default:
		return s.Default
	}
}

func isTrue(value string) bool {
	var b bool
	return (boolean{&b}).parse(value) == nil && b
}

// resolve computes the defaults that depend on other values or on the machine, and builds the filters.
func (l *loader) resolve() {
	c := &l.config
	if !l.set(maxWait) && l.fine(maxWait, "DEBOUNCE_WINDOW_MS") {
		c.DebounceMaxWait = max(c.DebounceMaxWait, 6*c.DebounceWindow)
	}
	if !l.set("POD_NAME") {
		host, err := os.Hostname()
		c.PodName = strings.ToLower(host)
		if err != nil || c.PodName == "" || dnsSubdomain(c.PodName) != nil {
			l.refuse(setting("POD_NAME"), "", "not set, and the host's name cannot take its place")
		}
	}
	if l.fine("WATCH_RESOURCE_TYPES", "EXCLUDE_RESOURCE_TYPES") {
		types, err := resource.NewFilter(c.watchTypes, slices.Concat(c.excludeTypes, c.definitions()))
		if err != nil { // every pattern by itself is well-formed
			l.fail(&Error{"EXCLUDE_RESOURCE_TYPES", printable(join(c.excludeTypes)),
				"leaves nothing of WATCH_RESOURCE_TYPES=" + printable(join(c.watchTypes)), "at least one type to be left"})
		}
		c.Types = types
	}
	if l.fine("ANNOTATION_INCLUDE", "ANNOTATION_EXCLUDE") {
		annotations, err := resource.NewAnnotationFilter(c.annotationInclude, c.annotationExclude)
		if err != nil {
			l.fail(&Error{"ANNOTATION_INCLUDE", printable(join(c.annotationInclude)), err.Error(), wantAnnotations})
		}
		c.Selection.Annotations = annotations
	}
	if l.fine("LABEL_INCLUDE", "LABEL_EXCLUDE") {
		labels, err := resource.NewLabelFilter(c.labelInclude, c.labelExclude)
		if err != nil {
			l.fail(&Error{"LABEL_INCLUDE", printable(join(c.labelInclude)), err.Error(), wantLabels})
		}
		c.Selection.Labels = labels
	}
	c.Selection.Types, c.Selection.KeepMarks = c.Types, c.ResourceSyncConfig
}

// check compares variables with each other and with the files that they name.
func (l *loader) check() {
	l.checkReceiver()
	l.checkDebounce()
	l.checkNamespaces()
	l.checkLease()
	l.checkServers()
	l.checkDirectories()
}

func (l *loader) checkReceiver() {
	c := &l.config
	if alias, own := l.env[instancesEndpoint], l.env[restEndpoint]; alias != "" && own != "" && alias != own {
		l.refuse(setting(instancesEndpoint), alias, "not the value of "+restEndpoint)
	}
	if c.Endpoint == nil && !c.ResourceSyncConfig && l.fine(restEndpoint, instancesEndpoint, "RESOURCE_SYNC_CONFIG") {
		s := setting(restEndpoint)
		s.Want += ", or RESOURCE_SYNC_CONFIG=true"
		l.refuse(s, "", "empty: there is no receiver")
	}
	if c.EndpointFormat == ClusterWhisperer && c.BatchMaxBytes > whispererMaxBytes && l.fine("BATCH_MAX_BYTES") {
		l.fail(&Error{"BATCH_MAX_BYTES", size[int]{whole[int]{field: &c.BatchMaxBytes, unit: 1}}.String(),
			"more than cluster-whisperer takes", fmt.Sprintf("at most %d", whispererMaxBytes)})
	}
	l.checkToken()
	l.checkFiles()
}

// checkFiles reads the files for connections. Its errors never repeat their contents.
func (l *loader) checkFiles() {
	f := l.config.Files
	for _, file := range []struct {
		name string
		only outbound.Files
	}{
		{"ENDPOINT_CA_FILE", outbound.Files{CA: f.CA}}, {certFile, outbound.Files{Cert: f.Cert, Key: f.Key}}, {headersFile, outbound.Files{Headers: f.Headers}},
	} {
		if err := file.only.Check(); err != nil && l.fine(file.name, keyFile) {
			l.refuse(setting(file.name), l.env[file.name], strings.ReplaceAll(err.Error(), "\n", ", "))
		}
	}
	for _, pair := range [][2]string{{certFile, keyFile}, {keyFile, certFile}} {
		if l.set(pair[0]) && !l.set(pair[1]) && l.fine(pair[0]) {
			l.refuse(setting(pair[0]), l.env[pair[0]], "set without "+pair[1])
		}
	}
	if h, err := f.Header(); err == nil && h.Get("Authorization") != "" && l.config.AuthTokenFile != "" {
		l.refuse(setting(headersFile), f.Headers, "sets Authorization, as AUTH_TOKEN_FILE does")
	}
}

func (l *loader) checkToken() {
	c := &l.config
	const name = "AUTH_TOKEN_FILE"
	if !l.fine(name, "ENDPOINT_FORMAT") || c.Endpoint == nil {
		return
	}
	if c.AuthTokenFile == "" {
		if c.EndpointFormat == DotAI {
			l.refuse(setting(name), "", "not set, and dot-ai answers nobody without a token")
		}
		return
	}
	if problem := tokenProblem(c.AuthTokenFile); problem != "" {
		l.refuse(setting(name), c.AuthTokenFile, problem)
	}
}

func (l *loader) checkDebounce() {
	c := &l.config
	if l.fine(maxWait, "DEBOUNCE_WINDOW_MS") && c.DebounceMaxWait < c.DebounceWindow {
		window := c.DebounceWindow.Milliseconds()
		l.refuse(withWant(maxWait, "at least %d", window), l.env[maxWait], fmt.Sprintf("less than DEBOUNCE_WINDOW_MS=%d", window))
	}
}

func (l *loader) checkNamespaces() {
	c := &l.config
	for _, n := range c.ExcludeNamespaces {
		if slices.Contains(c.WatchNamespaces, n) {
			l.refuse(withWant(excludeNamespaces, "each namespace in one of the two lists"), l.env[excludeNamespaces],
				"has "+n+", which is in WATCH_NAMESPACES too")
		}
	}
}

// checkLease keeps the three times apart. A fifth of the duration leaves room for a renewal that fails once and is
// tried again before the deadline. It also lets a request that is cancelled at the deadline end before others take
// over.
func (l *loader) checkLease() {
	c := &l.config
	if !l.fine(leaseDuration, renewDeadline, renewInterval) {
		return
	}
	margin := c.LeaseDuration / 5
	l.checkOrder(renewDeadline, c.LeaseRenewDeadline, leaseDuration, c.LeaseDuration, margin)
	l.checkOrder(renewInterval, c.LeaseRenewInterval, renewDeadline, c.LeaseRenewDeadline, margin)
}

func (l *loader) checkOrder(name string, value time.Duration, otherName string, other, margin time.Duration) {
	if value+margin <= other {
		return
	}
	l.fail(&Error{name, fmt.Sprint(value.Milliseconds()),
		fmt.Sprintf("too close to %s=%d", otherName, other.Milliseconds()),
		fmt.Sprintf("at least %d (a fifth of LEASE_DURATION_MS) less than %s", margin.Milliseconds(), otherName)})
}

// checkServers refuses two servers on one port, and debug endpoints without the server of metrics. Port 0 means any
// free port, another for each server.
func (l *loader) checkServers() {
	c := &l.config
	if c.DebugEndpoints && c.MetricsBindAddress == Off && l.fine(debugEndpoints, metricsAddress) {
		l.refuse(setting(debugEndpoints), "true", "there is no server for them: "+metricsAddress+"="+Off)
	}
	servers := []struct{ name, address string }{
		{apiAddress, c.APIBindAddress}, {metricsAddress, c.MetricsBindAddress}, {healthAddress, c.HealthProbeBindAddress},
	}
	for i, s := range servers {
		for _, earlier := range servers[:i] {
			if l.fine(s.name, earlier.name) && collide(s.address, earlier.address) {
				l.refuse(withWant(s.name, "another port"), s.address, "the same port as "+earlier.name+"="+earlier.address)
			}
		}
	}
}

func collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || strings.Trim(portA, "0") == "" {
		return false
	}
	everywhere := []string{"", "0.0.0.0", "::"}
	return hostA == hostB || slices.Contains(everywhere, hostA) || slices.Contains(everywhere, hostB)
}

func setting(name string) Setting {
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == name })
	return settings[i]
}

func withWant(name, format string, args ...any) Setting {
	s := setting(name)
	s.Want = fmt.Sprintf(format, args...)
	return s
}

// definitionType is the type of CustomResourceDefinitions.
var definitionType = resource.Type{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Kind: "CustomResourceDefinition"}

// definitions returns the exclusion of CustomResourceDefinitions when CAPABILITIES_ENDPOINT takes them. Then they
// are no instances, unless WATCH_RESOURCE_TYPES names them other than by a glob.
func (c *Config) definitions() []string {
	if c.CapabilitiesEndpoint == nil {
		return nil
	}
	for _, pattern := range c.watchTypes {
		if f, err := resource.NewFilter([]string{pattern}, nil); err == nil && !strings.Contains(pattern, "*") && f.Match(definitionType) {
			return nil
		}
	}
	return []string{definitionType.GroupResource()}
}
