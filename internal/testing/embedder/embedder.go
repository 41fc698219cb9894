package embedder

import (
	"encoding/json"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Dimension is how many numbers a vector has by default.
const Dimension = 256

// Behaviour says how the embedder answers.
type Behaviour struct {
	// Status is the status of the answer instead of vectors; 0 is none.
	Status int
	// Refuse has every request refused with 400 that has a text with this in it; empty is none.
	Refuse string
	// Dimension is how many numbers vectors have; 0 is [Dimension].
	Dimension int
	// Hang holds every request until Release.
	Hang bool
	// Short leaves the last vector out.
	Short bool
}

// Embedder is an [http.Handler]. Make it with [New].
type Embedder struct {
	mu        sync.Mutex // guards the fields below
	behaviour Behaviour
	released  chan struct{}
	requests  int
	texts     map[string]int
	keys      map[string]bool
}

// New returns an embedder that answers.
func New() *Embedder {
	return &Embedder{released: make(chan struct{}), texts: map[string]int{}, keys: map[string]bool{}}
}

// Behave changes how the embedder answers.
func (e *Embedder) Behave(b Behaviour) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.behaviour = b
}

// Release ends the wait of all requests that hang.
func (e *Embedder) Release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.released)
	e.released = make(chan struct{})
}

// Requests is how many requests there have been.
func (e *Embedder) Requests() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.requests
}

// Texts is how often each text was given a vector.
func (e *Embedder) Texts() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.texts)
}

// Authorized tells whether a request had this Authorization.
func (e *Embedder) Authorized(header string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keys[header]
}

type vector struct {
	Object    string    `json:"object"`
	Index     int       `json:"index"`
	Embedding []float32 `json:"embedding"`
}

// ServeHTTP implements [http.Handler].
func (e *Embedder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Input []string `json:"input"`
	}
	if r.URL.Path != "/v1/embeddings" || json.NewDecoder(r.Body).Decode(&in) != nil {
		http.Error(w, "no such thing", http.StatusNotFound)
		return
	}
	e.mu.Lock()
	b, released := e.behaviour, e.released
	e.requests++
	e.keys[r.Header.Get("Authorization")] = true
	e.mu.Unlock()
	if b.Hang {
		select {
		case <-released:
		case <-r.Context().Done():
			return
		}
	}
	if b.Refuse != "" && strings.Contains(strings.Join(in.Input, "\n"), b.Refuse) {
		http.Error(w, `{"error":{"message":"input is too long"}}`, http.StatusBadRequest)
		return
	}
	if b.Status != 0 {
		http.Error(w, http.StatusText(b.Status), b.Status)
		return
	}
	if b.Dimension == 0 {
		b.Dimension = Dimension
	}
	data := make([]vector, 0, len(in.Input))
	for i, text := range slices.Backward(in.Input) { // in no order that a client may rely on
		data = append(data, vector{"embedding", i, Vector(text, b.Dimension)})
	}
	if b.Short {
		data = data[1:]
	}
	e.mu.Lock()
	for _, t := range in.Input {
		e.texts[t]++
	}
	e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": data})
}

// Vector is the vector of a text.
func Vector(text string, dimension int) []float32 {
	sum := make([]float32, dimension)
	sum[0] = 0.01 // a text without a word has a direction, too
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if fillers[word] {
			continue
		}
		stem := stemOf(word)
		add(sum, stem, 1)
		if group, known := groups[stem]; known {
			add(sum, "group "+group, 1.5)
		}
	}
	return sum
}

// add adds the direction of a word.
func add(sum []float32, word string, weight float32) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(word))                  // cannot fail
	random := rand.New(rand.NewPCG(h.Sum64(), 1)) // The vector has to be the same on every machine.
	for i := range sum {
		sum[i] += weight * float32(random.NormFloat64())
	}
}

// stemOf cuts the commonest endings off.
func stemOf(word string) string {
	for _, ending := range []string{"ings", "ing", "ies", "ers", "er", "ed", "es", "s", "y", "e"} {
		if short, ok := strings.CutSuffix(word, ending); ok && len(short) > 2 {
			return short
		}
	}
	return word
}

var fillers = set(`a all an and any are be by do does for from has have how i in into is it its many much of on or our that the them
	their they this to up us was we what where which who will with you your show list find me give running run`)

// groups are words of common English, and of a computer centre, with similar meanings. They were written down
// without looking at the questions.
var groups = grouped(`
	money: money payment pay paying paid payer bank card credit price invoice billing bill refund charge cash fee financial finance ledger settlement transaction
	fraud: fraud scam cheat crook suspicious stolen
	customer: customer client buyer visitor shopper consumer user people person member
	buy: buy purchase order cart basket checkout shop shopping store sell sale sold
	database: database db postgres postgresql mysql mariadb mongodb clickhouse sql relational datastore
	cache: cache redis memcached valkey
	message: message queue event stream kafka rabbitmq broker topic publish subscribe
	mail: mail email e-mail smtp letter newsletter
	notify: notification notify push alert page pager warn warning alarm
	picture: picture image photo photograph video film media thumbnail clip
	parcel: parcel package shipment ship shipping delivery deliver carrier courier logistics transport
	stock: stock inventory warehouse goods storehouse
	identity: login log-in sign password account session authentication authenticate identity sso credential
	secret: secret key credential vault password token encryption encrypt
	certificate: certificate tls ssl https issuer encrypt
	metric: metric monitor monitoring prometheus scrape cpu memory measure measurement
	log: log logging loki journal
	trace: trace tracing opentelemetry span
	dashboard: dashboard chart graph grafana report reporting
	schedule: cronjob nightly night schedule scheduled midnight sunday daily weekly periodic
	backup: backup restore snapshot copy
	deploy: deploy gitops argo git release rollout continuous
	build: build ci integration compile compiler
	container: container image registry pod
	search: search index elasticsearch lookup query full-text
	learn: train training model machine learning ml ai gpu recommendation recommend suggest suggestion
	help: help support ticket helpdesk complaint question faq chat talk
	storage: storage bucket s3 disk volume object archive file
	rule: policy rule forbid firewall privileged restrict restriction prohibit
	web: web website page frontend site browser internet
`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		out[w] = true
	}
	return out
}

// grouped reads "group: words" lines. A word of several groups belongs to the first.
func grouped(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		group, words, _ := strings.Cut(strings.TrimSpace(line), ":")
		for w := range strings.FieldsSeq(words) {
			if stem := stemOf(w); out[stem] == "" {
				out[stem] = group
			}
		}
	}
	return out
}
