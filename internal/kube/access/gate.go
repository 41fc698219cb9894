package access

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Gate holds the requests of one watch back that would be refused. A nil Gate holds nothing back.
//
//	asking ──allowed, or no answer──▶ open ──a request is refused──▶ asking
type Gate struct {
	ask     func(context.Context) (bool, error)
	most    time.Duration
	refused func()

	mu   sync.Mutex // guards open
	open bool
}

// NewGate returns a gate that asks for the right, at a pace that doubles up to most, and tells
// refused each time that it has to wait.
func NewGate(ask func(context.Context) (bool, error), most time.Duration, refused func()) *Gate {
	return &Gate{ask: ask, most: most, refused: refused}
}

// Admit returns once a request may be made, as far as can be told, or with the error of ctx.
func (g *Gate) Admit(ctx context.Context) error {
	if g == nil || g.isOpen() {
		return nil
	}
	return Wait(ctx, func(ctx context.Context) (bool, error) {
		allowed, err := g.ask(ctx)
		g.set(err == nil && allowed)
		return allowed, err
	}, g.most, g.refused)
}

// Answered takes the error of a request; nil is none.
func (g *Gate) Answered(err error) {
	if g != nil && apierrors.IsForbidden(err) {
		g.set(false)
	}
}

func (g *Gate) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

func (g *Gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
}
