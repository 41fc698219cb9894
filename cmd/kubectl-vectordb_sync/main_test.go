package main

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf_GoInstall_IsTheModules(t *testing.T) {
	installed := func(version string) *debug.BuildInfo { return &debug.BuildInfo{Main: debug.Module{Version: version}} }
	for _, c := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		{"v1.0.0", installed("v9.9.9"), "v1.0.0"},
		{"dev", installed("v1.2.3"), "v1.2.3"},
		{"dev", installed("(devel)"), "dev"},
		{"dev", nil, "dev"},
	} {
		if got := versionOf(c.linked, c.info); got != c.want {
			t.Errorf("%s, %+v: %s, want %s", c.linked, c.info, got, c.want)
		}
	}
}
