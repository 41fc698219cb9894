package access_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
)

// TestPermission: a Permission asks before the first request and after each refused one. It waits while the
// answer is no, and lets all other requests through.
func TestPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no rule"))
		asked, told := 0, 0
		var allowed atomic.Bool
		allowed.Store(true)
		var noAnswer error
		p := access.NewPermission(func(context.Context) (bool, error) { asked++; return allowed.Load(), noAnswer }, time.Minute, func() { told++ })
		admit := func(want time.Duration) {
			t.Helper()
			began := time.Now()
			if err := p.Admit(t.Context()); err != nil {
				t.Errorf("Admit returned %v", err)
			}
			if took := time.Since(began); took < want || took > want+time.Minute {
				t.Errorf("admitted after %v, want %v", took, want)
			}
		}
		admit(0)
		admit(0)
		p.Answered(nil)
		p.Answered(errors.New("of another kind"))
		admit(0)
		if asked != 1 {
			t.Errorf("asked %d times, want once", asked)
		}
		p.Answered(forbidden)
		allowed.Store(false)
		time.AfterFunc(time.Hour, func() { allowed.Store(true) })
		admit(time.Hour)
		if told != 1 || asked > 70 {
			t.Errorf("told %d times of a refusal, and asked %d times", told, asked)
		}
		p.Answered(forbidden)
		noAnswer = errors.New("no answer")
		admit(0)
		noAnswer = nil
		allowed.Store(false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Admit(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Admit returned %v: what was not answered is no permission", err)
		}
		if err := (*access.Permission)(nil).Admit(t.Context()); err != nil {
			t.Errorf("a nil Permission returned %v", err)
		}
	})
}
