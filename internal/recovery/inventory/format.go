package inventory

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	// fileName and tempName are the file and the one that is to replace it.
	fileName, tempName = "inventory", "inventory.tmp"
	// magic and version begin the file.
	magic, version = "k8s-vectordb-sync-inventory/", "0001\n"
	// footerBytes are two numbers of 8 bytes.
	footerBytes = 16
	// maxNameBytes bounds namespace and name together. Most names end at 253 bytes; those of RBAC have no bound of
	// their own, but have to fit into a URL.
	maxNameBytes = 64 << 10
	// maxTableBytes bounds the table: 300 types take 60 KiB.
	maxTableBytes = 4 << 20
)

var (
	// ErrCorrupt says that a file has changed since it was written: it is cut or altered, or no inventory at all.
	ErrCorrupt = errors.New("the inventory is damaged")
	// ErrForeign says that an inventory is intact and speaks of another cluster or ring.
	ErrForeign = errors.New("the inventory is another's")
	// ErrFormat says that the file is an inventory of a format that this version does not know.
	ErrFormat = errors.New("the inventory has an unknown format")
	// ErrTooLarge says that an inventory is larger than any cluster would explain, or would become so.
	ErrTooLarge = errors.New("the inventory is too large")
	// ErrBackwards says that the API server is behind the inventory: etcd was restored from a backup, or is
	// another one. Deletions since the inventory was written cannot be told then. A server whose cache lags is
	// behind for a moment only: ask again for a minute before giving the inventory up.
	ErrBackwards = errors.New("the inventory is newer than the API server")
)

// Limits bound a file, as protection against one that was made to do harm.
type Limits struct {
	// FileBytes bounds the file. Zero means 256 MiB: a million objects take 4 to 10 MiB.
	FileBytes int64
	// NameBytes bounds the inflated size of all sections together. Zero means 1 GiB: a million objects take about 20
	// MiB.
	NameBytes int64
}

func (l Limits) withDefaults() Limits {
	if l.FileBytes == 0 {
		l.FileBytes = 256 << 20
	}
	if l.NameBytes == 0 {
		l.NameBytes = 1 << 30
	}
	return l
}

// Meta describes an inventory.
type Meta struct {
	// Cluster is the UID of the namespace kube-system. It is required.
	Cluster string
	// Ring is the name of the ring whose members write inventories of one kind. It is required.
	Ring string
	// Written is when the inventory was written, by the clock of the writer. It decides nothing.
	Written time.Time
}

func (m Meta) check() error {
	if m.Cluster == "" || m.Ring == "" {
		return fmt.Errorf("inventory needs the UID of a cluster and the name of a ring, got %q and %q", m.Cluster, m.Ring)
	}
	return nil
}

// TypeInfo is an inventory's data of one type.
type TypeInfo struct {
	// Type is the type.
	Type resource.Type
	// Version is the resourceVersion up to which the names are complete, 0 when the type's are no numbers.
	Version uint64
	// Objects is how many names there are.
	Objects int
}

func objectOf(name string) guard.Object {
	namespace, rest, found := strings.Cut(name, "/")
	if !found {
		return guard.Object{Name: name}
	}
	return guard.Object{Namespace: namespace, Name: rest}
}

// table is the part of the file that gives the places of all others.
type table struct {
	Cluster string    `json:"cluster"`
	Ring    string    `json:"ring"`
	Written time.Time `json:"written"`
	Types   []section `json:"types"`
}

// section is one type's part of the file.
type section struct {
	Group      string `json:"group,omitempty"`
	APIVersion string `json:"version"` // of the type, such as v1
	Resource   string `json:"resource"`
	Kind       string `json:"kind"`
	Namespaced bool   `json:"namespaced,omitempty"`
	Within     string `json:"within,omitempty"` // the one namespace, of a type that is read by namespace

	Version uint64 `json:"resourceVersion"`
	Objects int    `json:"objects"`
	Offset  int64  `json:"offset"`
	Bytes   int64  `json:"bytes"` // deflated
	Names   int64  `json:"names"` // bytes, inflated
}

func (s section) typ() resource.Type {
	return resource.Type{Group: s.Group, Version: s.APIVersion, Resource: s.Resource, Kind: s.Kind, Namespaced: s.Namespaced, Within: s.Within}
}

func (s section) info() TypeInfo {
	return TypeInfo{Type: s.typ(), Version: s.Version, Objects: s.Objects}
}
