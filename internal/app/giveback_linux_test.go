package app

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOnlyCodeOfFilesIsGivenBack: data, what is written to and what comes from no file would be lost.
func TestOnlyCodeOfFilesIsGivenBack(t *testing.T) {
	type code struct {
		From, Length uintptr
		OK           bool
	}
	for line, want := range map[string]code{
		"00400000-01627000 r-xp 00000000 00:1f 123        /manager":                   {0x400000, 0x1227000, true},
		"01627000-027c1000 r--p 01227000 00:1f 123        /manager":                   {},
		"027c1000-0286a000 rw-p 023c1000 00:1f 123        /manager":                   {},
		"7ffc39dbb000-7ffc39dbd000 r-xp 00000000 00:00 0                  [vdso]":     {},
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]": {},
		"7f31db010000-7f31db500000 r-xp 00000000 00:00 0 ":                            {},
		"01627000-00400000 r-xp 00000000 00:1f 123        /manager":                   {},
		"nonsense r-xp 00000000 00:1f 123        /manager":                            {},
		"": {},
	} {
		from, length, ok := codeOf(line)
		if diff := cmp.Diff(want, code{from, length, ok}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// TestCodeThatWasGivenBackRunsOn calls what has just been unmapped, the test's own code among it.
func TestCodeThatWasGivenBackRunsOn(t *testing.T) {
	for range 3 {
		giveBack()
		if !(heap{objects: 3, live: 1}).worthTidying() {
			t.Error("code does something else")
		}
	}
}
