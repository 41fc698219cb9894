package access

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Permission holds back the requests of one watch that would be refused. A nil Permission holds back none.
//
//	asking ──allowed, or no answer──▶ open ──a request is refused──▶ asking
type Permission struct {
	ask     func(context.Context) (bool, error)
	most    time.Duration
	refused func()

	mu   sync.Mutex // guards open
	open bool
}

// NewPermission returns a Permission that calls ask, with pauses that double up to most. It calls refused each
// time it begins to wait.
func NewPermission(ask func(context.Context) (bool, error), most time.Duration, refused func()) *Permission {
	return &Permission{ask: ask, most: most, refused: refused}
}

// Admit returns nil once a request is allowed or ask fails. It returns the error of ctx if that ends first.
func (p *Permission) Admit(ctx context.Context) error {
	if p == nil || p.isOpen() {
		return nil
	}
	return Wait(ctx, func(ctx context.Context) (bool, error) {
		allowed, err := p.ask(ctx)
		p.set(err == nil && allowed)
		return allowed, err
	}, p.most, p.refused)
}

// Answered takes the error of a request, which may be nil.
func (p *Permission) Answered(err error) {
	if p != nil && apierrors.IsForbidden(err) {
		p.set(false)
	}
}

func (p *Permission) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

func (p *Permission) set(open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = open
}
