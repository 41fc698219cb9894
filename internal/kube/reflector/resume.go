package reflector

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Resume decides from where a Reflector goes on, for what stands between it and the API server. The zero value goes on
// from the last version. All methods are safe for concurrent use, and for a nil Resume.
//
// A watch that is asked for at a version of the future is accepted and stays silent. After a restore of etcd, or of an
// aggregated API that keeps its objects in memory, every version that was known before is one. Whatever went back in
// time has ended its watches, so before a watch that ended early is begun again, one object is listed: the version of
// that list must not be below the one that the watch would go on from.
//
//	          ended early            list is below
//	going on ─────────────▶ checking ─────────────▶ anew ──▶ listed without a version ──▶ going on
//	    ▲                      │ list is not below
//	    └──────────────────────┘
type Resume struct {
	mu    sync.Mutex // guards what follows
	state resumeState
}

type resumeState uint8

const (
	goingOn resumeState = iota
	checking
	anew
)

// String returns the state in lower case.
func (s resumeState) String() string { return [...]string{"going on", "checking", "anew"}[s] }

// ended notes the end of a watch.
func (r *Resume) ended(early bool) {
	if r == nil || !early {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == goingOn {
		r.state = checking
	}
}

// Failed notes that a watch could not be asked for: whatever is there when it can be again may be another.
func (r *Resume) Failed() { r.ended(true) }

// Anew has everything listed without regard to a version. The watch that runs has to be ended by the caller.
func (r *Resume) Anew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = anew
}

// Check tells whether a watch may go on from a version: nil, an error of probe, or, when versions have begun anew, an
// error that makes a Reflector list. Probe returns the version of a consistent list; it is called only when there is a
// doubt. What it answers with an error for lack of a right is no doubt.
func (r *Resume) Check(ctx context.Context, from string, probe func(ctx context.Context) (version string, err error)) (rewound bool, err error) {
	r.mu.Lock()
	state := r.state
	r.mu.Unlock()
	if state == goingOn {
		return false, nil
	}
	if state == checking {
		now, err := probe(ctx)
		switch {
		case apierrors.IsForbidden(err), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		case err != nil:
			return false, err
		default:
			known, there := resource.ParseVersion(from), resource.ParseVersion(now)
			rewound = known != 0 && there != 0 && there < known
		}
		if !rewound {
			r.settle(checking)
			return false, nil
		}
		r.Anew()
	}
	return rewound, apierrors.NewResourceExpired("versions have begun anew, so everything is listed")
}

// settle goes on, if nothing has happened since a state was left.
func (r *Resume) settle(from resumeState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == from {
		r.state = goingOn
	}
}

// List makes the options of a list, streamed or not, those of a consistent one. Version 0 is any state that the
// answering server has cached, maybe an old one: objects would seem to vanish and come back.
func (r *Resume) List(opts *metav1.ListOptions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == anew || opts.ResourceVersion == "0" {
		opts.ResourceVersion = ""
		if opts.SendInitialEvents == nil {
			opts.ResourceVersionMatch = ""
		}
	}
}

// Listed notes that a complete list has been taken.
func (r *Resume) Listed() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = goingOn
}

// Probe are the options of the list whose version [Resume.Check] wants.
func Probe() metav1.ListOptions { return metav1.ListOptions{Limit: 1} }
