package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plan"
)

// settingsFlags say where the settings of a plan come from.
type settingsFlags struct {
	files    []string
	envFile  string
	env      []string
	defaults bool
}

func (o *settingsFlags) addFlags(flags *pflag.FlagSet) {
	flags.StringSliceVarP(&o.files, "filename", "f", nil, "Manifests as helm template or kustomize make them, with the StatefulSet, ResourceSyncConfigs, or both (-: standard input)")
	flags.StringVar(&o.envFile, "env-file", "", "File with settings, one NAME=value a line")
	flags.StringArrayVar(&o.env, "env", nil, "A setting, NAME=value; may be repeated, and wins over all others")
	flags.BoolVar(&o.defaults, "defaults", false, "Begin with the defaults, whatever runs")
}

// settings are an environment, and where it comes from.
type settings struct {
	env      map[string]string
	declared []plan.Declared
	from     string
	notes    []string
}

func (s *settings) environ() []string {
	all := make([]string, 0, len(s.env))
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		all = append(all, name+"="+s.env[name])
	}
	return all
}

// read collects the settings: of manifests, of the running release, or none. Those of the flags override them.
func (o *settingsFlags) read(ctx context.Context, c *connection, client corev1client.CoreV1Interface, in io.Reader) (*settings, error) {
	s := &settings{env: make(map[string]string)}
	container, namespace, err := o.container(ctx, c, client, in, s)
	if err != nil {
		return nil, err
	}
	if container != nil {
		if err := s.take(ctx, client, namespace, container); err != nil {
			return nil, err
		}
	}
	if err := o.override(s.env); err != nil {
		return nil, err
	}
	if _, said := s.env["RESOURCE_SYNC_CONFIG"]; len(s.declared) > 0 && !said {
		s.env["RESOURCE_SYNC_CONFIG"] = "true"
	}
	return s, nil
}

// container finds the container whose environment counts, and its namespace; nil for the defaults.
func (o *settingsFlags) container(ctx context.Context, c *connection, client corev1client.PodsGetter, in io.Reader, s *settings) (*corev1.Container, string, error) {
	if len(o.files) > 0 {
		m, err := o.manifests(in)
		if err != nil {
			return nil, "", err
		}
		s.declared = m.declared
		if m.container != nil {
			s.from = "StatefulSet " + m.name + " in " + strings.Join(o.files, ", ")
			return m.container, m.namespace, nil
		}
	}
	if o.defaults {
		s.from = "the defaults"
		return nil, "", nil
	}
	found, pods, err := c.find(ctx, client, true)
	switch _, none := errors.AsType[*nothingFoundError](err); {
	case none:
		s.from = "the defaults, for no release was found"
		return nil, "", nil
	case err != nil:
		return nil, "", err
	}
	s.from = "release " + found.String()
	return controllerOf(pods[0].Spec.Containers), found.Namespace, nil
}

// controllerOf returns the container of the controller: the one with its name, or the only one.
func controllerOf(containers []corev1.Container) *corev1.Container {
	for i := range containers {
		if containers[i].Name == "controller" || len(containers) == 1 {
			return &containers[i]
		}
	}
	return nil
}

// take reads the environment of a container as the kubelet does. It does not read values from Secrets, for no
// setting is secret.
func (s *settings) take(ctx context.Context, client corev1client.ConfigMapsGetter, namespace string, container *corev1.Container) error {
	for _, from := range container.EnvFrom {
		if from.ConfigMapRef == nil {
			s.notes = append(s.notes, "what a Secret adds to the environment is not read")
			continue
		}
		name := from.ConfigMapRef.Name
		m, err := client.ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			s.notes = append(s.notes, fmt.Sprintf("settings of ConfigMap %s cannot be read: %v", name, err))
			continue
		}
		for key, value := range m.Data {
			s.env[from.Prefix+key] = value
		}
	}
	for _, e := range container.Env {
		switch from := e.ValueFrom; {
		case from == nil:
			s.env[e.Name] = e.Value
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
			s.env[e.Name] = namespace
		case from.FieldRef != nil: // a field of the pod decides nothing that is sent
		case from.ConfigMapKeyRef != nil:
			m, err := client.ConfigMaps(namespace).Get(ctx, from.ConfigMapKeyRef.Name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("reading %s of ConfigMap %s: %w", e.Name, from.ConfigMapKeyRef.Name, err)
			}
			s.env[e.Name] = m.Data[from.ConfigMapKeyRef.Key]
		default:
			s.notes = append(s.notes, e.Name+" is not read from where it is kept")
		}
	}
	return nil
}

