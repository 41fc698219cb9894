package api

import "encoding/json"

// List is a slice that is written as [] when it is nil, so that no client has to expect null. A plain slice can be
// assigned to it.
type List[T any] []T

// MarshalJSON implements [json.Marshaler].
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}
