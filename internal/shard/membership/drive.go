package membership

import (
	"context"
	"strconv"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// drive performs what the machine asks for until ctx ends, until is closed, or an error ends the membership. It
// waits for everything it has begun.
func (m *Membership) drive(ctx context.Context, until <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	var hands sync.WaitGroup
	defer hands.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(m.step(ctx, &hands))
		select {
		case <-ctx.Done():
			return nil
		case <-until:
			return nil
		case err := <-m.fatal:
			return err
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// errands records which work of the driver's goroutines is under way. It is guarded by Membership.mu.
type errands struct {
	draining uint64 // token of the last drain that was asked for
	retiring bool
}

// step begins all work that is due, each in a goroutine of its own that ends with ctx, and returns the time until
// the next step.
func (m *Membership) step(ctx context.Context, hands *sync.WaitGroup) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.opts.Now()
	m.machine.Tick(now)
	m.follow(now)
	if d, ok := m.machine.Drain(); ok && d.Token != m.errands.draining {
		m.errands.draining = d.Token
		done := m.ask(d)
		hands.Go(func() { m.awaitDrain(ctx, d.Token, done) })
	}
	if w, ok := m.machine.BeginWrite(now); ok {
		m.follow(now)
		object := m.object(&w)
		hands.Go(func() { m.write(ctx, w, object) })
	}
	if !m.errands.retiring {
		if due := m.prepare(m.machine.Retirements(now)); len(due) > 0 {
			m.errands.retiring = true
			hands.Go(func() { m.retire(ctx, due) })
		}
	}
	if m.machine.Stalled(now) {
		m.relist.Wake()
	}
	return m.machine.Wake(now) - now
}

// ask asks the senders to let requests end.
func (m *Membership) ask(d ownership.Drain) <-chan struct{} {
	if m.opts.Drainer == nil {
		done := make(chan struct{})
		close(done)
		return done
	}
	return m.opts.Drainer.Drain(d.Lost)
}

func (m *Membership) awaitDrain(ctx context.Context, token uint64, done <-chan struct{}) {
	select {
	case <-done:
		m.do(func(now time.Duration) { m.machine.Drained(token, now) })
	case <-ctx.Done():
		m.mu.Lock() // the next driver has to ask again
		if m.errands.draining == token {
			m.errands.draining = 0
		}
		m.mu.Unlock()
	}
}

// object returns our Lease in the form in which it is sent.
func (m *Membership) object(w *ownership.Write) *coordinationv1.Lease {
	o := &coordinationv1.Lease{}
	if w.Base != 0 && m.leases.own != nil {
		o = m.leases.own.DeepCopy()
	}
	if w.Base != 0 { // With the UID in it, the server refuses to create a Lease where there is none.
		o.ResourceVersion = strconv.FormatUint(w.Base, 10)
	}
	encode(m.opts.RingName, &w.Lease, o)
	stamp(&w.Lease, m.opts.Timings.LeaseDuration, time.Now(), o)
	return o
}

// write performs one write of our own Lease. Its bound is far below the renew deadline, so that another write
// fits in before the fence.
func (m *Membership) write(ctx context.Context, w ownership.Write, o *coordinationv1.Lease) {
	bounded, cancel := context.WithTimeout(ctx, m.opts.Timings.RenewDeadline/3)
	defer cancel()
	var answer *coordinationv1.Lease
	var err error
	before := m.newest()
	verb := "update"
	if w.Base == 0 {
		verb = "create"
		answer, err = m.client.Create(bounded, o, metav1.CreateOptions{})
	} else {
		answer, err = m.client.Update(bounded, o, metav1.UpdateOptions{})
	}
	if err != nil {
		m.failed(ctx, verb, err)
		return
	}
	m.metrics.writes.WithLabelValues("succeeded").Inc()
	m.do(func(now time.Duration) {
		if m.keepRead(answer, before) {
			m.machine.Restored()
		}
		m.machine.EndWrite(ownership.Succeeded, resource.ParseVersion(answer.ResourceVersion), now)
	})
}

// failed takes the failure of a write and reads our Lease, to know its state sooner than the watch shows it.
func (m *Membership) failed(ctx context.Context, verb string, err error) {
	outcome := ownership.Unknown
	label := "failed"
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		outcome, label = ownership.Conflicted, "conflicted"
	}
	m.metrics.writes.WithLabelValues(label).Inc()
	m.do(func(now time.Duration) {
		m.machine.EndWrite(outcome, 0, now)
		if outcome == ownership.Unknown && ctx.Err() == nil { // a lost race is no failure
			m.known.failed(m.log, err)
		}
	})
	m.refused(verb, err)
	before := m.newest()
	bounded, cancel := context.WithTimeout(ctx, m.opts.Timings.RenewDeadline/3)
	defer cancel()
	o, err := m.client.Get(bounded, leaseName(m.opts.RingName, m.opts.PodName), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		m.do(func(now time.Duration) { m.machine.Reread(nil, now) })
	case err != nil:
		m.refused("get", err)
	case o.Labels[RingLabel] != m.opts.RingName && o.Annotations[keyPodUID] == "":
		m.log.Info("The name of our Lease is taken by something else", "lease", o.Name, "label", RingLabel)
	default:
		l := decode(m.opts.RingName, o)
		m.do(func(now time.Duration) {
			if m.keepRead(o, before) {
				m.machine.Restored()
			}
			m.machine.Reread(&l, now)
		})
	}
}

// refused ends Run when the server denies a needed request before we have ever joined.
func (m *Membership) refused(verb string, err error) {
	if !apierrors.IsForbidden(err) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// Joining takes a list and a write, and may be quicker than the first watch, without which membership is worth
	// nothing.
	if m.known.everJoined && (verb != "watch" || m.known.watched) {
		m.known.denied(m.log, verb, err)
		return
	}
	select {
	case m.fatal <- &PermissionError{Verb: verb, Namespace: m.opts.Namespace, Err: err}:
	default:
	}
}

// newest returns the version of our Lease as last seen, before a request.
func (m *Membership) newest() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leases.newest()
}

