package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
)

// StartVerification implements [api.Verifications].
func (b *Backend) StartVerification(_ context.Context, name string) (api.Verification, error) {
	if !b.Ready() {
		return api.Verification{}, api.ErrNotReady
	}
	types, err := match(b.Source.Types.Served(), name)
	if err != nil {
		return api.Verification{}, err
	}
	run, err := b.Verifier.Start(b.verifiable(types), name)
	if errors.Is(err, verify.ErrNoMembers) {
		return api.Verification{}, api.ErrNotReady
	}
	if err != nil {
		return api.Verification{}, fmt.Errorf("starting a verification: %w", err)
	}
	return verificationOf(run), nil
}

// verifiable leaves out the types whose versions are no numbers: a verification compares at a version.
func (b *Backend) verifiable(types []resource.Type) []resource.Type {
	var left []resource.Type
	for _, t := range types {
		if s := b.Index.Type(t); !s.Listed || s.Version > 0 {
			left = append(left, t)
		}
	}
	return left
}

// WaitVerification implements [api.Verifications].
func (b *Backend) WaitVerification(ctx context.Context, id string) (api.Verification, error) {
	run, err := b.Verifier.Wait(ctx, id)
	if errors.Is(err, verify.ErrUnknownRun) {
		return api.Verification{}, &api.NotFoundError{What: "verification", Name: id}
	}
	return verificationOf(run), err // The error is that of ctx.
}

// Verification implements [api.Verifications].
func (b *Backend) Verification(id string) (api.Verification, bool) {
	run, ok := b.Verifier.Get(id)
	return verificationOf(run), ok
}

// Verifications implements [api.Verifications].
func (b *Backend) Verifications() []api.Verification {
	var all []api.Verification
	for _, run := range b.Verifier.Runs() {
		all = append(all, verificationOf(run))
	}
	return all
}

// verificationOf translates a run.
func verificationOf(run verify.Run) api.Verification {
	v := api.Verification{
		ID: run.ID, Status: api.OperationRunning, Resource: run.Label, Member: run.Member, StartedAt: run.Started,
		Types: api.Progress{Done: run.Done(), Total: len(run.Types)},
	}
	counts := make(map[verify.Verdict]int)
	for _, t := range run.Types {
		counts[t.Verdict]++
		v.Verdicts = append(v.Verdicts, api.TypeVerdict{
			Type: t.Type, Verdict: api.Verdict(t.Verdict.String()), Objects: t.Objects, Repaired: t.Repaired, Error: t.Err,
		})
	}
	if !run.Running() {
		v.Status, v.FinishedAt = api.OperationDone, &run.Finished
		if counts[verify.Failed] > 0 {
			v.Status = api.OperationFailed
		}
	}
	v.Message = summary(counts)
	return v
}

// summary says how many types have which verdict.
func summary(counts map[verify.Verdict]int) string {
	var parts []string
	for _, verdict := range []verify.Verdict{verify.Equal, verify.Repaired, verify.Failed, verify.Pending} {
		if n := counts[verdict]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, verdict))
		}
	}
	return "types: " + strings.Join(parts, ", ")
}
