package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// selector is a label selector; none for an empty value.
type selector struct{ field *labels.Selector }

func (s selector) parse(value string) error {
	parsed, err := resource.ParseSelector(value)
	if err != nil {
		return errors.New("no label selector")
	}
	*s.field = parsed
	return nil
}

func (s selector) String() string {
	if *s.field == nil {
		return ""
	}
	return (*s.field).String()
}

// labelMap is a list of labels with their values, as key=value.
type labelMap struct{ field *map[string]string }

func (l labelMap) parse(value string) error {
	var all map[string]string
	var wrong []string
	for entry := range strings.SplitSeq(value, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		key, text, found := strings.Cut(entry, "=")
		key, text = strings.TrimSpace(key), strings.TrimSpace(text)
		_, twice := all[key]
		switch {
		case !found:
			wrong = append(wrong, fmt.Sprintf("entry %s has no value", printable(entry)))
		case len(validation.IsQualifiedName(key)) > 0:
			wrong = append(wrong, fmt.Sprintf("entry %s has a key that no label can have", printable(entry)))
		case len(validation.IsValidLabelValue(text)) > 0:
			wrong = append(wrong, fmt.Sprintf("entry %s has a value that no label can have", printable(entry)))
		case twice:
			wrong = append(wrong, fmt.Sprintf("entry %s repeats a key", printable(entry)))
		default:
			if all == nil {
				all = make(map[string]string)
			}
			all[key] = text
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, ", "))
	}
	*l.field = all
	return nil
}

func (l labelMap) String() string {
	pairs := make([]string, 0, len(*l.field))
	for _, key := range slices.Sorted(maps.Keys(*l.field)) {
		pairs = append(pairs, key+"="+(*l.field)[key])
	}
	return strings.Join(pairs, ",")
}
