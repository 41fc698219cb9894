package app

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/ownerref"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/notice"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// formingFor is how long members that disagree on the ring hold Events back. Later, two may write the same Event.
const formingFor = 30 * time.Second

// notices are Events about our workload: the StatefulSet, or the pod where there is none.
type notices struct {
	teller    *notice.Teller
	events    corev1client.EventsGetter
	divergent notice.Divergent
}

// run writes Events until ctx ends.
func (n *notices) run(ctx context.Context) error {
	if err := n.teller.Run(ctx, n.events); err != nil {
		return fmt.Errorf("writing Events: %w", err)
	}
	return nil
}

func newNotices(a *App, owner *ownerref.Owner, events corev1client.EventsGetter) *notices {
	return &notices{events: events, teller: notice.NewTeller(notice.Options{
		Member: a.cfg.PodName, Look: a.situation, Log: a.log.WithName("events"),
		Speaks: func() (speaks, known bool) {
			speaker := a.shard.Member.Owner(ownership.Kind{}, "", resource.ID("events")).Member
			forming := a.shard.Member.View().Disagreeing
			return speaker == a.cfg.PodName, speaker != "" && (forming == 0 || forming > formingFor)
		},
		Regarding: func(ctx context.Context) *corev1.ObjectReference {
			o := &corev1.ObjectReference{
				APIVersion: "v1", Kind: "Pod", Name: a.cfg.PodName, UID: types.UID(a.cfg.PodUID), Namespace: a.cfg.PodNamespace,
			}
			for _, set := range owner.Reference(ctx) {
				o.APIVersion, o.Kind, o.Name, o.UID = set.APIVersion, set.Kind, set.Name, set.UID
			}
			return o
		},
	})}
}

// situation gathers the facts that Events report. Package controller reports on receivers of ResourceSyncConfigs.
func (a *App) situation() notice.Situation {
	s := notice.Situation{Restores: a.restores.Count(), Divergent: a.notices.divergent.Take()}
	if t := a.receivers.Get(handoff.Environment); t != nil {
		s.Receiver = notice.ReceiverOf(t.Endpoint(), t.Said())
	}
	return s
}
