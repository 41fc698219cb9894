package chart_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// These are the names that people and scripts use, for either way to install.
var wantNames = []string{
	"ClusterRole/k8s-vectordb-sync-manager-role",
	"ClusterRole/k8s-vectordb-sync-metrics-auth-role",
	"ClusterRole/k8s-vectordb-sync-metrics-reader",
	"ClusterRoleBinding/k8s-vectordb-sync-manager-rolebinding",
	"ClusterRoleBinding/k8s-vectordb-sync-metrics-auth-rolebinding",
	"ClusterRoleBinding/k8s-vectordb-sync-metrics-reader-rolebinding",
	"PodDisruptionBudget/k8s-vectordb-sync",
	"Role/k8s-vectordb-sync-ring-role",
	"RoleBinding/k8s-vectordb-sync-ring-rolebinding",
	"Service/k8s-vectordb-sync",
	"Service/k8s-vectordb-sync-controller-manager-metrics-service",
	"Service/k8s-vectordb-sync-headless",
	"ServiceAccount/k8s-vectordb-sync-controller-manager",
	"StatefulSet/k8s-vectordb-sync",
}

func TestNamesAreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	got := template(t).keys()
	slices.Sort(got)
	if diff := cmp.Diff(wantNames, got); diff != "" {
		t.Errorf("objects of the chart (-want +got):\n%s", diff)
	}
}

// Every object is in the namespace of the release, so that `helm template | kubectl apply -f -` needs no more.
func TestEveryNamespacedObjectSaysItsNamespace(t *testing.T) {
	t.Parallel()
	for _, o := range template(t, values(t, variants["cert-manager and prometheus"])...) {
		want := namespace
		if strings.HasPrefix(o.GetKind(), "ClusterRole") {
			want = ""
		}
		if got := o.GetNamespace(); got != want {
			t.Errorf("%s: namespace %q, want %q", key(o), got, want)
		}
	}
}

func TestNamesOfLongReleasesAreValidAndDistinct(t *testing.T) {
	t.Parallel()
	const longest = 53 // for helm
	seen := map[string]string{}
	for _, name := range []string{"a", "k8s-vectordb-sync-blue", "eu.west", strings.Repeat("a", longest-1) + "b", strings.Repeat("a", 30), strings.Repeat("a", 31)} {
		for _, o := range templateAs(t, name, values(t, variants["cert-manager and prometheus"])...) {
			if errs := validation.IsDNS1035Label(o.GetName()); len(errs) > 0 {
				t.Errorf("release %s: %s: %v", name, key(o), errs)
			}
			if other, taken := seen[key(o)]; taken {
				t.Errorf("release %s has the same %s as release %s", name, key(o), other)
			}
			seen[key(o)] = name
			if o.GetKind() == "StatefulSet" && len(o.GetName()) > 52 {
				t.Errorf("release %s: %s is too long for a label with its revision's hash", name, key(o))
			}
		}
	}
}

func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	for name, variant := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := template(t, values(t, variant)...)
			pod := statefulSet(t, m).Spec.Template.Spec.SecurityContext
			if pod.RunAsNonRoot == nil || !*pod.RunAsNonRoot || pod.SeccompProfile.Type != "RuntimeDefault" {
				t.Errorf("pod: %v, want a user that is not root and the runtime's seccomp profile", pod)
			}
			if pod.RunAsUser != nil || pod.RunAsGroup != nil {
				t.Errorf("pod: %v, want no user by number: OpenShift gives each namespace its own", pod)
			}
			c := controller(t, m).SecurityContext
			if *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("container: %v, want nothing that it does not need", c)
			}
		})
	}
}

func TestProbesAskTheProbePort(t *testing.T) {
	t.Parallel()
	c := controller(t, template(t, "--set", "config.healthProbeBindAddress=0.0.0.0:9081"))
	if got := []string{c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path}; !slices.Equal(got, []string{"/healthz", "/readyz"}) {
		t.Errorf("probes ask %v", got)
	}
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if diff := cmp.Diff(map[string]int32{"api": 8082, "metrics": 8443, "probes": 9081}, ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
		if p.HTTPGet.Port.StrVal != "probes" {
			t.Errorf("%s is asked at %s, want the port called probes", p.HTTPGet.Path, p.HTTPGet.Port.String())
		}
	}
}

