package membership

import (
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// RingLabel is the label by which the Leases of a ring are found; its value is the name of the ring.
const RingLabel = "vectordb-sync.io/ring"

// Annotations of a Lease.
const (
	prefix     = "vectordb-sync.io/"
	keyPodUID  = prefix + "pod-uid"
	keyProcess = prefix + "incarnation"
	keyState   = prefix + "state"
	keyFormat  = prefix + "ring-format"
	keyView    = prefix + "view"
	keyViews   = prefix + "publication"
	keySeen    = prefix + "seen"
	keySince   = prefix + "seen-since"
	keyVouches = prefix + "vouches"
	keySole    = prefix + "sole"
	keyTakes   = prefix + "takes"
	keyYields  = prefix + "yields"
)

func leaseName(ring, member string) string { return ring + "-" + member }

// decode reads a Lease. It never fails: a part that cannot be read has its zero value, and a Lease without a
// readable view claims nothing.
func decode(ring string, o *coordinationv1.Lease) ownership.Lease {
	a := o.Annotations
	l := ownership.Lease{
		Member:      strings.TrimPrefix(o.Name, ring+"-"),
		UID:         a[keyPodUID],
		Incarnation: a[keyProcess],
		Version:     resource.ParseVersion(o.ResourceVersion),
		Format:      a[keyFormat],
		Publication: resource.ParseVersion(a[keyViews]),
		Seen:        resource.ParseVersion(a[keySeen]),
		Since:       resource.ParseVersion(a[keySince]),
		Vouches:     a[keyVouches] == "true",
		Sole:        a[keySole] == "true",
	}
	switch a[keyState] {
	case ownership.Released.String():
		l.State = ownership.Released
	case ownership.Dead.String():
		l.State = ownership.Dead
	}
	if v := a[keyView]; v != "" {
		l.View = strings.Split(v, ",")
	}
	var takes, yields bool
	l.Takes, takes = ownership.ParseParts(a[keyTakes])
	if l.Yields, yields = ownership.ParseParts(a[keyYields]); !takes || !yields {
		l.Format += "?" // Its claim cannot be read, hence may be anything.
	}
	return l
}

// encode writes the content of a Lease into o, which is a Lease as it was read, or a new one.
func encode(ring string, l *ownership.Lease, o *coordinationv1.Lease) {
	o.Name = leaseName(ring, l.Member)
	if o.Labels == nil {
		o.Labels = make(map[string]string)
	}
	o.Labels["app.kubernetes.io/name"] = "k8s-vectordb-sync"
	o.Labels[RingLabel] = ring
	annotations := make(map[string]string)
	for k, v := range o.Annotations {
		if !strings.HasPrefix(k, prefix) {
			annotations[k] = v
		}
	}
	set := func(key, value string) {
		if value != "" {
			annotations[key] = value
		}
	}
	set(keyPodUID, l.UID)
	set(keyProcess, l.Incarnation)
	set(keyState, l.State.String())
	set(keyFormat, l.Format)
	set(keyView, strings.Join(l.View, ","))
	set(keyViews, strconv.FormatUint(l.Publication, 10))
	set(keySeen, strconv.FormatUint(l.Seen, 10))
	set(keySince, strconv.FormatUint(l.Since, 10))
	set(keyVouches, strconv.FormatBool(l.Vouches))
	set(keySole, strconv.FormatBool(l.Sole))
	set(keyTakes, ownership.FormatParts(l.Takes))
	set(keyYields, ownership.FormatParts(l.Yields))
	o.Annotations = annotations
}

// stamp writes the holder and the time into o, one of our own Leases. They are for people and for other tools;
// the protocol does not depend on them. But every renewal must differ from the one before, or the server would
// not count it as a write.
func stamp(l *ownership.Lease, duration time.Duration, wall time.Time, o *coordinationv1.Lease) {
	holder, seconds, now := l.Member+"_"+l.UID, int32(max(duration/time.Second, 1)), metav1.NewMicroTime(wall)
	if l.State == ownership.Released {
		holder = ""
	}
	if o.Spec.HolderIdentity == nil || *o.Spec.HolderIdentity != holder {
		transitions := int32(1)
		if o.Spec.LeaseTransitions != nil {
			transitions += *o.Spec.LeaseTransitions
		}
		o.Spec.AcquireTime, o.Spec.LeaseTransitions = &now, &transitions
	}
	o.Spec.HolderIdentity, o.Spec.LeaseDurationSeconds, o.Spec.RenewTime = &holder, &seconds, &now
}
