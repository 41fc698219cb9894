package configmap_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
)

// TestDeflate_AlsoAfterAFailure_IsReadBack uses a deflater again, also after a failure in the middle.
func TestDeflate_AlsoAfterAFailure_IsReadBack(t *testing.T) {
	errMiddle := errors.New("in the middle")
	for i, text := range []string{strings.Repeat("a checkpoint ", 5000), "", "short"} {
		if _, err := configmap.Deflate(func(w io.Writer) error {
			_, _ = io.WriteString(w, "something else that must not be seen again")
			return errMiddle
		}); !errors.Is(err, errMiddle) {
			t.Errorf("the error is %v, want that of the writer", err)
		}
		packed, err := configmap.Deflate(func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
		if err != nil || string(got) != text {
			t.Errorf("text %d comes back with %d bytes and %v, want %d", i, len(got), err, len(text))
		}
	}
}
