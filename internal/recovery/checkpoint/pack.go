package checkpoint

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
)

const (
	// packedKey holds all other keys, as deflated JSON, if they are large: deflating leaves a quarter of 300 types
	// with full entries. Small ones stay readable.
	packedKey = "packed"
	// packFrom is the size from which keys are packed, in bytes; maxUnpacked bounds the size of the keys in a packed
	// one.
	packFrom    = 24 << 10
	maxUnpacked = 4 << 20
)

// pack returns keys in the form of a ConfigMap, as text or packed.
func pack(data map[string]string) (text map[string]string, binary map[string][]byte, err error) {
	size := 0
	for k, v := range data {
		size += len(k) + len(v)
	}
	if size < packFrom {
		return data, nil, nil
	}
	packed, err := configmap.Deflate(func(w io.Writer) error { return json.NewEncoder(w).Encode(data) })
	if err != nil { // A buffer takes everything.
		return nil, nil, fmt.Errorf("packing a checkpoint: %w", err)
	}
	return nil, map[string][]byte{packedKey: packed}, nil
}

// unpack returns the keys that went into pack. It leaves out keys that it cannot read, as if they had not been
// written.
func unpack(m *corev1.ConfigMap) (map[string]string, error) {
	packed := m.BinaryData[packedKey]
	if packed == nil {
		return m.Data, nil
	}
	r := flate.NewReader(bytes.NewReader(packed))
	defer r.Close()
	var data map[string]string
	if err := json.NewDecoder(io.LimitReader(r, maxUnpacked)).Decode(&data); err != nil {
		return nil, fmt.Errorf("unpacking a checkpoint: %w", err)
	}
	return data, nil
}
