package checkpoint

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
)

const (
	// packedKey holds all other keys, as deflated JSON, where they would be large: of 300 types with all that can be said
	// of them a quarter is left. Small ones stay readable.
	packedKey = "packed"
	// packFrom is from which size on they are packed, in bytes; maxUnpacked is how much is believed to be in a packed one.
	packFrom    = 24 << 10
	maxUnpacked = 4 << 20
)

// pack puts keys into a ConfigMap.
func pack(m *corev1.ConfigMap, data map[string]string) error {
	m.Data, m.BinaryData = data, nil
	size := 0
	for k, v := range data {
		size += len(k) + len(v)
	}
	if size < packFrom {
		return nil
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err == nil {
		err = json.NewEncoder(w).Encode(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil { // A buffer takes everything.
		return fmt.Errorf("packing a checkpoint: %w", err)
	}
	m.Data, m.BinaryData = nil, map[string][]byte{packedKey: packed.Bytes()}
	return nil
}

// unpack returns what pack was given. What it cannot read it leaves out, as if it had not been written.
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
