package inventory

import (
	"bytes"
	"io"
)

// OnDisk makes a writer write through create.
func OnDisk(k *Writer, create func(path string) (io.WriteCloser, func() error, error)) {
	k.disk.create = func(path string) (file, error) {
		w, sync, err := create(path)
		return syncer{w, sync}, err
	}
}

type syncer struct {
	io.WriteCloser
	sync func() error
}

func (s syncer) Sync() error { return s.sync() }

// Parse checks the bytes of a file as Open does, and returns all names by type.
func Parse(text []byte, limits Limits) (map[string][]string, error) {
	t, err := decode(bytes.NewReader(text), int64(len(text)), limits.withDefaults())
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, s := range t.Types {
		names := []string{}
		err = s.scan(bytes.NewReader(text), func(name []byte) bool {
			names = append(names, string(name))
			return true
		})
		if err != nil || len(names) != s.Objects {
			return nil, io.ErrUnexpectedEOF
		}
		all[s.typ().String()] = names
	}
	return all, nil
}
