package controller_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
)

// bench is a reconciler in a bubble, with fakes around it. Like a queue, it reconciles an object when the
// reconciler has asked for that, or when a Secret has changed.
type bench struct {
	t       *testing.T
	objects *objects
	secrets *secretServer
	targets *fakeTargets
	events  *record.FakeRecorder
	logged  *strings.Builder
	r       controller.Reconciler
	changed chan types.NamespacedName
	due     map[types.NamespacedName]time.Time
}

// inBubble runs a test with a bench, and the Secret that config names.
func inBubble(t *testing.T, test func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		environment, err := url.Parse("http://environment/sync")
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{
			t: t, objects: newObjects(), secrets: newSecretServer(t), targets: newFakeTargets(), events: record.NewFakeRecorder(1000),
			logged: &strings.Builder{}, changed: make(chan types.NamespacedName, 1000), due: map[types.NamespacedName]time.Time{},
		}
		log := funcr.New(func(_, args string) { b.logged.WriteString(args + "\n") }, funcr.Options{Verbosity: 1})
		b.r = controller.NewReconciler(b.objects, b.objects, b.secrets, func(key types.NamespacedName) { b.changed <- key }, b.targets, b.events, environment, log)
		defer b.r.Close()
		b.secrets.put("dot-ai", "mcp-credentials", map[string]string{"api-key": "token-1\n"})
		b.targets.report("*", syncing)
		test(t, b)
	})
}

// look reconciles an object, and every object that this makes due.
func (b *bench) look(key client.ObjectKey) {
	b.t.Helper()
	b.due[key] = time.Now()
	b.pass(0)
}

// pass lets time pass.
func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	end := time.Now().Add(d)
	for {
		synctest.Wait()
		for len(b.changed) > 0 {
			b.due[<-b.changed] = time.Now()
		}
		next, at := types.NamespacedName{}, end
		for key, due := range b.due {
			if !due.After(at) {
				next, at = key, due
			}
		}
		time.Sleep(time.Until(at))
		if next.Name == "" {
			return
		}
		delete(b.due, next)
		after, err := b.r.Reconcile(b.t.Context(), next)
		if err != nil {
			b.t.Fatalf("%s: %v", next, err)
		}
		if after > 0 {
			b.due[next] = time.Now().Add(after)
		}
	}
}

// ready returns status and reason of the condition Ready.
func (b *bench) ready(key client.ObjectKey) string {
	c := meta.FindStatusCondition(b.objects.get(key).Status.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason
}

// announced returns the Events so far, and forgets them.
func (b *bench) announced() []string {
	var all []string
	for len(b.events.Events) > 0 {
		all = append(all, <-b.events.Events)
	}
	return all
}

func (b *bench) token(name string) string {
	target, ok := b.targets.get(name)
	if !ok {
		return "not running"
	}
	token, err := target.Token()
	if err != nil {
		return "error"
	}
	return token
}

func TestTargetWaitsForItsSecretAndFollowsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.secrets.remove("dot-ai", "mcp-credentials")
		key := b.objects.put(config(nil))
		type state struct{ Ready, Token string }
		var got []state
		note := func() {
			b.pass(11 * time.Second)
			got = append(got, state{b.ready(key), b.token("dot-ai.default-sync")})
		}
		b.look(key)
		note()
		b.secrets.put("dot-ai", "mcp-credentials", map[string]string{"other": "x"})
		note()
		b.secrets.put("dot-ai", "mcp-credentials", map[string]string{"api-key": " \n"})
		note()
		b.secrets.put("dot-ai", "mcp-credentials", map[string]string{"api-key": "two words"})
		note()
		b.secrets.put("dot-ai", "mcp-credentials", map[string]string{"api-key": "token-1\n"})
		b.pass(0)
		if b.token("dot-ai.default-sync") != "token-1" {
			t.Error("the target is not started the moment its Secret is right")
		}
		note()
		b.secrets.put("dot-ai", "mcp-credentials", map[string]string{"api-key": "token-2"})
		synctest.Wait()
		if b.token("dot-ai.default-sync") != "token-2" {
			t.Error("the next request would have the old token")
		}
		note()
		b.secrets.remove("dot-ai", "mcp-credentials")
		note()
		b.secrets.put("dot-ai", "mcp-credentials", map[string]string{"api-key": "token-3"})
		note()
		want := []state{
			{"False SecretNotFound", "not running"}, {"False SecretKeyNotFound", "not running"}, {"False SecretEmpty", "not running"},
			{"False SecretInvalid", "not running"}, {"True Syncing", "token-1"}, {"True Syncing", "token-2"},
			{"False SecretNotFound", "error"}, {"True Syncing", "token-3"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		if _, sets, retries := b.targets.count("dot-ai.default-sync"); sets != 1 || retries != 2 {
			t.Errorf("set %d times and tried again %d times, want 1 and 2", sets, retries)
		}
		for _, text := range append(b.announced(), b.logged.String()) {
			if strings.Contains(text, "token-") {
				t.Errorf("a token is in %q", text)
			}
		}
	})
}

func TestSecretThatMayNotBeReadSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.secrets.setRefuse(apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "mcp-credentials", nil))
		key := b.objects.put(config(nil))
		b.look(key)
		if got := b.ready(key); got != "False SecretForbidden" {
			t.Errorf("ready is %q", got)
		}
		b.secrets.setRefuse(nil)
		b.pass(time.Minute)
		if got := b.ready(key); got != "True Syncing" {
			t.Errorf("once it may be read, ready is %q", got)
		}
	})
}

func TestTokenThatIsKnownOutlivesTheRightToReadIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		key := b.objects.put(config(nil))
		b.look(key)
		b.secrets.setRefuse(apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "mcp-credentials", nil))
		b.secrets.interrupt()
		b.pass(time.Minute)
		if got := b.ready(key); got != "True Syncing" || b.token("dot-ai.default-sync") != "token-1" {
			t.Errorf("ready is %q, the token %q", got, b.token("dot-ai.default-sync"))
		}
		b.secrets.setRefuse(nil)
		b.secrets.put("dot-ai", "mcp-credentials", map[string]string{"api-key": "token-2"})
		b.pass(time.Minute)
		if got := b.token("dot-ai.default-sync"); got != "token-2" {
			t.Errorf("once the Secret may be read again, the token is %q", got)
		}
	})
}

func TestStatusIsWrittenEveryTenSecondsAtMostAndNeverWithoutAChange(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		key := b.objects.put(config(nil))
		b.look(key)
		for i := range 300 {
			r := syncing
			r.Synced += int64(i)
			b.targets.report("*", r)
			b.look(key)
			b.pass(time.Second)
		}
		b.pass(time.Minute)
		busy := b.objects.writes
		if busy < 25 || busy > 32 {
			t.Errorf("%d writes in 300 s with a change each second, want some 30", busy)
		}
		b.pass(time.Hour)
		if b.objects.writes != busy {
			t.Errorf("%d writes in an hour without a change", b.objects.writes-busy)
		}
	})
}

func TestDefinitionThatDropsFieldsCausesNoWrites(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.objects.drops = true
		key := b.objects.put(config(nil))
		b.look(key)
		b.pass(time.Hour)
		if b.objects.writes != 1 || b.ready(key) != "True Syncing" {
			t.Errorf("%d writes, ready is %q", b.objects.writes, b.ready(key))
		}
	})
}

func TestStatusIsNotMadeOfWhatTheCacheHadBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		key := b.objects.put(config(nil))
		b.objects.stale[key] = b.objects.get(key)
		b.look(key)
		b.pass(time.Minute)
		if b.objects.writes != 1 {
			t.Errorf("%d writes while the cache does not show the first one", b.objects.writes)
		}
	})
}

func TestOnlyTheOwnerWrites(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.targets.foreign = true
		key := b.objects.put(config(nil))
		b.look(key)
		b.pass(time.Minute)
		if b.objects.writes != 0 || b.token("dot-ai.default-sync") != "token-1" || len(b.announced()) != 0 {
			t.Errorf("%d writes; the target's token is %q", b.objects.writes, b.token("dot-ai.default-sync"))
		}
		b.targets.foreign = false
		b.pass(10 * time.Second)
		if got := b.ready(key); got != "True Syncing" {
			t.Errorf("10 s after it became the owner, ready is %q", got)
		}
	})
}

func TestChangedSpecRestartsThatTargetAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		one := b.objects.put(config(nil))
		two := b.objects.put(config(func(o *v1alpha1.ResourceSyncConfig) { o.Name, o.UID, o.Spec.McpEndpoint = "two", "u2", "http://two/" }))
		b.look(one)
		b.look(two)
		b.objects.change(one, func(s *v1alpha1.ResourceSyncConfigSpec) { s.DebounceWindowSeconds = 30 })
		b.look(one)
		_, first, _ := b.targets.count("dot-ai.default-sync")
		_, second, _ := b.targets.count("dot-ai.two")
		if target, _ := b.targets.get("dot-ai.default-sync"); first != 2 || second != 1 || target.Debounce != 30*time.Second {
			t.Errorf("set %d and %d times; the debounce is %s", first, second, target.Debounce)
		}
		b.pass(time.Hour)
		if _, sets, _ := b.targets.count("dot-ai.default-sync"); sets != 2 {
			t.Errorf("set %d times after an hour without a change", sets)
		}
	})
}

func TestTargetStopsWithItsObject(t *testing.T) {
	deletions := map[string]func(*bench, client.ObjectKey){
		"deleted": func(b *bench, key client.ObjectKey) { b.objects.remove(key) },
		"being deleted, kept by somebody's finalizer": func(b *bench, key client.ObjectKey) {
			o := b.objects.get(key)
			now := metav1.Now()
			o.DeletionTimestamp = &now
			b.objects.put(o)
		},
	}
	for name, gone := range deletions {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				key := b.objects.put(config(nil))
				b.look(key)
				writes := b.objects.writes
				gone(b, key)
				b.look(key)
				b.pass(time.Minute)
				if running, _, _ := b.targets.count(""); running != 0 || b.r.Secrets() != 0 || b.objects.writes != writes {
					t.Errorf("%d targets run, %d Secrets are watched, %d writes", running, b.r.Secrets(), b.objects.writes-writes)
				}
				if !slices.Contains(b.targets.removed, "dot-ai.default-sync") {
					t.Errorf("what is known of the receiver is kept: only %v is forgotten", b.targets.removed)
				}
			})
		})
	}
}

// TestController_SpecBecomesInvalid_ForgetsNothingOfTheReceiver: forgetting a receiver would mean to send every
// object again.
func TestController_SpecBecomesInvalid_ForgetsNothingOfTheReceiver(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.look(b.objects.put(config(nil)))
		b.look(b.objects.put(config(func(o *v1alpha1.ResourceSyncConfig) { o.Generation, o.Spec.McpEndpoint = 2, "nowhere" })))
		if running, _, _ := b.targets.count(""); running != 0 || len(b.targets.removed) != 0 {
			t.Errorf("%d targets run, %v are forgotten", running, b.targets.removed)
		}
	})
}

func TestObjectMadeAnewUnderItsNameRestarts(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.look(b.objects.put(config(nil)))
		b.look(b.objects.put(config(func(o *v1alpha1.ResourceSyncConfig) { o.UID = "u2" })))
		if target, _ := b.targets.get("dot-ai.default-sync"); target.UID != "u2" {
			t.Errorf("the target is that of UID %s", target.UID)
		}
	})
}

func TestSpecThatBecomesWrongStopsItsTarget(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		key := b.objects.put(config(nil))
		b.look(key)
		b.objects.change(key, func(s *v1alpha1.ResourceSyncConfigSpec) { s.Format = "qdrant" })
		b.look(key)
		b.pass(10 * time.Second)
		if running, _, _ := b.targets.count(""); running != 0 || b.r.Secrets() != 0 || b.ready(key) != "False InvalidSpec" {
			t.Errorf("%d targets run, %d Secrets are watched, ready is %q", running, b.r.Secrets(), b.ready(key))
		}
	})
}

func TestOneReceiverIsServedByTheOldestObjectAlone(t *testing.T) {
	for name, order := range map[string][2]int{"oldest first": {0, 1}, "oldest last": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				var keys []client.ObjectKey
				for i, name := range []string{"old", "young"} {
					keys = append(keys, b.objects.put(config(func(o *v1alpha1.ResourceSyncConfig) {
						o.Name, o.UID = name, types.UID(name)
						o.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 15, 12+i, 0, 0, 0, time.UTC))
					})))
				}
				for _, i := range order {
					b.look(keys[i])
				}
				b.pass(time.Minute)
				got := []string{b.ready(keys[0]), b.ready(keys[1])}
				if running, _, _ := b.targets.count(""); running != 1 || got[0] != "True Syncing" || got[1] != "False DuplicateTarget" {
					t.Errorf("%d run; ready are %q", running, got)
				}
				b.objects.remove(keys[0])
				b.look(keys[0])
				b.pass(time.Minute)
				if got := b.ready(keys[1]); got != "True Syncing" {
					t.Errorf("when the other is gone, ready is %q", got)
				}
			})
		})
	}
}

