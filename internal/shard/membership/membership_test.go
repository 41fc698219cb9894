package membership_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is one replica.
type process struct {
	*membership.Membership
	client *client
	stop   context.CancelFunc
	ended  chan error
}

// start runs a replica. It must be called in a bubble.
func start(t *testing.T, s *server, pod, uid string, change ...func(*membership.Options, *client)) *process {
	t.Helper()
	begun := time.Now()
	c := &client{server: s}
	o := membership.Options{
		RingName: "vs", Namespace: "default", PodName: pod, PodUID: uid,
		Now: func() time.Duration { return time.Since(begun) },
	}
	for _, f := range change {
		f(&o, c)
	}
	m, err := membership.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{Membership: m, client: c, stop: cancel, ended: make(chan error, 1)}
	go func() { p.ended <- m.Run(ctx) }()
	return p
}

// kill ends a replica as kill -9 does: its Lease is not released.
func (p *process) kill() {
	p.stop()
	<-p.ended
}

// leave ends a replica in good order.
func (p *process) leave(t *testing.T) {
	t.Helper()
	if err := p.Release(t.Context()); err != nil {
		t.Errorf("Release: %v", err)
	}
	p.kill()
}

// maySend tells whether the replica may send for a partition.
func (p *process) maySend(partition int) bool {
	return p.Owned().Rest().Has(partition) && p.BeforeWrite() == nil
}

// admit admits the replica's gains, and returns them.
func (p *process) admit() ownership.Gains {
	gains, token := p.Gains()
	p.Admit(token)
	return gains
}

// sends counts the partitions that the replica may send for.
func (p *process) sends() int {
	n := 0
	for i := range ring.DefaultFormat().Partitions {
		if p.maySend(i) {
			n++
		}
	}
	return n
}

// wantAll checks that the replicas share all partitions evenly, each with one owner, and agree on that.
func wantAll(t *testing.T, ps ...*process) {
	t.Helper()
	for i := range 4093 {
		n := 0
		for _, p := range ps {
			if p.maySend(i) {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("%d replicas may send for partition %d, want 1", n, i)
		}
	}
	for _, p := range ps {
		if n, mean := p.sends(), 4093/len(ps); n > mean*106/100+1 {
			t.Errorf("%s may send for %d partitions, want about %d", p.View().Member, n, mean)
		}
		if v := p.View(); v.Disagreeing != 0 || v.Orphans != 0 || v.Conflicts != 0 {
			t.Errorf("%s sees disagreement for %v, %d orphans and %d conflicts, want none", v.Member, v.Disagreeing, v.Orphans, v.Conflicts)
		}
	}
}

func TestFirstMemberOfARingBeginsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, newServer(), "a", "u1")
		time.Sleep(time.Second)
		wantAll(t, a)
		a.leave(t)
	})
}

func TestLoneMemberGoesOnAtOnceAfterARollingRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := start(t, s, "a", "u1")
		time.Sleep(20 * time.Second)
		a.leave(t)
		if o := s.get("vs-a"); o == nil || *o.Spec.HolderIdentity != "" {
			t.Errorf("released Lease has holder %v, want an empty one", o.Spec.HolderIdentity)
		}
		b := start(t, s, "a", "u2")
		time.Sleep(100 * time.Millisecond)
		wantAll(t, b)
		b.leave(t)
	})
}

func TestLoneMemberGoesOnAtOnceAfterARestartOfItsContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := start(t, s, "a", "u1")
		time.Sleep(20 * time.Second)
		a.kill()
		b := start(t, s, "a", "u1", admission)
		time.Sleep(100 * time.Millisecond)
		if g := b.admit(); !g.All.Equal(g.Crashed) {
			t.Fatalf("%d partitions were gained by a crash, want all: what the process before had in flight is unknown", g.Crashed.Rest().Len())
		}
		wantAll(t, b)
		b.leave(t)
	})
}

// ringOf starts replicas and waits until they share the work.
func ringOf(t *testing.T, s *server, pods ...string) []*process {
	t.Helper()
	ps := make([]*process, len(pods))
	for i, pod := range pods {
		ps[i] = start(t, s, pod, "uid-"+pod)
	}
	time.Sleep(20 * time.Second)
	wantAll(t, ps...)
	return ps
}

func TestJoinAndLeaveHandOverWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		c := start(t, s, "c", "uid-c")
		time.Sleep(500 * time.Millisecond)
		wantAll(t, ps[0], ps[1], c)
		c.leave(t)
		time.Sleep(500 * time.Millisecond)
		wantAll(t, ps...)
		ps[0].leave(t)
		ps[1].leave(t)
	})
}

func TestMembersThatJoinTogetherCostOneHandoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := ringOf(t, s, "a")[0]
		before := a.View().Members[0].Lease.Version
		var joined []*process
		for _, pod := range []string{"b", "c", "d", "e"} {
			joined = append(joined, start(t, s, pod, "uid-"+pod))
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Second)
		wantAll(t, append(joined, a)...)
		views := 0
		s.mu.Lock()
		last := ""
		for i, e := range s.log {
			if o := e.Object.(interface{ GetName() string }); s.versions[i] > before && o.GetName() == "vs-a" {
				if v := e.Object.(interface{ GetAnnotations() map[string]string }).GetAnnotations()["vectordb-sync.io/view"]; v != last {
					views, last = views+1, v
				}
			}
		}
		s.mu.Unlock()
		if views > 2 { // the view it had, in a renewal, and the new one
			t.Errorf("a published %d views, want one for all four that joined", views)
		}
		for _, p := range append(joined, a) {
			p.leave(t)
		}
	})
}

func TestCrashedMemberIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := []*process{start(t, s, "a", "uid-a", admission), start(t, s, "b", "uid-b"), start(t, s, "c", "uid-c")}
		time.Sleep(20 * time.Second)
		ps[0].admit()
		wantAll(t, ps...)
		ps[2].kill()
		time.Sleep(16 * time.Second)
		crashed := ps[0].admit().Crashed.Rest().Len()
		wantAll(t, ps[0], ps[1])
		if crashed < 600 || crashed > 800 {
			t.Errorf("%d partitions were gained by the crash, want half of the dead one's", crashed)
		}
		ps[0].leave(t)
		ps[1].leave(t)
	})
}

func TestMemberCutOffFromTheServerIsFencedBeforeItIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		a, b := ps[0], ps[1]
		request, cancel := a.WithFence(t.Context())
		defer cancel()
		cutAt := time.Now()
		a.client.set(func() { a.client.cut = true })
		<-request.Done()
		if d := time.Since(cutAt); d > 10*time.Second {
			t.Errorf("a request in flight was cancelled %v after the server was gone, want at most 10 s", d)
		}
		if err := context.Cause(request); !errors.Is(err, membership.ErrFenced) {
			t.Errorf("it was cancelled because of %v, want ErrFenced", err)
		}
		if err := a.BeforeWrite(); !errors.Is(err, membership.ErrFenced) || a.sends() != 0 {
			t.Errorf("BeforeWrite = %v and %d partitions to send for, want ErrFenced and none", err, a.sends())
		}
		if n := b.sends(); n > 2200 {
			t.Errorf("b may send for %d partitions while a may just have been fenced, want its half", n)
		}
		time.Sleep(12 * time.Second)
		wantAll(t, b)
		a.client.set(func() { a.client.cut = false })
		time.Sleep(5 * time.Second)
		wantAll(t, a, b)
		if err := a.BeforeWrite(); err != nil {
			t.Errorf("BeforeWrite after all = %v, want nil", err)
		}
		a.leave(t)
		b.leave(t)
	})
}

// slowDrainer is a Drainer with one request in flight.
type slowDrainer struct {
	mu   sync.Mutex
	lost ownership.Area
	done chan struct{}
}

func (g *slowDrainer) Drain(lost ownership.Area) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lost, g.done = lost, make(chan struct{})
	return g.done
}

func TestNewViewWaitsForRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newServer(), &slowDrainer{}
		a := start(t, s, "a", "u1", func(o *membership.Options, _ *client) { o.Drainer = g })
		time.Sleep(20 * time.Second)
		b := start(t, s, "b", "u2")
		time.Sleep(time.Minute)
		if n := b.sends(); n != 0 {
			t.Errorf("b may send for %d partitions while a has requests in flight, want none", n)
		}
		kept := a.sends()
		if kept < 1900 || kept > 2200 {
			t.Errorf("a may send for %d partitions, want the half that it keeps", kept)
		}
		for p := range 4093 {
			if g.lost.Has(ownership.Kind{}, "", p) == a.maySend(p) {
				t.Fatalf("partition %d: lost, and MaySend, too", p)
			}
		}
		close(g.done)
		time.Sleep(200 * time.Millisecond)
		wantAll(t, a, b)
		a.stop()
		<-a.ended
		b.leave(t)
	})
}

func TestChangesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		for _, p := range ps {
			select {
			case <-p.Changes():
			default:
				t.Fatal("nothing was told though partitions were gained")
			}
		}
		time.Sleep(time.Minute)
		select {
		case <-ps[0].Changes():
			t.Error("a change was told though only renewals happened")
		default:
		}
		ps[1].leave(t)
		<-ps[0].Changes()
		ps[0].leave(t)
	})
}

// TestChanges_MemberJoins_AreToldOnceItIsInTheView, although the view is published after all that moves was lost.
func TestChanges_MemberJoins_AreToldOnceItIsInTheView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		a := ringOf(t, s, "a")[0]
		<-a.Changes()
		b := start(t, s, "b", "uid-b")
		var seen []string
		for over := time.After(20 * time.Second); over != nil; {
			select {
			case <-a.Changes():
				seen = a.View().View
			case <-over:
				over = nil
			}
		}
		if want := []string{"a", "b"}; !slices.Equal(seen, want) {
			t.Errorf("at the last change the view was %v, want %v", seen, want)
		}
		b.leave(t)
		a.leave(t)
	})
}

func TestOwnerOfAnID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		ps := ringOf(t, s, "a", "b")
		id := resource.ID("default/apps/v1/Deployment/nginx")
		x, y := ps[0].Owner(ownership.Kind{}, "", id), ps[1].Owner(ownership.Kind{}, "", id)
		if x.Member != y.Member || x.MaySend == y.MaySend || len(x.Claimants) != 1 || x.Claimants[0] != x.Member || x.Partition != 261 {
			t.Errorf("owners are %+v and %+v, want one and the same", x, y)
		}
		if ps[0].MaySend(id) != x.MaySend {
			t.Error("MaySend and Owner differ")
		}
		ps[0].leave(t)
		ps[1].leave(t)
	})
}

func TestNewNamesEverythingThatIsWrong(t *testing.T) {
	_, err := membership.New(&client{server: newServer()}, membership.Options{
		RingName: "Bad Name", Timings: ownership.Timings{LeaseDuration: 1, RenewDeadline: 2, RenewInterval: 3},
	})
	if err == nil {
		t.Fatal("New succeeded, want an error")
	}
	for _, want := range []string{"ring name", "namespace", "pod name", "pod UID", "lease duration", "renew deadline"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention the %s", err, want)
		}
	}
}

func BenchmarkMaySend(b *testing.B) {
	m, err := membership.New(&client{server: newServer()}, membership.Options{RingName: "vs", Namespace: "default", PodName: "a", PodUID: "u"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.MaySend("default/apps/v1/Deployment/nginx")
	}
}
