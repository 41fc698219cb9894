package configmap

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"sync"
)

// deflaters are pooled: one takes 1.2 MB, and packed content is written every ten seconds.
var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // It fails only for levels that do not exist.
	return w
}}

// Deflate returns the output of write, packed.
func Deflate(write func(w io.Writer) error) ([]byte, error) {
	var packed bytes.Buffer
	w, _ := deflaters.Get().(*flate.Writer) // The pool holds no other type.
	defer deflaters.Put(w)
	w.Reset(&packed)
	if err := write(w); err != nil {
		return nil, err // The error is the caller's own.
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	return packed.Bytes(), nil
}
