package fleet

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// TestStopReceiver_AnsweredRequests_HaveReachedTheirClients posts without a pause, and stops the receiver meanwhile.
func TestStopReceiver_AnsweredRequests_HaveReachedTheirClients(t *testing.T) {
	t.Parallel()
	for range 30 {
		r := &Rig{state: &state{endpoint: freeAddress(t)}, t: t}
		r.StartReceiver()
		answered := make(chan int)
		go func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			n := 0
			defer func() { answered <- n }()
			for i := 0; ; i++ {
				body := fmt.Sprintf(`{"upserts":[],"deletes":["default/v1/ConfigMap/c-%d"]}`, i)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.SyncURL(), strings.NewReader(body))
				if err != nil {
					return
				}
				req.Header.Set("Content-Type", "application/json")
				resp, err := client.Do(req)
				if err != nil {
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					return
				}
				n++
			}
		}()
		gomega.NewWithT(t).Eventually(func() int { return r.Receiver().Stats().Syncs }).Should(gomega.BeNumerically(">", 2))
		r.StopReceiver()
		got := <-answered
		want := 0
		for _, rec := range r.Receiver().Requests(0) {
			if rec.Kind == receiver.KindInstances && rec.Status == http.StatusOK && !rec.ClientGone {
				want++
			}
		}
		if got != want {
			t.Fatalf("the client has read %d answers, and %d are recorded", got, want)
		}
	}
}

func TestUnseen_RequestsWithoutARecord_AreCounted(t *testing.T) {
	t.Parallel()
	answered, left := receiver.Record{Status: http.StatusOK}, receiver.Record{Status: http.StatusOK, ClientGone: true}
	for name, c := range map[string]struct {
		unknown float64
		records []receiver.Record
		want    int
	}{
		"nothing in doubt":         {records: []receiver.Record{answered}},
		"cut before it was read":   {unknown: 1, records: []receiver.Record{answered}, want: 1},
		"left":                     {unknown: 1, records: []receiver.Record{left}},
		"reset":                    {unknown: 1, records: []receiver.Record{{}}},
		"unavailable":              {unknown: 1, records: []receiver.Record{{Status: http.StatusServiceUnavailable}}},
		"refused, and one was cut": {unknown: 1, records: []receiver.Record{{Status: http.StatusTooManyRequests}, {Status: http.StatusInternalServerError}}, want: 1},
		"left, and one was cut":    {unknown: 2, records: []receiver.Record{left, answered}, want: 1},
		"doubts of an earlier run": {records: []receiver.Record{left}},
	} {
		if got := unseen(c.unknown, c.records); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
