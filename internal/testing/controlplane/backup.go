package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Backup is the state of etcd at one moment.
type Backup struct {
	dir string
	// Revision is the revision of that moment, or a little earlier.
	Revision int64
}

// Backup copies the data of etcd, which is paused meanwhile. The copy lives as long as the control plane.
func (c *ControlPlane) Backup(ctx context.Context) (Backup, error) {
	c.turn.spend()
	revision, err := c.Revision(ctx)
	if err != nil {
		return Backup{}, err
	}
	dir, err := os.MkdirTemp(c.dir, "backup-")
	if err != nil {
		return Backup{}, fmt.Errorf("making the directory of a backup: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.etcd == nil {
		return Backup{}, errStopped
	}
	if err := c.etcd.Signal(syscall.SIGSTOP); err != nil {
		return Backup{}, err
	}
	err = os.CopyFS(filepath.Join(dir, "etcd"), os.DirFS(filepath.Join(c.dir, "etcd")))
	if err := errors.Join(err, c.etcd.Signal(syscall.SIGCONT)); err != nil {
		return Backup{}, fmt.Errorf("copying the data of etcd: %w", err)
	}
	return Backup{dir: dir, Revision: revision}, nil
}

// RestoreOptions are the options of [ControlPlane.Restore]. The zero value is a plain restore: the revision is that
// of the backup.
type RestoreOptions struct {
	// Bump raises the revision by so much, and marks earlier revisions as compacted, as `etcdutl snapshot restore
	// --bump-revision --mark-compacted` does. The result should lie beyond every revision of the time that is lost.
	Bump int64
}

// Restore replaces the data of etcd by a backup, and starts both processes again. The API server is down for some
// seconds. Writes since the backup are lost.
func (c *ControlPlane) Restore(ctx context.Context, b Backup, opts RestoreOptions) error {
	if err := c.StopAPIServer(false); err != nil {
		return err
	}
	c.mu.Lock()
	etcd := c.etcd
	c.mu.Unlock()
	if etcd == nil {
		return errStopped
	}
	if err := etcd.Stop(true, 10*time.Second); err != nil {
		return err
	}
	data := filepath.Join(c.dir, "etcd")
	if err := os.RemoveAll(data); err != nil {
		return fmt.Errorf("removing the data of etcd: %w", err)
	}
	if err := os.CopyFS(data, os.DirFS(filepath.Join(b.dir, "etcd"))); err != nil {
		return fmt.Errorf("copying the backup: %w", err)
	}
	if err := private(data); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	if opts.Bump > 0 {
		if err := c.bump(ctx, opts.Bump); err != nil {
			return err
		}
	}
	return c.StartAPIServer(ctx)
}

// private takes from other users the rights that etcd does not want them to have.
func private(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err // The error names the path.
	})
}

// bumpKey is written to raise the revision, and is no object.
const bumpKey = "bump"

// bump raises the revision by n, and forgets all history before it.
func (c *ControlPlane) bump(ctx context.Context, n int64) error {
	client, err := c.etcdClient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for range n {
		if _, err := client.Put(ctx, bumpKey, ""); err != nil {
			return fmt.Errorf("raising the revision of etcd: %w", err)
		}
	}
	_, err = c.Compact(ctx)
	return err
}

// Revision returns the revision of etcd, which is the resourceVersion of a list.
func (c *ControlPlane) Revision(ctx context.Context) (int64, error) {
	client, err := c.etcdClient(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Close() }()
	now, err := client.Get(ctx, compactRevisionKey, clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("reading the revision of etcd: %w", err)
	}
	return now.Header.Revision, nil
}
