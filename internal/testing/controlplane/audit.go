package controlplane

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// auditPolicy has every request logged, without bodies: a watch once when its response begins, and each request once
// when it ends.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// ErrNoAudit says that a method needs [Options.AuditLog], which is off.
var ErrNoAudit = errors.New("the audit log is off, want Options.AuditLog")

// AuditEvent is one request that the API server answered. Watches that have not ended are in the log too.
type AuditEvent struct {
	// Verb is Kubernetes' word: get, list, watch, create, update, patch, delete or deletecollection. For a path that
	// is no resource, it is the HTTP method in lower case.
	Verb string
	// Group, Resource, Subresource, Namespace and Name are those of the request; all are empty for other paths.
	Group, Resource, Subresource, Namespace, Name string
	// User and UserAgent identify the client.
	User, UserAgent string
	// URI is the path with its query.
	URI string
	// Code is the HTTP status of the response.
	Code int
	// Received is when the API server got the request, by its own clock.
	Received time.Time
}

// Request is the key by which [RequestCounts] counts.
type Request struct {
	Verb, Group, Resource string
}

// RequestCounts counts events by verb and resource. The names of subresources are appended to the resource's, as in
// pods/status. Requests for other paths are counted under their verb alone.
func RequestCounts(events []AuditEvent) map[Request]int {
	counts := make(map[Request]int)
	for _, e := range events {
		r := Request{Verb: e.Verb, Group: e.Group, Resource: e.Resource}
		if e.Subresource != "" {
			r.Resource += "/" + e.Subresource
		}
		counts[r]++
	}
	return counts
}

// AuditEvents returns all requests since the first start, in the order in which they were logged, each one once.
// Where tests share the control plane, it returns those since the beginning of the test. A request is in the log
// before its client has the end of the response.
func (c *ControlPlane) AuditEvents() ([]AuditEvent, error) {
	if !c.opts.AuditLog {
		return nil, ErrNoAudit
	}
	file, err := os.Open(c.auditLog())
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(c.turn.audited.Load(), io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	since := time.Unix(0, c.turn.began.Load())
	var events []AuditEvent
	seen := make(map[string]bool) // by audit ID: the log has the beginning and the end of a watch
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil { // a last line without its end is still being written
			return events, nil
		}
		var entry auditEntry
		if err := json.Unmarshal(line, &entry); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		// A request of an earlier test may end within our time: a watch, or a request of a process that was killed.
		if !seen[entry.AuditID] && !entry.Received.Before(since) {
			seen[entry.AuditID] = true
			events = append(events, entry.event())
		}
	}
}

// auditEnd returns the end of the last whole line of the log.
func (c *ControlPlane) auditEnd() (int64, error) {
	content, err := os.ReadFile(c.auditLog())
	if err != nil {
		return 0, fmt.Errorf("reading the audit log: %w", err)
	}
	return int64(bytes.LastIndexByte(content, '\n') + 1), nil
}

func (c *ControlPlane) auditLog() string { return filepath.Join(c.dir, "audit.log") }

// auditEntry is the part of a line of the log that we read.
type auditEntry struct {
	AuditID    string    `json:"auditID"`
	Verb       string    `json:"verb"`
	RequestURI string    `json:"requestURI"`
	UserAgent  string    `json:"userAgent"`
	Received   time.Time `json:"requestReceivedTimestamp"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

func (e *auditEntry) event() AuditEvent {
	return AuditEvent{
		Verb:        e.Verb,
		Group:       e.ObjectRef.APIGroup,
		Resource:    e.ObjectRef.Resource,
		Subresource: e.ObjectRef.Subresource,
		Namespace:   e.ObjectRef.Namespace,
		Name:        e.ObjectRef.Name,
		User:        e.User.Username,
		UserAgent:   e.UserAgent,
		URI:         e.RequestURI,
		Code:        e.ResponseStatus.Code,
		Received:    e.Received,
	}
}
