package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	crds        = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	games       = schema.GroupVersionResource{Group: "arcade.example.com", Version: "v1", Resource: "games"}
)

// tell goes through the chapters.
func tell(ctx context.Context, t *teller, s *stage) error {
	if err := begin(ctx, t, s); err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(s.control.RESTConfig())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	for _, chapter := range []func(context.Context, *teller, *stage, dynamic.Interface) error{
		questions, liveChange, newType, killOne, loseEvent, restartAll,
	} {
		if err := chapter(ctx, t, s, client); err != nil {
			return err
		}
	}
	lookFurther(t, s)
	return nil
}

func begin(ctx context.Context, t *teller, s *stage) error {
	t.title("A cluster, a receiver, and three replicas")
	t.say("Starting a control plane, Kubernetes %s.", controlplane.Version)
	if err := s.open(ctx); err != nil {
		return err
	}
	plan, err := workload.Demo()
	if err != nil {
		return err
	}
	t.say("Filling the cluster: a web shop, payments, logistics, monitoring, and the operators they use.")
	if _, err := workload.Apply(ctx, s.control.RESTConfig(), plan); err != nil {
		return err
	}
	n, err := replicas()
	if err != nil {
		return err
	}
	t.say("Starting the receiver and %d replicas.", n)
	if err := s.cast(ctx, n); err != nil {
		return err
	}
	objects, err := s.awaitInStep(ctx)
	if err != nil {
		return err
	}
	counted, err := s.receiver.stats(ctx)
	if err != nil {
		return err
	}
	t.say("In step: %d objects in the cluster, the same %d at the receiver. Sent: %d.", objects, objects, counted.Upserts)
	for _, sender := range slices.Sorted(maps.Keys(counted.BySender)) {
		t.print("          %s made %d requests\n", sender, counted.BySender[sender])
	}
	return nil
}

func questions(ctx context.Context, t *teller, s *stage, _ dynamic.Interface) error {
	t.title("Questions")
	for i, q := range []string{"which databases are we running?", "services related to payments", "what runs every night?"} {
		hits, err := s.receiver.search(ctx, q, 6)
		if err != nil {
			return err
		}
		if len(hits) == 0 {
			return fmt.Errorf("nothing was found for %q", q)
		}
		t.print("\n  %s\n", q)
		for _, h := range hits {
			t.print("    %-18s %-28s %s\n", h.Kind, h.Namespace+"/"+h.Name, h.Description)
		}
		if i == 0 {
			t.say("The first answer.")
		}
	}
	return nil
}

func liveChange(ctx context.Context, t *teller, s *stage, client dynamic.Interface) error {
	t.title("A change")
	if err := s.vouchers(ctx, client); err != nil {
		return err
	}
	took, err := s.until(ctx, "gift vouchers", true)
	if err != nil {
		return err
	}
	t.say("Deployment shop/vouchers was created: found after %.1f s (it waits 0.5 s for further changes).", took.Seconds())
	if err := client.Resource(deployments).Namespace("shop").Delete(ctx, "vouchers", metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("deleting a deployment: %w", err)
	}
	if took, err = s.until(ctx, "gift vouchers", false); err != nil {
		return err
	}
	t.say("It was deleted: gone after %.1f s.", took.Seconds())
	return nil
}

// vouchers creates a Deployment of that name.
func (*stage) vouchers(ctx context.Context, client dynamic.Interface) error {
	made, err := client.Resource(deployments).Namespace("shop").Get(ctx, "cart", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading a deployment: %w", err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "spec": made.Object["spec"],
	}}
	o.SetName("vouchers")
	o.SetAnnotations(map[string]string{"description": "Sells and redeems gift vouchers"})
	if _, err := client.Resource(deployments).Namespace("shop").Create(ctx, o, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a deployment: %w", err)
	}
	return nil
}

// until returns how long it took until the best answer to a question was the right one, or until none was.
func (s *stage) until(ctx context.Context, question string, found bool) (time.Duration, error) {
	began := time.Now()
	err := eventually(ctx, func(ctx context.Context) (bool, error) {
		hits, err := s.receiver.search(ctx, question, 10)
		if err != nil {
			return false, err
		}
		there := slices.ContainsFunc(hits, func(h hit) bool { return h.Name == "vouchers" || h.Name == "pinball" })
		return there == found, nil
	})
	if err != nil {
		return 0, fmt.Errorf("waiting for the answer to %q to change: %w", question, err)
	}
	return time.Since(began), nil
}

