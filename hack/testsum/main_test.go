package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTotalsAreOfAllRuns(t *testing.T) {
	const (
		good = `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestOne"}
{"Action":"pass","Package":"a","Test":"TestOne/sub","Elapsed":0.1}
{"Action":"pass","Package":"a","Test":"TestOne","Elapsed":2.25}
{"Action":"skip","Package":"a","Test":"TestTwo","Elapsed":0}
{"Action":"pass","Package":"a","Elapsed":2.4}
`
		bad = `{"Action":"pass","Package":"b","Test":"TestGood","Elapsed":0}
{"Action":"fail","Package":"b","Test":"TestBad","Elapsed":0}
{"Action":"fail","Package":"b","Elapsed":0.1}
`
		broken = `{"ImportPath":"c [c.test]","Action":"build-fail"}
{"Action":"fail","Package":"c","Elapsed":0,"FailedBuild":"c [c.test]"}
`
	)
	for name, tt := range map[string]struct {
		runs []string
		want string
		fail bool
	}{
		"all good":           {[]string{good}, "slow:     2.3s a.TestOne\n2 passed, 0 failed, 1 skipped\n", false},
		"one bad":            {[]string{good, bad}, "slow:     2.3s a.TestOne\nFAILED: b.TestBad\n3 passed, 1 failed, 1 skipped\n", true},
		"one not compiled":   {[]string{good, broken}, "slow:     2.3s a.TestOne\nFAILED: c\n2 passed, 1 failed, 1 skipped\n", true},
		"nothing ran":        {[]string{""}, "0 passed, 0 failed, 0 skipped\n", true},
		"last line cut off?": {[]string{strings.TrimSuffix(good, "\n")}, "slow:     2.3s a.TestOne\n2 passed, 0 failed, 1 skipped\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			var files []string
			for i, run := range tt.runs {
				file := filepath.Join(t.TempDir(), string(rune('a'+i)))
				if err := os.WriteFile(file, []byte(run), 0o600); err != nil {
					t.Fatal(err)
				}
				files = append(files, file)
			}
			var out strings.Builder
			err := run(files, &out)
			if errors.Is(err, errFailed) != tt.fail || !tt.fail && err != nil {
				t.Errorf("error %v, want a failure: %t", err, tt.fail)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissingOrMangledReportIsAnError(t *testing.T) {
	var out strings.Builder
	if err := run([]string{filepath.Join(t.TempDir(), "none")}, &out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing report: %v, want it to be named", err)
	}
	mangled := filepath.Join(t.TempDir(), "mangled")
	if err := os.WriteFile(mangled, []byte("FAIL\tsomething\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{mangled}, &out); err == nil || !strings.Contains(err.Error(), "mangled") {
		t.Errorf("mangled report: %v, want it to be named", err)
	}
}