func TestReceiverOfTheEnvironmentIsNotServedTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		key := b.objects.put(config(func(o *v1alpha1.ResourceSyncConfig) { o.Spec.McpEndpoint = "http://environment/sync" }))
		b.look(key)
		if running, _, _ := b.targets.count(""); running != 0 || b.ready(key) != "False DuplicateTarget" {
			t.Errorf("%d targets run, ready is %q", running, b.ready(key))
		}
	})
}

func TestTargetThatCannotBeStartedIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.targets.fail["dot-ai.default-sync"] = true
		key := b.objects.put(config(nil))
		b.look(key)
		if got := b.ready(key); got != "False StartFailed" {
			t.Errorf("ready is %q", got)
		}
		b.targets.fail["dot-ai.default-sync"] = false
		b.pass(20 * time.Second)
		if got := b.ready(key); got != "True Syncing" {
			t.Errorf("ready is %q", got)
		}
	})
}

func TestEventsTellOfTransitionsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		key := b.objects.put(config(nil))
		b.look(key)
		b.pass(time.Hour)
		degraded := syncing
		degraded.Degraded, degraded.Reason = true, "dial tcp: refused"
		b.targets.report("*", degraded)
		b.pass(time.Hour)
		guarded := syncing
		guarded.GuardWaiting = "60 of 70 Deployments"
		b.targets.report("*", guarded)
		b.pass(time.Hour)
		b.targets.report("*", syncing)
		b.pass(time.Hour)
		var got []string
		for _, e := range b.announced() {
			got = append(got, strings.Join(strings.Fields(e)[:2], " "))
		}
		want := []string{"Normal Syncing", "Warning ReceiverUnavailable", "Normal Syncing", "Warning TooManyDeletions", "Normal AsExpected"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestReceiverThatQuotesTheTokenDoesNotPublishIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		r := syncing
		r.Degraded, r.Reason, r.LastError = true, "bad token token-1", "401: token-1 is wrong"
		b.targets.report("*", r)
		key := b.objects.put(config(nil))
		b.look(key)
		b.pass(time.Minute)
		published := fmt.Sprint(b.objects.get(key).Status, b.announced(), b.logged)
		if strings.Contains(published, "token-1") || !strings.Contains(published, "[token] is wrong") {
			t.Errorf("published: %s", published)
		}
	})
}

func TestStatusThatCannotBeWrittenIsLoggedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.objects.refuse = apierrors.NewForbidden(schema.GroupResource{Resource: "resourcesyncconfigs/status"}, "default-sync", nil)
		b.look(b.objects.put(config(nil)))
		b.pass(10 * time.Minute)
		if n := strings.Count(b.logged.String(), "cannot be written"); n != 1 || b.objects.writes < 50 {
			t.Errorf("logged %d times, tried %d times", n, b.objects.writes)
		}
	})
}

func TestManyWrongObjectsLeaveTheGoodAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		var wrong, good []client.ObjectKey
		for i := range 3 {
			for _, test := range wrongSpecs {
				wrong = append(wrong, b.objects.put(config(func(o *v1alpha1.ResourceSyncConfig) {
					o.Name = fmt.Sprintf("wrong-%d-%d", i, len(wrong))
					test.change(&o.Spec)
				})))
			}
		}
		for i := range 10 {
			good = append(good, b.objects.put(config(func(o *v1alpha1.ResourceSyncConfig) {
				o.Name, o.Spec.McpEndpoint = fmt.Sprintf("good-%d", i), fmt.Sprintf("http://good-%d/", i)
			})))
		}
		for _, key := range append(wrong, good...) {
			b.look(key)
		}
		b.pass(3 * time.Minute)
		for _, key := range wrong {
			if got := b.ready(key); got != "False InvalidSpec" {
				t.Errorf("%s: ready is %q", key, got)
			}
		}
		for _, key := range good {
			_, sets, _ := b.targets.count(key.Namespace + "." + key.Name)
			if got := b.ready(key); got != "True Syncing" || sets != 1 {
				t.Errorf("%s: ready is %q, set %d times", key, got, sets)
			}
		}
		if running, _, _ := b.targets.count(""); running != 10 || b.r.Secrets() != 1 {
			t.Errorf("%d targets run, %d values of Secrets are watched, want 10 and 1", running, b.r.Secrets())
		}
		if b.objects.writes != len(wrong)+len(good) {
			t.Errorf("%d writes for %d objects", b.objects.writes, len(wrong)+len(good))
		}
	})
}
