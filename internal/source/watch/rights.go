package watch

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
)

// errNoRight is what the API server has said of a right, without a request that it would have had to refuse.
var errNoRight = errors.New("its account may not list and watch it")

// admitted returns once the type may be read, as far as can be told, or ctx has ended. Nobody is asked as
// long as nothing has been refused, but before the first request where rights are given by namespace.
//
//	          refused, or the first time by namespace         allowed, or no answer
//	reading ──────────────────────────────────────────▶ asking ────────────────────▶ reading
//	                                                     │  ▲
//	                                                     ╰──╯ not allowed, after a pause that doubles
func (l *requester) admitted(ctx context.Context) error {
	w := l.w
	if w.leftOut() {
		w.refused()
		<-ctx.Done()
		return ctx.Err()
	}
	may := w.m.opts.MayRead
	if may == nil || !w.mustAsk() {
		return nil
	}
	ask := func(ctx context.Context) (bool, error) {
		allowed, err := may(ctx, w.t)
		if err == nil && allowed {
			w.allowed()
		}
		return allowed, err
	}
	return access.Wait(ctx, ask, access.Often, w.refused) // The round is ending.
}

// mustAsk tells whether a right is to be asked about before a request is made.
func (w *watcher) mustAsk() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.denied || !w.asked && w.m.opts.Narrow()
}

// leftOut tells whether the type is in no namespace, where namespaces are all there is to be read.
func (w *watcher) leftOut() bool { return !w.t.Namespaced && w.m.opts.Alone() }

// deny notes that a request was refused, if it was.
func (w *watcher) deny(err error) {
	if !apierrors.IsForbidden(err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied = true
}

// allowed notes that the type may be read.
func (w *watcher) allowed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.denied = true, false
}

// refused notes that the type may not be read.
func (w *watcher) refused() {
	w.mu.Lock()
	w.asked, w.denied = true, true
	w.mu.Unlock()
	err := apierrors.NewForbidden(schema.GroupResource{Group: w.t.Group, Resource: w.t.Resource}, "", errNoRight)
	if w.leftOut() {
		w.failedInto(Unreadable, err)
		return
	}
	w.fail(err)
}