func TestServicesLeadToThePods(t *testing.T) {
	t.Parallel()
	for name, render := range map[string]func() manifests{
		"chart":     func() manifests { return template(t, values(t, variants["all settings"])...) },
		"kustomize": func() manifests { return kustomize(t, "basic") },
	} {
		m := render()
		labels := statefulSet(t, m).Spec.Template.Labels
		named := map[string]bool{}
		for _, p := range controller(t, m).Ports {
			named[p.Name] = true
		}
		for want, port := range map[string]int32{
			"Service/k8s-vectordb-sync":                                    8082,
			"Service/k8s-vectordb-sync-controller-manager-metrics-service": 8443,
		} {
			s := decode[corev1.Service](t, m, want)
			if s.Spec.Ports[0].Port != port {
				t.Errorf("%s: %s has port %d, want %d", name, want, s.Spec.Ports[0].Port, port)
			}
			if !named[s.Spec.Ports[0].TargetPort.StrVal] {
				t.Errorf("%s: %s leads to port %q, which the container has not", name, want, s.Spec.Ports[0].TargetPort.StrVal)
			}
			for k, v := range s.Spec.Selector {
				if labels[k] != v {
					t.Errorf("%s: %s selects %s=%s, which the pods have not", name, want, k, v)
				}
			}
		}
		if headless := decode[corev1.Service](t, m, "Service/"+statefulSet(t, m).Spec.ServiceName); headless.Spec.ClusterIP != "None" {
			t.Errorf("%s: the StatefulSet's Service has an address, want none", name)
		}
	}
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want *int32
	}{
		"one by default":           {nil, new(int32(1))},
		"as many as asked for":     {[]string{"--set", "replicaCount=5"}, new(int32(5))},
		"none":                     {[]string{"--set", "replicaCount=0"}, new(int32(0))},
		"left to the autoscaler":   {[]string{"--set", "autoscaling.enabled=true,replicaCount=5"}, nil},
		"autoscaler without a CPU": {[]string{"--set", "autoscaling.enabled=true,autoscaling.targetCPUUtilizationPercentage=null,autoscaling.targetMemoryUtilizationPercentage=80"}, nil},
	} {
		m := template(t, test.args...)
		set := statefulSet(t, m)
		if diff := cmp.Diff(test.want, set.Spec.Replicas); diff != "" {
			t.Errorf("%s: replicas (-want +got):\n%s", name, diff)
		}
		if set.Spec.PodManagementPolicy != "Parallel" {
			t.Errorf("%s: replicas wait for one another", name)
		}
		if test.want != nil {
			continue
		}
		scaler := decode[autoscalingv2.HorizontalPodAutoscaler](t, m, "HorizontalPodAutoscaler/k8s-vectordb-sync")
		if scaler.Spec.ScaleTargetRef.Kind != "StatefulSet" || scaler.Spec.ScaleTargetRef.Name != set.Name || len(scaler.Spec.Metrics) != 1 {
			t.Errorf("%s: the autoscaler is %+v", name, scaler.Spec)
		}
	}
}

func TestBudgetSelectsThePods(t *testing.T) {
	t.Parallel()
	m := template(t)
	budget := decode[policyv1.PodDisruptionBudget](t, m, "PodDisruptionBudget/k8s-vectordb-sync")
	if diff := cmp.Diff(statefulSet(t, m).Spec.Selector, budget.Spec.Selector); diff != "" {
		t.Errorf("selector (-pods +budget):\n%s", diff)
	}
}

// A pod that is killed while it flushes would leave changes to others that it could have sent itself.
func TestGracePeriodOutlivesTheFlush(t *testing.T) {
	t.Parallel()
	for flush, want := range map[string]int64{"0": 10, "1": 11, "25000": 35, "25001": 36, "3600000": 3610} {
		set := statefulSet(t, template(t, "--set", "config.shutdownTimeoutMs="+flush))
		if got := *set.Spec.Template.Spec.TerminationGracePeriodSeconds; got != want {
			t.Errorf("a flush of %s ms: %d s to end, want %d", flush, got, want)
		}
	}
	message := refused(t, "--set", "terminationGracePeriodSeconds=25")
	if want := "give it more than that"; !strings.Contains(message, want) {
		t.Errorf("message %q, want %q in it", message, want)
	}
}

func TestMemoryLimitOfGoFollowsTheContainers(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"resources.limits.memory=256Mi":                        "241591910",
		"resources.limits.memory=1Gi,goMemLimitPercent=50":     "536870912",
		"resources.limits.memory=100M":                         "90000000",
		"resources.limits.memory=1000000000":                   "900000000",
		"resources.limits.memory=256Mi,goMemLimitPercent=0":    "",
		"resources.limits.memory=null":                         "",
		"resources.limits=null":                                "",
		"resources.limits.memory=1.5Gi,goMemLimitPercent=0":    "",
		"resources.limits.memory=10Ki,resources.requests=null": "9216",
	} {
		if got := environment(t, template(t, "--set", set))["GOMEMLIMIT"]; got != want {
			t.Errorf("%s: GOMEMLIMIT=%s, want %s", set, got, want)
		}
	}
	if message := refused(t, "--set", "resources.limits.memory=1.5Gi"); !strings.Contains(message, "write it as a whole number") {
		t.Errorf("message %q does not say what would be right", message)
	}
}

