package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

func TestReasonFor(t *testing.T) {
	t.Parallel()
	gr := schema.GroupResource{Group: "example.com", Resource: "widgets"}
	generic := func(code int) error { return apierrors.NewGenericServerResponse(code, "list", gr, "", "", 0, true) }
	undecodable := apierrors.NewClientErrorReporter(500, "watch", "ClientWatchDecoding").AsObject(errors.New("no kind"))
	for name, tc := range map[string]struct {
		err  error
		want watch.Reason
	}{
		"nil":                   {nil, ""},
		"403":                   {forbidden(widgets), watch.Forbidden},
		"wrapped 403":           {fmt.Errorf("listing: %w", forbidden(widgets)), watch.Forbidden},
		"401":                   {apierrors.NewUnauthorized(""), watch.Unauthorized},
		"404":                   {apierrors.NewNotFound(gr, ""), watch.NotFound},
		"404 of a proxy":        {generic(404), watch.NotFound},
		"405":                   {apierrors.NewMethodNotSupported(gr, "watch"), watch.NotFound},
		"410 of a watch":        {apierrors.NewResourceExpired(""), watch.Expired},
		"410":                   {apierrors.NewGone(""), watch.Expired},
		"429":                   {apierrors.NewTooManyRequests("", 1), watch.Throttled},
		"500 of a webhook":      {apierrors.NewInternalError(errors.New("conversion webhook failed")), watch.ServerError},
		"500 without a status":  {generic(500), watch.ServerError},
		"502":                   {generic(502), watch.Unavailable},
		"503":                   {unavailable(), watch.Unavailable},
		"503 without a status":  {generic(503), watch.Unavailable},
		"504":                   {apierrors.NewTimeoutError("", 0), watch.Unavailable},
		"406":                   {generic(http.StatusNotAcceptable), watch.Undecodable},
		"no metadata":           {apierrors.FromObject(undecodable), watch.Undecodable},
		"connection refused":    {refused(), watch.Unavailable},
		"connection closed":     {io.ErrUnexpectedEOF, watch.Unavailable},
		"own deadline":          {context.DeadlineExceeded, watch.Unanswered},
		"something else":        {errors.New("boom"), watch.Other},
		"status of other kinds": {apierrors.NewBadRequest("x"), watch.Other},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := watch.ReasonFor(tc.err); got != tc.want {
				t.Errorf("reason is %q, want %q", got, tc.want)
			}
		})
	}
}