// keepRead remembers our Lease as the server itself has answered. If its version is below one that was seen
// before the request began, the cluster has gone back in time. Then the answer is the truth, all Leases are
// listed again, and keepRead returns true. The caller holds mu.
func (m *Membership) keepRead(o *coordinationv1.Lease, before uint64) (restored bool) {
	if version := resource.ParseVersion(o.ResourceVersion); version == 0 || version >= before {
		m.leases.keep(o)
		return false
	}
	m.log.Info("Our Lease is older than it was: the cluster has gone back in time", "version", o.ResourceVersion, "before", before)
	m.relist.Wake()
	m.opts.Streams.Restored(reflector.Leases)
	m.restored(o)
	return true
}

// retired is a retirement with the Lease that it changes.
type retired struct {
	ownership.Retirement
	object *coordinationv1.Lease
}

// prepare pairs retirements with the Leases as they were last seen.
func (m *Membership) prepare(rs []ownership.Retirement) []retired {
	var due []retired
	for _, r := range rs {
		seen := m.leases.objects[r.Member]
		if seen == nil || decode(m.opts.RingName, seen).Version != r.Version {
			continue
		}
		o := seen.DeepCopy()
		if r.Kind != ownership.Collect {
			encode(m.opts.RingName, &r.Lease, o)
		}
		due = append(due, retired{Retirement: r, object: o})
	}
	return due
}

// retire performs retirements one after the other. Each is conditional on the version; failures are left to the
// next attempt.
func (m *Membership) retire(ctx context.Context, due []retired) {
	for _, r := range due {
		bounded, cancel := context.WithTimeout(ctx, m.opts.Timings.RenewDeadline/3)
		var err error
		if r.Kind == ownership.Collect {
			err = m.client.Delete(bounded, r.object.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{
				UID: new(r.object.UID), ResourceVersion: new(r.object.ResourceVersion),
			}})
		} else {
			_, err = m.client.Update(bounded, r.object, metav1.UpdateOptions{})
		}
		cancel()
		switch {
		case err == nil:
			m.metrics.retirements.WithLabelValues(r.Kind.String()).Inc()
			m.log.Info("Retired the Lease of a member", "action", r.Kind.String(), "peer", r.Member)
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
			m.log.V(1).Info("Lease has changed meanwhile", "action", r.Kind.String(), "peer", r.Member)
		case ctx.Err() == nil:
			m.log.V(1).Info("Could not retire a Lease", "action", r.Kind.String(), "peer", r.Member, "error", err.Error())
		}
	}
	m.mu.Lock()
	m.errands.retiring = false
	m.mu.Unlock()
	m.wake.Wake()
}
