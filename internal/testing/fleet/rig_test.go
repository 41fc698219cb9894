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
