package netfault

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// itemsField is the number of the items in every list of Kubernetes.
const itemsField = 2

// thin leaves items out of a list.
func thin(whole []byte, protobuf bool, answer Answer) ([]byte, error) {
	keep := func(i int) bool { return answer == AnswerHalf && i%2 == 0 }
	if protobuf {
		return thinProtobuf(whole, keep)
	}
	var list map[string]json.RawMessage
	if err := json.Unmarshal(whole, &list); err != nil {
		return nil, fmt.Errorf("decoding a list: %w", err)
	}
	var items []json.RawMessage
	if err := json.Unmarshal(list["items"], &items); err != nil {
		return nil, fmt.Errorf("decoding the items of a list: %w", err)
	}
	few := make([]json.RawMessage, 0, len(items))
	for i, item := range items {
		if keep(i) {
			few = append(few, item)
		}
	}
	var err error
	if list["items"], err = json.Marshal(few); err != nil {
		return nil, fmt.Errorf("encoding the items of a list: %w", err)
	}
	return json.Marshal(list)
}

func thinProtobuf(whole []byte, keep func(i int) bool) ([]byte, error) {
	envelope, err := unwrap(whole)
	if err != nil {
		return nil, err
	}
	var few []byte
	for rest, i := envelope.Raw, 0; len(rest) > 0; {
		field, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return nil, fmt.Errorf("decoding a list: %w", protowire.ParseError(n))
		}
		if field != itemsField || keep(i) {
			few = append(few, rest[:n]...)
		}
		if field == itemsField {
			i++
		}
		rest = rest[n:]
	}
	envelope.Raw = few
	out, err := envelope.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding a list: %w", err)
	}
	return append([]byte(magic), out...), nil
}
