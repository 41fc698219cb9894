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
	// Method is that of HTTP, Path the path of the URL.
	Method, Path string
	// Resource is what is asked for; empty for what is no resource, such as discovery.
	Resource schema.GroupVersionResource
	// Namespace and Name are those of the path; both are empty for a list of everything.
	Namespace, Name string
	// Watch says that a stream of events is asked for, Streamed that it is to begin with a list.
	Watch, Streamed bool
	// Limit is the size of a page, 0 for a list in one piece, and Continue says that it is not the first.
	Limit    int64
	Continue bool
	// Version is the resourceVersion that is asked for, and FieldSelector and LabelSelector narrow what is asked for.
	Version, FieldSelector, LabelSelector string
	// UserAgent is the client's.
	UserAgent string
}

// list tells whether a list is asked for, and no stream.
func (r Request) list() bool {
	return r.Method == http.MethodGet && r.Resource.Resource != "" && r.Name == "" && !r.Watch
}

// parse reads what a request is about.
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

// Answer is what becomes of a request.
type Answer uint8

// The answers.
const (
	// AnswerTruly passes the request, and what the API server answers.
	AnswerTruly Answer = iota
	// AnswerNever takes the request and does not answer it.
	AnswerNever
	// AnswerSilently says 200 and nothing more.
	AnswerSilently
	// AnswerError says 500.
	AnswerError
	// AnswerHalf leaves out every second item of a list, or every second event of a streamed one, as if it were whole.
	AnswerHalf
	// AnswerEmpty leaves out all of them.
	AnswerEmpty
	// AnswerBroken resets the connection in the middle of a list, or at the end of a streamed one.
	AnswerBroken
)

// Event is an event of a watch on its way to a client.
type Event struct {
	// Request is what has opened the stream.
	Request Request
	// Type is the event's.
	Type watch.EventType
	// Namespace, Name and Version are those of the object; of a bookmark only the version is there.
	Namespace, Name, Version string
	// Initial says that the event belongs to a streamed list, EndsList that it is the bookmark at its end.
	Initial, EndsList bool
}

// Verdict is what becomes of an event.
type Verdict uint8

// The verdicts.
const (
	// Pass hands the event on.
	Pass Verdict = iota
	// Drop swallows it.
	Drop
	// Hold hands it on after the next one that passes: the two change places.
	Hold
	// Freeze swallows it and all that come later. The stream stays open and dead, also when the API server ends it.
	Freeze
	// End ends the stream properly before it.
	End
	// Break resets the stream before it.
	Break
)
