package chart_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

const (
	receiverName = "k8s-vectordb-sync-receiver"
	ownEndpoint  = "http://" + receiverName + "." + namespace + ".svc:3000/api/v1/instances/sync"
)

// The controller sends to the receiver beside it, and no selector takes one for the other.
func TestReceiver_Enabled_TheControllerSendsToIt(t *testing.T) {
	t.Parallel()
	m := template(t, "--set", "receiver.enabled=true,networkPolicy.enabled=true")
	if got := environment(t, m)["REST_ENDPOINT"]; got != ownEndpoint {
		t.Errorf("REST_ENDPOINT=%s, want %s", got, ownEndpoint)
	}
	service := decode[corev1.Service](t, m, "Service/"+receiverName)
	pod := decode[appsv1.Deployment](t, m, "Deployment/"+receiverName).Spec.Template
	if !subset(service.Spec.Selector, pod.Labels) || service.Spec.Ports[0].Name != "http" || service.Spec.Ports[0].TargetPort.StrVal != pod.Spec.Containers[0].Ports[0].Name {
		t.Errorf("the Service %+v does not lead to the pod %v", service.Spec, pod.Labels)
	}
	if service.Labels["app.kubernetes.io/component"] != "receiver" || pod.Labels["app.kubernetes.io/component"] != "receiver" {
		t.Errorf("kubectl vectordb-sync search does not find %v", service.Labels)
	}
	set := statefulSet(t, m)
	if subset(set.Spec.Selector.MatchLabels, pod.Labels) || subset(service.Spec.Selector, set.Spec.Template.Labels) {
		t.Errorf("labels %v and %v are taken for one another", pod.Labels, set.Spec.Template.Labels)
	}
	for _, o := range m {
		if o.GetKind() == "Service" && o.GetName() != receiverName && subset(decode[corev1.Service](t, manifests{o}, key(o)).Spec.Selector, pod.Labels) {
			t.Errorf("%s leads to the receiver", key(o))
		}
	}
}

func subset(part, whole map[string]string) bool {
	for k, v := range part {
		if whole[k] != v {
			return false
		}
	}
	return true
}

// The receiver only answers: it has no account's token, no rights, and no way out.
func TestReceiver_Enabled_ItHasNoRights(t *testing.T) {
	t.Parallel()
	m := template(t, "--set", "receiver.enabled=true,networkPolicy.enabled=true")
	pod := decode[appsv1.Deployment](t, m, "Deployment/"+receiverName).Spec.Template.Spec
	if *pod.AutomountServiceAccountToken || pod.ServiceAccountName != "" {
		t.Errorf("it has the token of account %q", pod.ServiceAccountName)
	}
	c := pod.Containers[0].SecurityContext
	if *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) || !*pod.SecurityContext.RunAsNonRoot {
		t.Errorf("security context %v of pod %v", c, pod.SecurityContext)
	}
	if probes := pod.Containers[0]; probes.LivenessProbe.HTTPGet.Path != "/healthz" || probes.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("probes %v %v", probes.LivenessProbe, probes.ReadinessProbe)
	}
	policy := decode[networkingv1.NetworkPolicy](t, m, "NetworkPolicy/"+receiverName)
	if len(policy.Spec.Egress) > 0 || !slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) || policy.Spec.Ingress[0].Ports[0].Port.IntValue() != 3000 {
		t.Errorf("policy %+v", policy.Spec)
	}
	// The controller may reach it.
	out := decode[networkingv1.NetworkPolicy](t, m, "NetworkPolicy/k8s-vectordb-sync").Spec.Egress
	if last := out[len(out)-1]; last.Ports[0].Port.IntValue() != 3000 {
		t.Errorf("the controller is let out to %+v", last)
	}
}

func TestReceiver_OfTheKindOfDotAI_SharesTheToken(t *testing.T) {
	t.Parallel()
	m := template(t, values(t, variants["a receiver of the kind of dot-ai on a volume"])...)
	want := "http://" + receiverName + "." + namespace + ".svc:80/api/v1/resources/sync"
	if got := environment(t, m)["REST_ENDPOINT"]; got != want {
		t.Errorf("REST_ENDPOINT=%s, want %s", got, want)
	}
	pod := decode[appsv1.Deployment](t, m, "Deployment/"+receiverName).Spec.Template.Spec
	args := []string{
		"--listen=:3000", "--data=/data", "--dot-ai-token-file=/etc/k8s-vectordb-sync/auth/token", "--embedder-url=http://ollama.models.svc:11434",
		"--embedder-model=nomic-embed-text", "--embedder-key-file=/etc/k8s-vectordb-sync/embedder/token", "--max-records=100",
	}
	if diff := cmp.Diff(args, pod.Containers[0].Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if pod.Volumes[0].PersistentVolumeClaim.ClaimName != receiverName || m.find("PersistentVolumeClaim/"+receiverName) == nil || pod.Volumes[1].Secret.SecretName != "receiver-token" {
		t.Errorf("volumes %+v", pod.Volumes)
	}
	policy := decode[networkingv1.NetworkPolicy](t, m, "NetworkPolicy/"+receiverName)
	var out []int
	for _, p := range policy.Spec.Egress[0].Ports {
		out = append(out, p.Port.IntValue())
	}
	if !slices.Equal(out, []int{11434, 53, 53, 5353, 5353}) || len(policy.Spec.Ingress[0].From) != 3 {
		t.Errorf("policy %+v", policy.Spec)
	}
}

func TestReceiver_WithWhatContradictsIt_IsRefused(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"config.restEndpoint=" + endpoint:      "set one of them",
		"config.instancesEndpoint=" + endpoint: "set one of them",
		"config.endpointFormat=dot-ai":         "needs a token for the two of them",
	} {
		if message := refused(t, "--set", "receiver.enabled=true,"+set); !strings.Contains(message, want) {
			t.Errorf("%s: message %q", set, message)
		}
	}
	// Equal settings are no contradiction: people copy the URL from the notes.
	template(t, "--set", "receiver.enabled=true,config.restEndpoint="+ownEndpoint)
}

func TestHelmTest_Pod_AsksByOurOwnProgram(t *testing.T) {
	t.Parallel()
	m := templateWithHooks(t, "--set", "receiver.enabled=true,service.port=80")
	pod := decode[corev1.Pod](t, m, "Pod/k8s-vectordb-sync-test")
	if pod.Annotations["helm.sh/hook"] != "test" || pod.Spec.RestartPolicy != corev1.RestartPolicyNever || *pod.Spec.AutomountServiceAccountToken {
		t.Errorf("the pod is %+v", pod)
	}
	want := []string{
		"--check=http://k8s-vectordb-sync." + namespace + ".svc:80/api/v1/status",
		"--check=http://" + receiverName + "." + namespace + ".svc:3000/readyz",
	}
	if diff := cmp.Diff(want, pod.Spec.Containers[0].Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if pod.Spec.Containers[0].Image != controller(t, m).Image {
		t.Errorf("it needs an image of its own, %s", pod.Spec.Containers[0].Image)
	}
	if subset(statefulSet(t, m).Spec.Selector.MatchLabels, pod.Labels) {
		t.Errorf("the pod %v is taken for a replica", pod.Labels)
	}
}
