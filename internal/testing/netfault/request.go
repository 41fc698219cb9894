package netfault

import (
	"net/http"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// Request is a request on its way to the API server.
type Request struct {
	// Method is the HTTP method, Path the path of the URL.
	Method, Path string
	// Resource is the resource of the request; empty for other paths, such as discovery.
	Resource schema.GroupVersionResource
	// Namespace and Name are those of the path; both are empty for a list of all namespaces.
	Namespace, Name string
	// Watch tells that the request asks for a stream of events, Streamed that the stream is to begin with a list.
	Watch, Streamed bool
	// Limit is the size of a page, 0 for a list in one piece. Continue tells that it is not the first page.
	Limit    int64
	Continue bool
	// Version is the resourceVersion of the request, and FieldSelector and LabelSelector are its selectors.
	Version, FieldSelector, LabelSelector string
	// UserAgent is the client's.
	UserAgent string
}

// list tells whether the request asks for a list that is no stream.
func (r Request) list() bool {
	return r.Method == http.MethodGet && r.Resource.Resource != "" && r.Name == "" && !r.Watch
}

// parse reads the fields of a request.
func parse(r *http.Request) Request {
	q := r.URL.Query()
	flag := func(name string) bool {
		on, err := strconv.ParseBool(q.Get(name))
		return err == nil && on
	}
	limit, _ := strconv.ParseInt(q.Get("limit"), 10, 64) // 0 where there is none
	request := Request{
		Method: r.Method, Path: r.URL.Path, Watch: flag("watch"), Streamed: flag("sendInitialEvents"), Limit: limit,
		Continue: q.Get("continue") != "", Version: q.Get("resourceVersion"),
		FieldSelector: q.Get("fieldSelector"), LabelSelector: q.Get("labelSelector"), UserAgent: r.UserAgent(),
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		request.Resource.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		request.Resource.Group, request.Resource.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return request
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		request.Namespace, parts = parts[1], parts[2:]
	}
	request.Resource.Resource = parts[0]
	if len(parts) > 1 {
		request.Name = parts[1]
	}
	return request
}

// Answer says how the proxy treats a request.
type Answer uint8

// These are the answers.
const (
	// AnswerTruly passes the request, and the API server's answer.
	AnswerTruly Answer = iota
	// AnswerNever takes the request and does not answer it.
	AnswerNever
	// AnswerSilently answers 200 and sends nothing more.
	AnswerSilently
	// AnswerError answers 500.
	AnswerError
	// AnswerHalf leaves out every second item of a list, or every second event of a streamed one, as if it were
	// whole.
	AnswerHalf
	// AnswerEmpty leaves out all of them.
	AnswerEmpty
	// AnswerBroken resets the connection in the middle of a list, or at the end of a streamed one.
	AnswerBroken
)

// Event is an event of a watch on its way to a client.
type Event struct {
	// Request is the request that has opened the stream.
	Request Request
	// Type is the type of the event.
	Type watch.EventType
	// Namespace, Name and Version are those of the object; a bookmark has only the version.
	Namespace, Name, Version string
	// Initial tells that the event belongs to a streamed list, EndsList that it is the bookmark at its end.
	Initial, EndsList bool
}

// Verdict says how the proxy treats an event.
type Verdict uint8

// These are the verdicts.
const (
	// Pass hands the event on.
	Pass Verdict = iota
	// Drop swallows the event.
	Drop
	// Hold hands the event on after the next one that passes: the two change places.
	Hold
	// Freeze swallows the event and all later ones. The stream stays open and dead, also when the API server ends
	// it.
	Freeze
	// End ends the stream properly before the event.
	End
	// Break resets the stream before the event.
	Break
)
