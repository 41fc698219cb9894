package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// listing is what verifiers ask of the API server, and how it answers.
type listing struct {
	interval time.Duration             // of the verifiers of the next processes
	leftOut  []string                  // objects that the sums of the next processes leave out
	answers  string                    // "", half or fail
	made     map[string]map[string]int // lists since the last look, by member and kind
}

// doVerification runs a command about lists and sums, or about one member.
func (w *World) doVerification(cmd string, args []string) (string, error) {
	set := func(f func() error) (string, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return "", f()
	}
	switch cmd {
	case "opaque":
		return set(func() error { w.opaque = true; return nil })
	case "interval":
		return set(func() (err error) { w.interval, err = time.ParseDuration(strings.Join(args, "")); return err })
	case "leave-out":
		return set(func() error { w.leftOut = args; return nil })
	case "answer":
		return set(func() error { w.answers = strings.TrimPrefix(strings.Join(args, ""), "whole"); return nil })
	case "bookmarks":
		return set(func() error { w.quiet = slices.Equal(args, []string{"off"}); return nil })
	case "lists":
		return w.lists(), nil
	case "parked":
		return w.parked(), nil
	case "indexes":
		return w.indexes(), nil
	case "verified":
		d, err := time.ParseDuration(strings.Join(args, ""))
		if amiss := w.unverified(d); err == nil && amiss != "" {
			err = errors.New(amiss)
		}
		return "", err
	case "verify":
		m, err := w.member(args)
		if err != nil {
			return "", err
		}
		return w.verifyNow(m)
	}
	return "", w.doTo(cmd, args)
}

// count counts a list of a kind. The caller holds mu.
func (l *listing) count(member, kind string) {
	if l.made == nil {
		l.made = make(map[string]map[string]int)
	}
	if l.made[member] == nil {
		l.made[member] = make(map[string]int)
	}
	l.made[member][kind]++
}

// lists returns how many lists of each kind the members have asked for since the last call, a line a member.
func (w *World) lists() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.made) == 0 {
		return "nobody lists\n"
	}
	var out strings.Builder
	for _, member := range slices.Sorted(maps.Keys(w.made)) {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(w.made[member])) {
			kinds = append(kinds, fmt.Sprintf("%s ×%d", kind, w.made[member][kind]))
		}
		fmt.Fprintf(&out, "%s lists %s\n", member, strings.Join(kinds, ", "))
	}
	w.made = nil
	return out.String()
}

// stateLister implements [verify.Lister] with the lists of the API server.
type stateLister struct{ m *member }

// errCutOff is the end of a list that the API server does not complete.
var errCutOff = errors.New("the answer is cut off")

// States lists a type in pages, as of one version.
func (l stateLister) States(ctx context.Context, t resource.Type, page func(version uint64, states []watch.State) error) (uint64, error) {
	w := l.m.w
	w.mu.Lock()
	w.count(l.m.name, t.Resource)
	if w.away {
		w.mu.Unlock()
		return 0, apierrors.NewServiceUnavailable("away")
	}
	answers, version := w.answers, w.shown(t, w.version)
	var states []watch.State
	for _, name := range slices.Sorted(maps.Keys(w.objects)) {
		if typeOf(name) == t {
			states = append(states, watch.State{Namespace: namespaceOf(name), Name: name, Version: w.objects[name].shown()})
		}
	}
	w.mu.Unlock()
	if answers == "half" {
		states = states[:len(states)/2]
	}
	for some := range slices.Chunk(states, 4) {
		if err := page(version, some); err != nil {
			return 0, fmt.Errorf("taking a page: %w", err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if answers == "fail" {
			return 0, errCutOff
		}
	}
	if len(states) == 0 {
		return version, page(version, nil)
	}
	return version, nil
}

// indexes says which objects the indexes of the members lack, or have in another state than the cluster.
func (w *World) indexes() string {
	w.mu.Lock()
	want := make(map[string]uint64)
	for name, r := range w.objects {
		want[name] = r.version
	}
	members := maps.Clone(w.members)
	w.mu.Unlock()
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name].ctx.Err() != nil {
			continue
		}
		got := make(map[string]uint64)
		for _, t := range []resource.Type{pods, gadgets} {
			members[name].peer.Objects().States(t, func(_, object string, digest, _ uint64) bool {
				got[object] = digest
				return true
			})
		}
		both := maps.Clone(want)
		maps.Copy(both, got)
		for _, object := range slices.Sorted(maps.Keys(both)) {
			if got[object] != want[object] {
				fmt.Fprintf(&out, "%s knows %s@%d, and the cluster has %s@%d\n", name, object, got[object], object, want[object])
			}
		}
	}
	if out.Len() == 0 {
		return "all indexes are equal to the cluster\n"
	}
	return out.String()
}

// verifyNow has a member verify what is served, and returns the verdict of the whole fleet.
func (w *World) verifyNow(m *member) (string, error) {
	w.mu.Lock()
	types, others := []resource.Type{pods, gadgets}, maps.Clone(w.members)
	if w.removed {
		types = types[:1]
	}
	w.mu.Unlock()
	run, err := m.verify.Start(types, "")
	if err != nil {
		return "", fmt.Errorf("beginning a verification: %w", err)
	}
	slices.Reverse(types)
	if again, err := m.verify.Start(types, ""); err != nil {
		return "", fmt.Errorf("beginning the same verification again: %w", err)
	} else if again.ID != run.ID {
		return "", errors.New("the same verification is begun twice")
	}
	if run, err = m.verify.Wait(m.ctx, run.ID); err != nil {
		return "", fmt.Errorf("waiting for a verification: %w", err)
	}
	var out strings.Builder
	for _, v := range run.Types {
		fmt.Fprintf(&out, "%s: %s, %d objects", v.Type, v.Verdict, v.Objects)
		if len(v.Repaired) > 0 {
			fmt.Fprintf(&out, ", listed anew by %s", strings.Join(v.Repaired, " and "))
		}
		if v.Err != "" {
			fmt.Fprintf(&out, ": %s", v.Err)
		}
		out.WriteString("\n")
	}
	time.Sleep(5 * time.Second) // The others hear of each verdict within a second or two.
	for name, o := range others {
		if known, ok := o.verify.Get(run.ID); o.ctx.Err() == nil && (!ok || known.Running()) {
			return "", fmt.Errorf("%s says %+v of a verification that has ended (%v)", name, known, ok)
		}
	}
	return out.String(), nil
}

// unverified says which types no list has been compared with for longer than d.
func (w *World) unverified(d time.Duration) string {
	w.mu.Lock()
	members := maps.Clone(w.members)
	w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		for _, v := range members[name].watched() {
			if age := time.Since(members[name].verify.Verified(v)); age > d && members[name].ctx.Err() == nil {
				return fmt.Sprintf("%s has compared %s with a list %s ago", name, v.Type.Resource, age)
			}
		}
	}
	return ""
}