func newType(ctx context.Context, t *teller, s *stage, client dynamic.Interface) error {
	t.title("A type that did not exist")
	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": "games.arcade.example.com"},
		"spec": map[string]any{
			"group": "arcade.example.com", "scope": "Namespaced",
			"names": map[string]any{"kind": "Game", "listKind": "GameList", "plural": "games", "singular": "game"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				}},
			}},
		},
	}}
	if _, err := client.Resource(crds).Create(ctx, crd, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a definition: %w", err)
	}
	game := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "arcade.example.com/v1", "kind": "Game"}}
	game.SetName("pinball")
	game.SetAnnotations(map[string]string{"description": "Pinball machine in the lobby"})
	if err := eventually(ctx, func(ctx context.Context) (bool, error) {
		_, err := client.Resource(games).Namespace("media").Create(ctx, game, metav1.CreateOptions{})
		return err == nil, nil // the API server needs a moment to serve a new type
	}); err != nil {
		return fmt.Errorf("creating a game: %w", err)
	}
	took, err := s.until(ctx, "pinball machine", true)
	if err != nil {
		return err
	}
	t.say("An operator brought the type Game, and somebody made one: found after %.1f s.", took.Seconds())
	return nil
}

func killOne(ctx context.Context, t *teller, s *stage, client dynamic.Interface) error {
	if len(s.replicas) < 2 {
		return nil
	}
	t.title("kill -9")
	victim := s.replicas[1]
	changes, err := relabel(ctx, client, "before-and-after")
	if err != nil {
		return err
	}
	if err := victim.process.Stop(false, 0); err != nil {
		return err
	}
	began := time.Now()
	t.say("%d ConfigMaps were changed, and %s was killed before it had sent its share.", changes, victim.name)
	if _, err := s.awaitInStep(ctx); err != nil {
		return err
	}
	t.say("The others have taken over: in step after %.1f s, of which 5 s are the lease.", time.Since(began).Seconds())
	if err := victim.start(ctx); err != nil {
		return err
	}
	t.say("%s is back.", victim.name)
	return nil
}

// relabel changes a label of every ConfigMap of the demo.
func relabel(ctx context.Context, client dynamic.Interface, value string) (int, error) {
	list, err := client.Resource(configMaps).List(ctx, metav1.ListOptions{LabelSelector: "environment=production"})
	if err != nil {
		return 0, fmt.Errorf("listing ConfigMaps: %w", err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{"demo": value}}})
	if err != nil {
		return 0, fmt.Errorf("encoding a patch: %w", err)
	}
	for i := range list.Items {
		o := &list.Items[i]
		if _, err := client.Resource(configMaps).Namespace(o.GetNamespace()).
			Patch(ctx, o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return 0, fmt.Errorf("changing ConfigMap %s/%s: %w", o.GetNamespace(), o.GetName(), err)
		}
	}
	return len(list.Items), nil
}

func restartAll(ctx context.Context, t *teller, s *stage, client dynamic.Interface) error {
	t.title("Everything is restarted")
	before, err := s.receiver.stats(ctx)
	if err != nil {
		return err
	}
	for _, r := range s.replicas {
		if err := r.process.Stop(true, stopGrace); err != nil {
			return err
		}
	}
	if err := client.Resource(deployments).Namespace("support").Delete(ctx, "chat", metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("deleting a deployment: %w", err)
	}
	t.say("All replicas have ended. Deployment support/chat was deleted while nobody looked.")
	for _, r := range s.replicas {
		if err := r.start(ctx); err != nil {
			return err
		}
	}
	objects, err := s.awaitInStep(ctx)
	if err != nil {
		return err
	}
	after, err := s.receiver.stats(ctx)
	if err != nil {
		return err
	}
	t.say("In step again. Sent again: %d of %d objects. Deleted: %d.",
		after.Unchanged-before.Unchanged, objects, after.Deletes-before.Deletes)
	return nil
}

func lookFurther(t *teller, s *stage) {
	first := s.replicas[0]
	t.title("Look further")
	t.print(`
  Search        %s/
  The ring      %s/ring?refresh=2
  Status        curl -s %s/api/v1/status
  Resync        curl -s -X POST %s/api/v1/resync
  The cluster   export KUBECONFIG=%s
                %s -n shop annotate deployment cart description='Sells ice cream' --overwrite
  Logs          tail -f %s/replica-*.log
`, s.receiver.url, first.api, first.api, first.api, s.control.Kubeconfig(), s.control.Kubectl(), s.dir)
}

// replicas is the number of replicas: DEMO_REPLICAS, or three.
func replicas() (int, error) {
	v := os.Getenv("DEMO_REPLICAS")
	if v == "" {
		return 3, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("DEMO_REPLICAS is %q, want a number from 1", v)
	}
	return n, nil
}
