package configmap

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"
)

// deflaters are used again: one takes 1.2 MB, and what is packed is written every ten seconds.
var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // It refuses levels that do not exist, and nothing else.
	return w
}}

// Deflate returns what write writes, packed.
func Deflate(write func(w io.Writer) error) ([]byte, error) {
	var packed bytes.Buffer
	w, _ := deflaters.Get().(*flate.Writer) // It holds nothing else.
	defer deflaters.Put(w)
	w.Reset(&packed)
	if err := write(w); err != nil {
		return nil, err // It is the caller's.
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	return packed.Bytes(), nil
}
