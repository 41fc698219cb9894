package reflector

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Resume decides from which version a Reflector goes on. The code between the Reflector and the API server uses
// it. The zero value goes on from the last version. All methods are safe for concurrent use, and for a nil
// Resume.
//
// An API server accepts a watch from a future version, and the watch stays silent. After a restore of etcd,
// every known version is a future one. The same is true after a restart of an aggregated API that keeps its
// objects in memory. A server that goes back in time ends its watches. So after a watch that ended early, one
// object is listed. The version of that list must not be below the version that the next watch would go on from.
//
//	          ended early            list is below
//	going on ─────────────▶ checking ─────────────▶ anew ──▶ listed without a version ──▶ going on
//	    ▲                      │ list is not below
//	    └──────────────────────┘
type Resume struct {
	mu    sync.Mutex // guards the fields below
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

// Failed notes that a request for a watch failed: the server that answers the next one may have gone back in
// time.
func (r *Resume) Failed() { r.ended(true) }

// Anew makes the next list ignore the last version. The caller has to end the running watch.
func (r *Resume) Anew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = anew
}

// Check tells whether a watch may go on from a version. It returns nil, an error of probe, or, when versions
// have begun anew, an error that makes a Reflector list. probe returns the version of a consistent list, and is
// called only after an early end. If probe lacks the right to list, the watch goes on.
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

// settle sets the state to going on, if it is still the state from.
func (r *Resume) settle(from resumeState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == from {
		r.state = goingOn
	}
}

// List changes the options of a list, streamed or not, to those of a consistent list. Version 0 would mean any
// state in the cache of the answering server, even an old one: objects would seem to vanish and come back.
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

// Listed notes that the Reflector has taken a complete list.
func (r *Resume) Listed() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = goingOn
}

// Probe returns the options of the list whose version [Resume.Check] wants.
func Probe() metav1.ListOptions { return metav1.ListOptions{Limit: 1} }
