package verify

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

const (
	// format is the version of the encoding. A statement in another format is not understood, hence not believed.
	format = 1
	// packFrom is the size in bytes from which a statement is packed; maxUnpacked bounds the size of an unpacked
	// one. A thousand types take about 60 KB, and a third of that when packed.
	packFrom    = 24 << 10
	maxUnpacked = 4 << 20
	// maxTypes bounds the types that a statement speaks of.
	maxTypes = 10_000
)

// Statement is what a member tells the others about its index.
type Statement struct {
	// Filter names the settings that decide which objects are in an index. Sums under different filters cannot be
	// compared.
	Filter string
	// Sums are the sums of the member's index, by type.
	Sums map[string]index.Sum
	// Lists are the lists that the member has read lately from the API server, by run and type. The run "" is the
	// scheduled one.
	Lists map[string]map[string]List
	// Verdicts say how the member's index compared with the list of a run, by run and type.
	Verdicts map[string]map[string]Verdict
	// Runs are the runs that the member was asked for, while they are under way.
	Runs map[string]Request
}

// List is one complete list of a type.
type List struct {
	Sum index.Sum
	// Err says why there is no list.
	Err string
}

// Request is a call to verify types at once.
type Request struct {
	// Types are the types, by name.
	Types []string `json:"types"`
	// Label is how the caller has called the types; empty for all.
	Label string `json:"label,omitempty"`
	// Started is the time of the request, by the clock of the member that was asked. It is only shown; no decision
	// depends on it.
	Started time.Time `json:"started"`
}

// Verdict is how an index compared with a list.
type Verdict uint8

// The verdicts.
const (
	// Pending means that the comparison is not done.
	Pending Verdict = iota
	// Equal means no difference.
	Equal
	// Repaired means a difference, after which the type was listed anew.
	Repaired
	// Failed means that the list could not be made.
	Failed
)

var verdicts = [...]string{"pending", "equal", "repaired", "failed"}

// String returns the name of v in lower case.
func (v Verdict) String() string { return verdicts[min(int(v), len(verdicts)-1)] }

// encoded is the JSON form of a statement.
type encoded struct {
	Format   int                           `json:"format"`
	Filter   string                        `json:"filter,omitempty"`
	Sums     map[string]string             `json:"sums,omitempty"`
	Lists    map[string]map[string]string  `json:"lists,omitempty"`
	Failures map[string]map[string]string  `json:"failures,omitempty"`
	Verdicts map[string]map[string]Verdict `json:"verdicts,omitempty"`
	Runs     map[string]Request            `json:"runs,omitempty"`
}

// Encode returns the statement as text, and tells whether it was packed. Equal statements have equal texts.
func (s Statement) Encode() (text []byte, packed bool, err error) {
	e := encoded{Format: format, Filter: s.Filter, Sums: make(map[string]string, len(s.Sums)), Verdicts: s.Verdicts, Runs: s.Runs}
	for t, sum := range s.Sums {
		e.Sums[t] = encodeSum(sum)
	}
	for run, lists := range s.Lists {
		for t, l := range lists {
			if l.Err != "" {
				put(&e.Failures, run, t, l.Err)
			} else {
				put(&e.Lists, run, t, encodeSum(l.Sum))
			}
		}
	}
	if text, err = json.Marshal(e); err != nil {
		return nil, false, fmt.Errorf("encoding a statement: %w", err)
	}
	if len(text) < packFrom {
		return text, false, nil
	}
	if text, err = configmap.Deflate(func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return nil, false, fmt.Errorf("packing a statement: %w", err) // Writes to a buffer do not fail.
	}
	return text, true, nil
}

// put sets an entry of a map of maps.
func put[V any](m *map[string]map[string]V, run, t string, v V) {
	if *m == nil {
		*m = make(map[string]map[string]V)
	}
	if (*m)[run] == nil {
		(*m)[run] = make(map[string]V)
	}
	(*m)[run][t] = v
}

var errStatement = errors.New("statement is malformed")

// Decode reads the text of Encode. It returns an error for any other text.
func Decode(text []byte, packed bool) (Statement, error) {
	if packed {
		r := flate.NewReader(bytes.NewReader(text))
		defer r.Close()
		var err error
		if text, err = io.ReadAll(io.LimitReader(r, maxUnpacked)); err != nil {
			return Statement{}, fmt.Errorf("unpacking a statement: %w", err)
		}
	}
	var e encoded
	if err := json.Unmarshal(text, &e); err != nil {
		return Statement{}, fmt.Errorf("decoding a statement: %w", err)
	}
	if e.Format != format {
		return Statement{}, fmt.Errorf("statement has format %d, want %d", e.Format, format)
	}
	if len(e.Sums) > maxTypes {
		return Statement{}, errStatement
	}
	s := Statement{Filter: e.Filter, Sums: make(map[string]index.Sum, len(e.Sums)), Verdicts: e.Verdicts, Runs: e.Runs}
	for t, text := range e.Sums {
		sum, err := decodeSum(text)
		if err != nil {
			return Statement{}, err
		}
		s.Sums[t] = sum
	}
	for run, lists := range e.Lists {
		for t, text := range lists {
			sum, err := decodeSum(text)
			if err != nil {
				return Statement{}, err
			}
			put(&s.Lists, run, t, List{Sum: sum})
		}
	}
	for run, failures := range e.Failures {
		for t, why := range failures {
			put(&s.Lists, run, t, List{Err: why})
		}
	}
	return s, nil
}

func encodeSum(s index.Sum) string { return fmt.Sprintf("%d %d %016x", s.Version, s.Objects, s.Hash) }

func decodeSum(text string) (index.Sum, error) {
	var s index.Sum
	n, err := fmt.Sscanf(text, "%d %d %x", &s.Version, &s.Objects, &s.Hash)
	if err != nil || n != 3 || s.Version == 0 || s.Objects < 0 || encodeSum(s) != text {
		return index.Sum{}, errStatement
	}
	return s, nil
}