// override applies the settings of the flags.
func (o *settingsFlags) override(env map[string]string) error {
	lines := o.env
	if o.envFile != "" {
		text, err := os.ReadFile(filepath.Clean(o.envFile))
		if err != nil {
			return fmt.Errorf("reading --env-file: %w", err)
		}
		lines = append(strings.Split(string(text), "\n"), lines...)
	}
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found || name == "" {
			return fmt.Errorf("%q is no setting, want NAME=value such as SKIP_CONTROLLED=true", line)
		}
		env[name] = value
	}
	return nil
}

// manifests are the documents in files that matter for a plan.
type manifests struct {
	container *corev1.Container
	name      string
	namespace string
	declared  []plan.Declared
}

func (o *settingsFlags) manifests(in io.Reader) (manifests, error) {
	var m manifests
	for _, name := range o.files {
		err := m.readFile(name, in)
		if err != nil {
			return m, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	if m.container == nil && len(m.declared) == 0 {
		return m, fmt.Errorf("%s has neither a StatefulSet of k8s-vectordb-sync nor a ResourceSyncConfig", strings.Join(o.files, ", "))
	}
	return m, nil
}

func (m *manifests) readFile(name string, in io.Reader) error {
	if name != "-" {
		f, err := os.Open(filepath.Clean(name))
		if err != nil {
			return err // The error names the file.
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	documents := yaml.NewYAMLOrJSONDecoder(in, 4096)
	for {
		var raw rawDocument
		switch err := documents.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("decoding: %w", err)
		}
		if err := m.take(raw); err != nil {
			return err
		}
	}
}

// take keeps a document if it matters for a plan.
func (m *manifests) take(raw rawDocument) error {
	switch raw.Kind {
	case "List":
		var list struct {
			Items []rawDocument `json:"items"`
		}
		if err := raw.into(&list); err != nil {
			return err
		}
		for _, item := range list.Items {
			if err := m.take(item); err != nil {
				return err
			}
		}
	case v1alpha1.Kind:
		var d plan.Declared
		if err := raw.into(&d); err != nil {
			return err
		}
		if d.Namespace == "" {
			d.Namespace = metav1.NamespaceDefault
		}
		m.declared = append(m.declared, d)
	case "StatefulSet", "Deployment":
		var set appsv1.StatefulSet // a Deployment's template is at the same place
		if err := raw.into(&set); err != nil {
			return err
		}
		if set.Spec.Template.Labels["app.kubernetes.io/component"] == "receiver" {
			return nil
		}
		if c := controllerOf(set.Spec.Template.Spec.Containers); c != nil && settles(c) {
			m.container, m.name, m.namespace = c, set.Name, set.Namespace
		}
	}
	return nil
}

// settles tells by its variables whether a container is one of the controller.
func settles(c *corev1.Container) bool {
	return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
		return slices.Contains([]string{"REST_ENDPOINT", "INSTANCES_ENDPOINT", "RESOURCE_SYNC_CONFIG"}, e.Name)
	})
}

// rawDocument is a document of a manifest that is decoded once its kind is known.
type rawDocument struct {
	metav1.TypeMeta
	text json.RawMessage
}

// UnmarshalJSON implements [json.Unmarshaler].
func (r *rawDocument) UnmarshalJSON(text []byte) error {
	r.text = slices.Clone(text)
	return json.Unmarshal(text, &r.TypeMeta) // The decoder adds the context to the error.
}

func (r *rawDocument) into(v any) error {
	if err := json.Unmarshal(r.text, v); err != nil {
		return fmt.Errorf("decoding a %s: %w", r.Kind, err)
	}
	return nil
}
