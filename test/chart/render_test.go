package chart_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

var update = flag.Bool("update", false, "write the files that are made from the chart")

const (
	root      = "../.."
	chartDir  = root + "/charts/k8s-vectordb-sync"
	release   = "k8s-vectordb-sync"
	namespace = "k8s-vectordb-sync-system"
	endpoint  = "http://cluster-whisperer:3000/api/v1/instances/sync"

	// offline has helm render for the oldest Kubernetes that the chart supports. Without a cluster, helm assumes the
	// version that it was built with.
	offline = "--kube-version=v1.28.0"
)

// helm returns the path of helm, which hack/chart-test.sh provides.
func helm(t *testing.T) string {
	t.Helper()
	path := os.Getenv("HELM")
	if path == "" {
		t.Skip("HELM is not set: run hack/chart-test.sh")
	}
	return path
}

// kubectl returns the path of the kubectl that goes with the control plane.
func kubectl(t *testing.T) string {
	t.Helper()
	helm(t) // it skips the test without helm
	assets, err := controlplane.FindAssets()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(assets, "kubectl")
}

// run returns the output of the command, and its standard error if it fails.
func run(t *testing.T, stdin []byte, name string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, errors.New(stderr.String())
	}
	return stdout.Bytes(), nil
}

func mustRun(t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	out, err := run(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v", filepath.Base(name), strings.Join(args, " "), err)
	}
	return out
}

// template renders the chart as release k8s-vectordb-sync with these arguments of helm.
func template(t *testing.T, args ...string) manifests {
	t.Helper()
	return templateAs(t, release, args...)
}

func templateAs(t *testing.T, name string, args ...string) manifests {
	t.Helper()
	args = append([]string{"template", name, chartDir, "--namespace", namespace, "--no-hooks", offline}, args...)
	return parse(t, mustRun(t, nil, helm(t), args...))
}

// templateWithHooks renders the chart with the pod of helm test, which helm installs only on request.
func templateWithHooks(t *testing.T, args ...string) manifests {
	t.Helper()
	args = append([]string{"template", release, chartDir, "--namespace", namespace, offline}, args...)
	return parse(t, mustRun(t, nil, helm(t), args...))
}

// refused renders the chart, which must fail, and returns the message.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, nil, helm(t), append([]string{"template", release, chartDir, offline}, args...)...)
	if err == nil {
		t.Fatalf("helm template %s: accepted, want an error; it rendered\n%s", strings.Join(args, " "), out)
	}
	return err.Error()
}

func kustomize(t *testing.T, folder string) manifests {
	t.Helper()
	return parse(t, mustRun(t, nil, kubectl(t), "kustomize", filepath.Join(root, "config", folder)))
}

// manifests are rendered objects, in the order in which they were rendered.
type manifests []*unstructured.Unstructured

func parse(t *testing.T, raw []byte) manifests {
	t.Helper()
	var all manifests
	decoder := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for {
		document, err := decoder.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("splitting manifests: %v", err)
		}
		content := map[string]any{}
		if err := yaml.UnmarshalStrict(document, &content); err != nil {
			t.Fatalf("reading a manifest: %v\n%s", err, document)
		}
		if len(content) > 0 {
			all = append(all, &unstructured.Unstructured{Object: content})
		}
	}
}

// yaml returns the objects as one stream.
func (m manifests) yaml(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, o := range m {
		document, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatalf("writing %s: %v", key(o), err)
		}
		b.WriteString("---\n")
		b.Write(document)
	}
	return b.Bytes()
}

// key names an object as kubectl does: Service/k8s-vectordb-sync.
func key(o *unstructured.Unstructured) string { return o.GetKind() + "/" + o.GetName() }

func (m manifests) keys() []string {
	keys := make([]string, len(m))
	for i, o := range m {
		keys[i] = key(o)
	}
	return keys
}

func (m manifests) find(name string) *unstructured.Unstructured {
	for _, o := range m {
		if key(o) == name {
			return o
		}
	}
	return nil
}

// decode returns the one object of that key as its type, which must know every field.
func decode[T any](t *testing.T, m manifests, name string) T {
	t.Helper()
	var typed T
	o := m.find(name)
	if o == nil {
		t.Fatalf("no %s among %s", name, strings.Join(m.keys(), ", "))
	}
	raw, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatalf("writing %s: %v", name, err)
	}
	if err := yaml.UnmarshalStrict(raw, &typed); err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	return typed
}

func statefulSet(t *testing.T, m manifests) appsv1.StatefulSet {
	t.Helper()
	return decode[appsv1.StatefulSet](t, m, "StatefulSet/k8s-vectordb-sync")
}

// controller returns the container of the controller.
func controller(t *testing.T, m manifests) corev1.Container {
	t.Helper()
	for _, c := range statefulSet(t, m).Spec.Template.Spec.Containers {
		if c.Name == "controller" {
			return c
		}
	}
	t.Fatal("no container is called controller")
	return corev1.Container{}
}

// environment returns the variables of the controller with a value, also those of a ConfigMap. A variable that is
// set twice fails the test.
func environment(t *testing.T, m manifests) map[string]string {
	t.Helper()
	env := map[string]string{}
	set := func(name, value string) {
		if _, twice := env[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		env[name] = value
	}
	c := controller(t, m)
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef == nil || m.find("ConfigMap/"+from.ConfigMapRef.Name) == nil {
			continue // another program's
		}
		for name, value := range decode[corev1.ConfigMap](t, m, "ConfigMap/"+from.ConfigMapRef.Name).Data {
			set(name, value)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			set(e.Name, e.Value)
		}
	}
	return env
}

// values writes a values file and returns the arguments of helm that name it.
func values(t *testing.T, content string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--values", path}
}
