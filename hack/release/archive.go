package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxEntry bounds the size of one file of an archive.
const maxEntry = 1 << 30

// pack writes an archive of files, in the order of their names, with one time and no owner.
func pack(out string, files []string, epoch int64) error {
	entries := make([]entry, 0, len(files))
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("packing: %w", err)
		}
		e := entry{name: filepath.Base(file), mode: 0o644}
		if info.Mode()&0o100 != 0 {
			e.mode = 0o755
		}
		if e.content, err = os.ReadFile(file); err != nil {
			return fmt.Errorf("packing: %w", err)
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return writeArchive(out, entries, epoch)
}

// repack writes an archive anew: the same entries in the order of their names, with one time and no owner.
func repack(file string, epoch int64) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	var entries []entry
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		e := entry{name: h.Name, mode: 0o644}
		switch {
		case h.Typeflag == tar.TypeDir:
			e.name, e.mode = strings.TrimSuffix(h.Name, "/")+"/", 0o755
		case h.Typeflag != tar.TypeReg:
			return fmt.Errorf("%s holds %s, which is neither file nor folder", file, h.Name)
		case h.Mode&0o100 != 0:
			e.mode = 0o755
		}
		if e.content, err = io.ReadAll(io.LimitReader(r, maxEntry)); err != nil {
			return fmt.Errorf("reading %s of %s: %w", h.Name, file, err)
		}
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		// Helm expects Chart.yaml first.
		return cmp.Or(-cmp.Compare(first(a), first(b)), cmp.Compare(a.name, b.name))
	})
	return writeArchive(file, entries, epoch)
}

func writeArchive(file string, entries []entry, epoch int64) error {
	packed, err := tarOf(entries, epoch)
	if err != nil {
		return err
	}
	if packed, err = gzipOf(packed); err != nil {
		return err
	}
	if err := os.WriteFile(file, packed, 0o644); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	return nil
}

func first(e entry) int {
	if strings.Count(e.name, "/") == 1 && strings.HasSuffix(e.name, "/Chart.yaml") {
		return 1
	}
	return 0
}

// notes prints the changelog's section on a version, or the one on unreleased changes.
func notes(version, file string, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the changelog: %w", err)
	}
	sections := map[string]string{}
	title := ""
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			title = strings.Trim(strings.Fields(name + " -")[0], "[]")
			continue
		}
		if title != "" {
			sections[title] += line
		}
	}
	for _, name := range []string{version, strings.TrimPrefix(version, "v"), "Unreleased"} {
		if section := strings.TrimSpace(sections[name]); section != "" {
			_, err := fmt.Fprintf(out, "## %s\n\n%s\n", version, section)
			return err
		}
	}
	return fmt.Errorf("%s says nothing of %s and of Unreleased", file, version)
}

// checkSBOM fails unless a CycloneDX document names every module of a binary, in its version, and Go itself.
func checkSBOM(binary, file string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("reading what the binary is made of: %w", err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the SBOM: %w", err)
	}
	type component struct{ Name, Version string }
	var sbom struct {
		BOMFormat  string
		Metadata   struct{ Component component }
		Components []component
	}
	if err := json.Unmarshal(raw, &sbom); err != nil {
		return fmt.Errorf("reading the SBOM: %w", err)
	}
	if sbom.BOMFormat != "CycloneDX" || sbom.Metadata.Component.Name != info.Main.Path {
		return fmt.Errorf("%s is a %q document of %q, want CycloneDX of %q", file, sbom.BOMFormat, sbom.Metadata.Component.Name, info.Main.Path)
	}
	named := map[component]bool{}
	for _, c := range sbom.Components {
		named[component{c.Name, bare(c.Version)}] = true
	}
	var missing []string
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if !named[component{m.Path, bare(m.Version)}] {
			missing = append(missing, m.Path+"@"+m.Version)
		}
	}
	if goVersion := bare(strings.Fields(info.GoVersion)[0]); !named[component{"std", goVersion}] {
		missing = append(missing, "std@go"+goVersion)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s lacks %d of %d modules: %s", file, len(missing), len(info.Deps)+1, strings.Join(missing, ", "))
	}
	if len(info.Deps) == 0 {
		return fmt.Errorf("%s is made of no modules, which no binary of ours is", binary)
	}
	return nil
}

// bare is a version of a module or of Go without its prefix.
func bare(version string) string {
	return strings.TrimPrefix(strings.TrimPrefix(version, "go"), "v")
}
