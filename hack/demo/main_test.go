package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

func TestEndedByPerson(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	died := func(by syscall.Signal) error {
		return fmt.Errorf("starting the receiver: %w", &process.DiedError{Process: "receiver", Signal: by})
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want bool
	}{
		"the context has ended":       {ended, errors.New("any"), true},
		"SIGINT has ended a child":    {t.Context(), died(syscall.SIGINT), true},
		"SIGTERM has ended a child":   {t.Context(), died(syscall.SIGTERM), true},
		"SIGKILL has ended a child":   {t.Context(), died(syscall.SIGKILL), false},
		"a child has ended by itself": {t.Context(), died(0), false},
		"another error":               {t.Context(), errors.New("any"), false},
		"no error":                    {t.Context(), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := endedByPerson(c.ctx, c.err); got != c.want {
				t.Errorf("endedByPerson: %t, want %t", got, c.want)
			}
		})
	}
}
