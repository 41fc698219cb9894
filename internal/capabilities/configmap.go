package capabilities

import (
	"context"
	"encoding/json"
	"fmt"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
)

// scannedKey holds the names that were scanned, as JSON.
const scannedKey = "scanned"

// ConfigMap is a [Store] in a ConfigMap. One member at a time writes it. If two do, the second write is refused,
// and that member reads again.
type ConfigMap struct {
	client corev1client.ConfigMapInterface
	ring   string
}

// NewConfigMap returns the store of a ring.
func NewConfigMap(client corev1client.ConfigMapInterface, ring string) ConfigMap {
	return ConfigMap{client, ring}
}

func (s ConfigMap) name() string { return s.ring + "-capabilities" }

// Load implements [Store].
func (s ConfigMap) Load(ctx context.Context) (map[string]string, error) {
	m, err := configmap.Get(ctx, s.client, s.name())
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %s: %w", s.name(), err)
	}
	done := make(map[string]string)
	if m != nil && m.Data[scannedKey] != "" {
		if err := json.Unmarshal([]byte(m.Data[scannedKey]), &done); err != nil {
			return nil, fmt.Errorf("reading ConfigMap %s: %w", s.name(), err)
		}
	}
	return done, nil
}

// Save implements [Store].
func (s ConfigMap) Save(ctx context.Context, done map[string]string) error {
	text, err := json.Marshal(done)
	if err != nil {
		return fmt.Errorf("encoding the scanned definitions: %w", err)
	}
	m, err := configmap.Get(ctx, s.client, s.name())
	if err == nil {
		_, err = configmap.Put(ctx, s.client, s.name(), m, configmap.Content{Data: map[string]string{scannedKey: string(text)}})
	}
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s: %w", s.name(), err)
	}
	return nil
}