func TestStateOutlivesThePodWhenAsked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args       []string
		wantClaims int
		wantPath   string
	}{
		"by default":  {nil, 0, "/var/lib/k8s-vectordb-sync"},
		"persistence": {[]string{"--set", "persistence.enabled=true,config.stateDir=/state"}, 1, "/state"},
	} {
		m := template(t, test.args...)
		set := statefulSet(t, m)
		if got := len(set.Spec.VolumeClaimTemplates); got != test.wantClaims {
			t.Errorf("%s: %d claims, want %d", name, got, test.wantClaims)
		}
		volumes := map[string]bool{}
		for _, v := range set.Spec.Template.Spec.Volumes {
			volumes[v.Name] = true
		}
		if volumes["state"] == (test.wantClaims > 0) {
			t.Errorf("%s: the state is on both a claim and a volume, or on none", name)
		}
		if mount := controller(t, m).VolumeMounts[0]; mount.Name != "state" || mount.MountPath != test.wantPath || environment(t, m)["STATE_DIR"] != test.wantPath {
			t.Errorf("%s: state is mounted at %s and looked for at %s, want %s", name, mount.MountPath, environment(t, m)["STATE_DIR"], test.wantPath)
		}
	}
}

// Every path in the environment has to be mounted there.
func TestFilesOfTheEnvironmentAreMounted(t *testing.T) {
	t.Parallel()
	for name, variant := range variants {
		m := template(t, values(t, variant)...)
		mounts := map[string]bool{}
		sources := map[string]bool{}
		for _, v := range statefulSet(t, m).Spec.Template.Spec.Volumes {
			sources[v.Name] = true
		}
		for _, c := range statefulSet(t, m).Spec.VolumeClaimTemplates {
			sources[c.Name] = true
		}
		for _, mount := range controller(t, m).VolumeMounts {
			mounts[mount.MountPath] = true
			if !sources[mount.Name] {
				t.Errorf("%s: %s is mounted, but there is no such volume", name, mount.Name)
			}
		}
		env := environment(t, m)
		for variable, folder := range map[string]string{
			"STATE_DIR":        env["STATE_DIR"],
			"METRICS_CERT_DIR": env["METRICS_CERT_DIR"],
			"AUTH_TOKEN_FILE":  strings.TrimSuffix(env["AUTH_TOKEN_FILE"], "/token"),
		} {
			if folder != "" && !mounts[folder] {
				t.Errorf("%s: %s=%s, but nothing is mounted at %s", name, variable, env[variable], folder)
			}
		}
	}
}

func TestTokenComesFromTheNamedKey(t *testing.T) {
	t.Parallel()
	m := template(t, "--set", "config.authTokenSecretRef.name=receiver,config.authTokenSecretRef.key=api-key")
	for _, v := range statefulSet(t, m).Spec.Template.Spec.Volumes {
		if v.Name != "auth" {
			continue
		}
		want := &corev1.SecretVolumeSource{SecretName: "receiver", Items: []corev1.KeyToPath{{Key: "api-key", Path: "token"}}}
		if diff := cmp.Diff(want, v.Secret); diff != "" {
			t.Errorf("volume (-want +got):\n%s", diff)
		}
		return
	}
	t.Error("no volume holds the token")
}

func TestNetworkPolicyLetsOutWhatIsNeeded(t *testing.T) {
	t.Parallel()
	for url, want := range map[string][]int{
		"http://cluster-whisperer:3000/api/v1/instances/sync": {53, 53, 443, 3000, 5353, 5353, 6443},
		"http://receiver/sync":                                {53, 53, 80, 443, 5353, 5353, 6443},
		"https://receiver.example.com/sync":                   {53, 53, 443, 443, 5353, 5353, 6443},
		"http://[2001:db8::1]:8080/sync":                      {53, 53, 443, 5353, 5353, 6443, 8080},
	} {
		policy := decode[networkingv1.NetworkPolicy](t, template(t, "--set", "networkPolicy.enabled=true,config.restEndpoint="+url),
			"NetworkPolicy/k8s-vectordb-sync")
		var got []int
		for _, rule := range policy.Spec.Egress {
			for _, port := range rule.Ports {
				got = append(got, port.Port.IntValue())
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: ports out (-want +got):\n%s", url, diff)
		}
	}
}
