package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
)

// loseEvent keeps a deletion from every replica, and has the replicas compare their indexes with the cluster.
func loseEvent(ctx context.Context, t *teller, s *stage, client dynamic.Interface) error {
	t.title("An event that never arrives")
	for _, r := range s.replicas { // A replica that still lists would see no event.
		if err := awaitOK(ctx, r.process, r.health+"/readyz"); err != nil {
			return err
		}
	}
	if err := s.vouchers(ctx, client); err != nil {
		return err
	}
	if _, err := s.until(ctx, "gift vouchers", true); err != nil {
		return err
	}
	var lost atomic.Int64
	restore := s.line.OnEvent(func(e netfault.Event) netfault.Verdict {
		if e.Type == watch.Deleted && e.Request.Resource == deployments && e.Name == "vouchers" {
			lost.Add(1)
			return netfault.Drop
		}
		return netfault.Pass
	})
	defer restore()
	if err := client.Resource(deployments).Namespace("shop").Delete(ctx, "vouchers", metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("deleting a deployment: %w", err)
	}
	if err := eventually(ctx, func(context.Context) (bool, error) { return int(lost.Load()) == len(s.replicas), nil }); err != nil {
		return fmt.Errorf("losing an event: %w", err)
	}
	t.say("Deployment shop/vouchers was created and deleted. No replica has heard of the deletion: it is still found.")
	t.say("A verification is asked for. What a list shows is compared when the watches have come as far, within a minute.")
	began := time.Now()
	v, err := s.replicas[0].verify(ctx)
	if err != nil {
		return err
	}
	if _, err := s.until(ctx, "gift vouchers", false); err != nil {
		return err
	}
	repaired := 0
	for _, verdict := range v.Verdicts {
		if verdict.Verdict == api.VerdictRepaired {
			repaired++
		}
	}
	t.say("They held what they know against lists of %d types, as they do each hour: %d differed. Gone after %.1f s.",
		v.Types.Total, repaired, time.Since(began).Seconds())
	return nil
}

// maxAnswer bounds the part of an answer that is read, in bytes.
const maxAnswer = 4 << 20

// verify asks for a verification and waits for its end.
func (r *replica) verify(ctx context.Context) (api.Verification, error) {
	var v api.Verification
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.api+"/api/v1/verify", http.NoBody)
	if err != nil {
		return v, fmt.Errorf("asking for a verification: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return v, fmt.Errorf("asking for a verification: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return v, fmt.Errorf("the verification is answered %s", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&v); err != nil {
		return v, fmt.Errorf("reading the answer: %w", err)
	}
	return v, nil
}
