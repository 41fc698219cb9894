package watch

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
)

// errNoRight means that the API server has denied the right when asked for it, so no request was made.
var errNoRight = errors.New("its account may not list and watch it")

// admitted returns once the type may be read, as far as we know, or ctx has ended. It asks the API server only
// after a refused request, or, where rights are granted by namespace, before the first request.
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
	return access.Wait(ctx, ask, access.Often, w.refused) // An error means that the round is ending.
}

// mustAsk tells whether to ask for the right before a request.
func (w *watcher) mustAsk() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.denied || !w.asked && w.m.opts.Narrow()
}

// leftOut tells whether only namespaces may be read and the type is in none.
func (w *watcher) leftOut() bool { return !w.t.Namespaced && w.m.opts.Alone() }

// deny notes a refused request; it ignores other errors.
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
