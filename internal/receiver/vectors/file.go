package vectors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long [Open] waits for a file that another process holds.
const lockTimeout = 5 * time.Second

// format is the format in the file's header; it changes when the layout of the contents does.
const format = "1"

var (
	metaBucket    = []byte("meta")
	vectorsBucket = []byte("vectors")
	modelKey      = []byte("model")
	formatKey     = []byte("format")
)

// file is the vectors on disk: the hash of the text, big endian, and the numbers, little endian.
type file struct{ db *bbolt.DB }

// openFile opens a file for a model. If it has to begin the file anew, it returns the reason.
func openFile(path, model string) (f *file, anew string, err error) {
	db, err := open(path)
	if broken(err) {
		anew = "it could not be read: " + err.Error()
		if err = os.Remove(path); err == nil {
			db, err = open(path)
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("opening vectors: %w", err)
	}
	f = &file{db}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		was, known := string(meta.Get(modelKey)), meta.Get(formatKey) != nil
		if known && (was != model || string(meta.Get(formatKey)) != format) {
			anew = fmt.Sprintf("it holds vectors of the model %q, format %s", was, meta.Get(formatKey))
			if err := tx.DeleteBucket(vectorsBucket); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
				return err
			}
		}
		if _, err := tx.CreateBucketIfNotExists(vectorsBucket); err != nil {
			return err
		}
		return errors.Join(meta.Put(modelKey, []byte(model)), meta.Put(formatKey, []byte(format)))
	})
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("preparing vectors: %w", err), db.Close())
	}
	return f, anew, nil
}

func open(path string) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
}

// broken tells a file that bbolt cannot read from a disk or a lock that prevents opening it.
func broken(err error) bool {
	return errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) || errors.Is(err, bolterrors.ErrVersionMismatch)
}

func (f *file) read(each func(hash uint64, v []float32)) error {
	err := f.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(vectorsBucket).ForEach(func(k, raw []byte) error {
			if len(k) != 8 || len(raw) == 0 || len(raw)%4 != 0 {
				return nil // not a text's hash; the entry is dropped with the next model
			}
			v := make([]float32, len(raw)/4)
			for i := range v {
				v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			}
			each(binary.BigEndian.Uint64(k), v)
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("reading vectors: %w", err)
	}
	return nil
}

func (f *file) put(vectors map[uint64][]float32) error {
	return f.update("writing vectors", func(b *bbolt.Bucket) error {
		for hash, v := range vectors {
			var raw bytes.Buffer
			for _, x := range v {
				raw.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)))
			}
			if err := b.Put(keyOf(hash), raw.Bytes()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *file) drop(hashes []uint64) error {
	return f.update("deleting vectors", func(b *bbolt.Bucket) error {
		for _, h := range hashes {
			if err := b.Delete(keyOf(h)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *file) clear() error {
	err := f.db.Update(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket(vectorsBucket); err != nil {
			return err
		}
		_, err := tx.CreateBucket(vectorsBucket)
		return err
	})
	if err != nil {
		return fmt.Errorf("emptying vectors: %w", err)
	}
	return nil
}

func (f *file) update(what string, change func(*bbolt.Bucket) error) error {
	err := f.db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket(vectorsBucket)) })
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (f *file) close() error {
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("closing vectors: %w", err)
	}
	return nil
}

func keyOf(hash uint64) []byte { return binary.BigEndian.AppendUint64(nil, hash) }
