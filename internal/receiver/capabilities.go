package receiver

import (
	"net/http"
	"sync"
	"time"
)

const (
	// scanMaxNames is how many names one scan may hold, upserts and deletes together.
	scanMaxNames = 200
	// scanMaxRunning is how many scans may run at once.
	scanMaxRunning = 4
)

// capabilitiesContract is POST /api/v1/capabilities/scan of cluster-whisperer. The real one blocks its whole process
// while kubectl runs; this one does not.
type capabilitiesContract struct{ lenient bool }

func (capabilitiesContract) kind() string { return KindCapabilities }

func (capabilitiesContract) precheck(r *http.Request) *answer { return whispererPrecheck(r) }

func (c capabilitiesContract) parse(r *http.Request, body []byte) (payload, *answer) {
	top, bad := whispererBody(r, body, c.lenient)
	if bad != nil {
		return payload{}, bad
	}
	upserts, issues := stringArray(top, "upserts")
	deletes, found := stringArray(top, "deletes")
	if issues = append(issues, found...); len(issues) > 0 {
		return payload{}, new(invalidPayload(issues))
	}
	if len(upserts)+len(deletes) > scanMaxNames {
		return payload{}, new(jsonAnswer(http.StatusBadRequest, map[string]string{
			"error": "Payload too large", "details": "Maximum 200 total items (upserts + deletes) per request",
		}))
	}
	p := payload{deletes: deletes}
	for _, name := range upserts {
		p.upserts = append(p.upserts, Document{ID: name, Name: name})
	}
	return p, nil
}

func (capabilitiesContract) refuse(how string, upserts, deletes []int) answer {
	return instancesContract{}.refuse(how, upserts, deletes)
}

// apply answers before any work is done. The client never learns the result of a scan.
func (capabilitiesContract) apply(a *application) answer {
	s := a.srv
	if !s.scans.start() {
		return jsonAnswer(http.StatusTooManyRequests, map[string]string{"error": "Too many scan jobs in progress"})
	}
	scan := *a          // the answer is made from a while the scan runs
	scan.settled = true // the request's context ends with the answer, which says nothing about the client
	s.running.Go(func() {
		defer s.scans.done()
		if s.pause(time.Duration(len(scan.puts))*s.opts.ScanLatency) != nil {
			return
		}
		if scan.remove(scan.payload.deletes) != nil || scan.put(0, len(scan.puts)) != nil {
			return // the journal has failed, and tells its waiters so
		}
	})
	return jsonAnswer(http.StatusAccepted, struct {
		Status  string `json:"status"`
		Upserts int    `json:"upserts"`
		Deletes int    `json:"deletes"`
	}{"accepted", len(a.payload.upserts), len(a.payload.deletes)})
}

// scans counts the scans that run.
type scans struct {
	mu      sync.Mutex
	running int
}

func (s *scans) start() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running >= scanMaxRunning {
		return false
	}
	s.running++
	return true
}

func (s *scans) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

// healthContract is /healthz and /readyz.
type healthContract struct{}

func (healthContract) kind() string                                   { return KindHealth }
func (healthContract) precheck(*http.Request) *answer                 { return nil }
func (healthContract) parse(*http.Request, []byte) (payload, *answer) { return payload{}, nil }
func (healthContract) refuse(string, []int, []int) answer {
	return whispererError("Refused by a fault")
}
func (healthContract) apply(a *application) answer {
	if a.effect.StoreDown && a.flight.rec.Path != "/healthz" {
		return jsonAnswer(http.StatusServiceUnavailable, map[string]string{"status": "not ready"})
	}
	return jsonAnswer(http.StatusOK, map[string]string{"status": "ok"})
}
