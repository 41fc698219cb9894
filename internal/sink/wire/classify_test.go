package wire_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

const (
	appJSON = "application/json"
	plain   = "text/plain; charset=UTF-8"
	html    = "text/html"
)

// upserts are n pods a0, a1, ... in namespace shop.
func upserts(n int) wire.Sent {
	var s wire.Sent
	for i := range n {
		name := fmt.Sprintf("a%d", i)
		s.Upserts = append(s.Upserts, wire.Item{ID: pods.ID("shop", name), Type: pods, Namespace: "shop", Name: name})
	}
	return s
}

// deletes are the IDs of the same pods.
func deletes(n int) wire.Sent {
	var s wire.Sent
	for i := range n {
		s.Deletes = append(s.Deletes, pods.ID("shop", fmt.Sprintf("a%d", i)))
	}
	return s
}

type answer struct {
	sent                    wire.Sent
	status                  int
	contentType, retryAfter string
	body                    string
	want                    wire.Outcome
	reason                  string // a part of the reason that must be there
}

func check(t *testing.T, f wire.Format, a answer) {
	t.Helper()
	got := f.Classify(wire.Response{
		Status: a.status, ContentType: a.contentType, RetryAfter: a.retryAfter, Body: []byte(a.body),
		Now: time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC),
	}, a.sent)
	if !strings.Contains(got.Reason, a.reason) || (got.Reason == "") != (got.Kind == wire.Delivered) {
		t.Errorf("reason %q, want ...%s...", got.Reason, a.reason)
	}
	got.Reason = ""
	a.want.Status = a.status
	if diff := cmp.Diff(a.want, got); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

func outcome(k wire.Kind) wire.Outcome { return wire.Outcome{Kind: k} }

// Answers that both receivers, or a proxy before them, give alike.
func TestStatusDecidesWhereReceiversAgree(t *testing.T) {
	tests := map[string]answer{
		"301":                      {status: 301, want: outcome(wire.WrongEndpoint), reason: "HTTP 301"},
		"307":                      {status: 307, want: outcome(wire.WrongEndpoint)},
		"304":                      {status: 304, want: outcome(wire.WrongEndpoint)},
		"401":                      {status: 401, contentType: appJSON, body: `{"error":"bad token s3cr3t"}`, want: outcome(wire.Unauthorized), reason: "HTTP 401: the credential was not accepted"},
		"403":                      {status: 403, want: outcome(wire.Unauthorized)},
		"407":                      {status: 407, want: outcome(wire.Unauthorized)},
		"404":                      {status: 404, contentType: plain, body: "404 Not Found", want: outcome(wire.WrongEndpoint), reason: "404 Not Found"},
		"405":                      {status: 405, contentType: appJSON, body: `{"error":{"code":"METHOD_NOT_ALLOWED"}}`, want: outcome(wire.WrongEndpoint)},
		"406":                      {status: 406, want: outcome(wire.WrongEndpoint)},
		"410":                      {status: 410, want: outcome(wire.WrongEndpoint)},
		"411":                      {status: 411, want: outcome(wire.WrongEndpoint)},
		"415":                      {status: 415, want: outcome(wire.WrongEndpoint)},
		"408":                      {status: 408, want: outcome(wire.Retry)},
		"425":                      {status: 425, want: outcome(wire.Retry)},
		"429":                      {status: 429, retryAfter: "7", want: wire.Outcome{Kind: wire.Retry, RetryAfter: 7 * time.Second}},
		"429 without Retry-After":  {status: 429, want: outcome(wire.Retry)},
		"502":                      {status: 502, contentType: html, body: "<html>", want: outcome(wire.Unknown), reason: "text/html"},
		"503 until a date":         {status: 503, retryAfter: "Thu, 15 Jan 2026 10:31:30 GMT", want: wire.Outcome{Kind: wire.Unknown, RetryAfter: 90 * time.Second}},
		"503 until a past date":    {status: 503, retryAfter: "Thu, 15 Jan 2026 10:29:30 GMT", want: outcome(wire.Unknown)},
		"504":                      {status: 504, contentType: html, want: wire.Outcome{Kind: wire.Unknown, TimedOut: true}, reason: "gateway"},
		"511":                      {status: 511, want: outcome(wire.Retry)},
		"500 with Retry-After":     {status: 500, retryAfter: "3", contentType: appJSON, body: `{"error":"x"}`, want: wire.Outcome{Kind: wire.ServerError, RetryAfter: 3 * time.Second}},
		"500 of a proxy":           {status: 500, contentType: html, body: "<h1>", want: outcome(wire.ServerError)},
		"413 of a proxy":           {status: 413, contentType: html, body: "<h1>", want: outcome(wire.TooLarge)},
		"400 of a proxy":           {status: 400, contentType: html, body: "<h1>The plain HTTP request was sent to HTTPS port</h1>", want: outcome(wire.WrongEndpoint)},
		"400 without a type":       {status: 400, want: outcome(wire.WrongEndpoint), reason: "empty body"},
		"400, cut off":             {status: 400, contentType: appJSON, body: `{"error":{"code":"VALIDATION_ERR`, want: outcome(wire.Unprocessable)},
		"400, JSON of any kind":    {status: 400, contentType: "application/problem+json; charset=utf-8", body: `[1]`, want: outcome(wire.Unprocessable)},
		"422":                      {status: 422, contentType: appJSON, body: `{}`, want: outcome(wire.Unprocessable)},
		"422 of something else":    {status: 422, contentType: html, want: outcome(wire.WrongEndpoint)},
		"200 with HTML":            {status: 200, contentType: html, body: "<html>welcome</html>", want: outcome(wire.WrongEndpoint)},
		"200 with an empty body":   {status: 200, contentType: appJSON, want: outcome(wire.WrongEndpoint)},
		"204":                      {status: 204, want: outcome(wire.WrongEndpoint)},
		"200 with a list":          {status: 200, contentType: appJSON, body: `[]`, want: outcome(wire.WrongEndpoint)},
		"200 with null":            {status: 200, contentType: appJSON, body: `null`, want: outcome(wire.WrongEndpoint)},
		"200 that says ok":         {status: 200, contentType: appJSON, body: `{"status":"ok"}`, want: outcome(wire.WrongEndpoint)},
		"600":                      {status: 600, want: outcome(wire.WrongEndpoint)},
		"no status at all":         {status: 0, want: outcome(wire.WrongEndpoint)},
		"Retry-After on a refusal": {status: 404, retryAfter: "5", want: outcome(wire.WrongEndpoint)},
	}
	for name, tt := range tests {
		for _, f := range wire.Formats() {
			t.Run(f.Name()+" "+name, func(t *testing.T) {
				tt.sent = upserts(2)
				check(t, f, tt)
				tt.sent = deletes(2)
				check(t, f, tt)
			})
		}
	}
}

func TestClusterWhispererAnswers(t *testing.T) {
	zod := func(paths ...string) string {
		var issues []string
		for _, p := range paths {
			issues = append(issues, `{"code":"invalid_string","validation":"datetime","message":"Invalid datetime","path":`+p+`}`)
		}
		return `{"error":"Invalid payload","details":[` + strings.Join(issues, ",") + `]}`
	}
	long := upserts(2)
	long.Bytes = 5<<20 + 1
	longest := upserts(2)
	longest.Bytes = 5 << 20
	tests := map[string]answer{
		"upserts counted": {sent: upserts(2), status: 200, contentType: appJSON, body: `{"status":"ok","upserted":2,"deleted":0}`, want: outcome(wire.Delivered)},
		"deletes counted": {sent: deletes(3), status: 200, contentType: appJSON, body: `{"status":"ok","upserted":0,"deleted":3}`, want: outcome(wire.Delivered)},
		"probe":           {status: 200, contentType: appJSON, body: `{"status":"ok","upserted":0,"deleted":0}`, want: outcome(wire.Delivered)},
		"201":             {sent: upserts(1), status: 201, contentType: appJSON, body: `{"upserted":1,"deleted":0}`, want: outcome(wire.Delivered)},
		"payload dropped": {sent: upserts(2), status: 200, contentType: appJSON, body: `{"status":"ok","upserted":0,"deleted":0}`,
			want: outcome(wire.WrongEndpoint), reason: "counts 0 upserts and 0 deletes, sent were 2 and 0"},
		"one too many":  {sent: upserts(2), status: 200, contentType: appJSON, body: `{"upserted":3,"deleted":0}`, want: outcome(wire.Miscounted)},
		"one too few":   {sent: upserts(2), status: 200, contentType: appJSON, body: `{"upserted":1,"deleted":0}`, want: outcome(wire.Miscounted), reason: "counts 1 upserts"},
		"wrong array":   {sent: upserts(2), status: 200, contentType: appJSON, body: `{"upserted":0,"deleted":2}`, want: outcome(wire.WrongEndpoint)},
		"a count lacks": {sent: upserts(2), status: 200, contentType: appJSON, body: `{"upserted":2}`, want: outcome(wire.WrongEndpoint)},
		"dot-ai's":      {sent: upserts(2), status: 200, contentType: appJSON, body: `{"success":true,"data":{"upserted":2,"deleted":0}}`, want: outcome(wire.WrongEndpoint)},
		"bad items": {sent: upserts(5), status: 400, contentType: appJSON, body: zod(`["upserts",3,"createdAt"]`, `["upserts",1,"labels","tier"]`, `["upserts",3,"name"]`),
			want: wire.Outcome{Kind: wire.Refused, Bad: []wire.ItemError{
				{Index: 1, Reason: "labels.tier: Invalid datetime"}, {Index: 3, Reason: "createdAt: Invalid datetime"},
			}}, reason: "2 of 5 items refused, the first for labels.tier: Invalid datetime"},
		"bad delete": {sent: deletes(2), status: 400, contentType: appJSON, body: zod(`["deletes",1]`),
			want: wire.Outcome{Kind: wire.Refused, Bad: []wire.ItemError{{Index: 1, Reason: "Invalid datetime"}}}},
		"bad item of the other array": {sent: upserts(2), status: 400, contentType: appJSON, body: zod(`["deletes",1]`), want: outcome(wire.Unprocessable), reason: "Invalid payload"},
		"item beyond the end":         {sent: upserts(2), status: 400, contentType: appJSON, body: zod(`["upserts",2,"name"]`), want: outcome(wire.Unprocessable)},
		"item before the start":       {sent: upserts(2), status: 400, contentType: appJSON, body: zod(`["upserts",-1,"name"]`), want: outcome(wire.Unprocessable)},
		"item with a fraction":        {sent: upserts(2), status: 400, contentType: appJSON, body: zod(`["upserts",0.5,"name"]`), want: outcome(wire.Unprocessable)},
		"whole array bad":             {sent: upserts(2), status: 400, contentType: appJSON, body: zod(`["upserts"]`), want: outcome(wire.Unprocessable)},
		"no path":                     {sent: upserts(2), status: 400, contentType: appJSON, body: zod(`[]`, `null`, `"upserts"`, `{}`), want: outcome(wire.Unprocessable)},
		"details in words":            {sent: upserts(2), status: 400, contentType: appJSON, body: `{"error":"Payload too large","details":"Maximum 200"}`, want: outcome(wire.Unprocessable), reason: "Payload too large"},
		"malformed JSON":              {sent: upserts(2), status: 400, contentType: plain, body: "Malformed JSON in request body", want: outcome(wire.WrongEndpoint), reason: "Malformed JSON in request body"},
		"malformed, at the limit":     {sent: longest, status: 400, contentType: plain, body: "Malformed JSON in request body", want: outcome(wire.WrongEndpoint)},
		"cut off by a proxy":          {sent: long, status: 400, contentType: plain, body: "Malformed JSON in request body", want: outcome(wire.TooLarge)},
		"413":                         {sent: upserts(2), status: 413, contentType: appJSON, body: `{"error":"Payload too large (max 5MB)"}`, want: outcome(wire.TooLarge)},
		"database down":               {sent: upserts(2), status: 500, contentType: appJSON, body: `{"error":"Failed to connect to chromadb"}`, want: outcome(wire.ServerError), reason: "HTTP 500: Failed to connect to chromadb"},
		"probe, database down":        {status: 500, contentType: appJSON, body: `{"error":"Failed to connect to chromadb"}`, want: outcome(wire.ServerError)},
		"probe refused":               {status: 400, contentType: appJSON, body: zod(`["upserts",0,"name"]`), want: outcome(wire.WrongEndpoint)},
		"probe too large":             {status: 413, want: outcome(wire.WrongEndpoint)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { check(t, wire.ClusterWhisperer(), tt) })
	}
}

func TestDotAIAnswers(t *testing.T) {
	ok := func(u, d int) string {
		return fmt.Sprintf(`{"success":true,"data":{"upserted":%d,"deleted":%d},"meta":{"version":"v1"}}`, u, d)
	}
	fault := func(code, details string) string {
		return `{"success":false,"error":{"code":"` + code + `","message":"the message","details":` + details + `},"meta":{"version":"v1"}}`
	}
	partial := func(upserted, deleted int, failures ...string) string {
		var list []string
		for i := 0; i < len(failures); i += 2 {
			list = append(list, fmt.Sprintf(`{"id":%q,"error":%q}`, failures[i], failures[i+1]))
		}
		return fault("SYNC_PARTIAL_FAILURE", fmt.Sprintf(`{"upserted":%d,"deleted":%d,"failures":[%s]}`, upserted, deleted, strings.Join(list, ",")))
	}
	failed := func(retryAfter time.Duration, reason string, indexes ...int) wire.Outcome {
		o := wire.Outcome{Kind: wire.Partial, RetryAfter: retryAfter}
		for _, i := range indexes {
			o.Failed = append(o.Failed, wire.ItemError{Index: i, Reason: reason})
		}
		return o
	}
	const unclear = "the answer does not tell which items failed"
	const circuit = "Embedding failed: Embedding API circuit open: Circuit 'embedding-api' is open. Retry after 29989ms"
	colons := wire.Sent{
		Upserts: []wire.Item{{ID: roles.ID("", "system:node"), Type: roles, Name: "system:node"}, {ID: deployments.ID("shop", "cart"), Type: deployments, Namespace: "shop", Name: "cart"}},
	}
	tests := map[string]answer{
		"upserts counted":  {sent: upserts(2), status: 200, contentType: appJSON, body: ok(2, 0), want: outcome(wire.Delivered)},
		"deletes counted":  {sent: deletes(3), status: 200, contentType: appJSON, body: ok(0, 3), want: outcome(wire.Delivered)},
		"probe":            {status: 200, contentType: appJSON, body: ok(0, 0), want: outcome(wire.Delivered)},
		"fewer counted":    {sent: upserts(2), status: 200, contentType: appJSON, body: ok(1, 0), want: outcome(wire.Miscounted), reason: "counts 1 upserts"},
		"not a success":    {sent: upserts(2), status: 200, contentType: appJSON, body: `{"success":false,"data":{"upserted":2,"deleted":0}}`, want: outcome(wire.WrongEndpoint), reason: "does not claim success"},
		"no success field": {sent: upserts(2), status: 200, contentType: appJSON, body: `{"data":{"upserted":2,"deleted":0}}`, want: outcome(wire.WrongEndpoint)},
		"no counts":        {sent: upserts(2), status: 200, contentType: appJSON, body: `{"success":true,"data":{}}`, want: outcome(wire.WrongEndpoint)},
		"other's answer":   {sent: upserts(2), status: 200, contentType: appJSON, body: `{"status":"ok","upserted":2,"deleted":0}`, want: outcome(wire.WrongEndpoint)},
		"bad items": {sent: upserts(3), status: 400, contentType: appJSON,
			body: fault("VALIDATION_ERROR", `[{"path":"upserts[2]","message":"must be an object"},{"path":"upserts[1].name","message":"required string field"},{"path":"upserts[1].kind","message":"required string field"}]`),
			want: wire.Outcome{Kind: wire.Refused, Bad: []wire.ItemError{{Index: 1, Reason: "name: required string field"}, {Index: 2, Reason: "must be an object"}}}},
		"bad delete": {sent: deletes(2), status: 400, contentType: appJSON, body: fault("VALIDATION_ERROR", `[{"path":"deletes[0].name","message":"required string field"}]`),
			want: wire.Outcome{Kind: wire.Refused, Bad: []wire.ItemError{{Index: 0, Reason: "name: required string field"}}}},
		"no item named":     {sent: upserts(2), status: 400, contentType: appJSON, body: fault("VALIDATION_ERROR", `[{"path":"upserts","message":"must be an array"}]`), want: outcome(wire.Unprocessable), reason: "VALIDATION_ERROR: the message"},
		"wrong item named":  {sent: upserts(2), status: 400, contentType: appJSON, body: fault("VALIDATION_ERROR", `[{"path":"upserts[7].name"},{"path":"upserts[-1]"},{"path":"upserts[x]"},{"path":3},null]`), want: outcome(wire.Unprocessable)},
		"odd details":       {sent: upserts(2), status: 400, contentType: appJSON, body: fault("VALIDATION_ERROR", `"words"`), want: outcome(wire.Unprocessable)},
		"another code":      {sent: upserts(2), status: 400, contentType: appJSON, body: fault("SOMETHING_NEW", `{}`), want: outcome(wire.Unprocessable), reason: "SOMETHING_NEW"},
		"empty body":        {sent: upserts(2), status: 400, contentType: appJSON, body: fault("INVALID_REQUEST", `{}`), want: outcome(wire.WrongEndpoint), reason: "lost on the way"},
		"words":             {sent: upserts(2), status: 400, contentType: plain, body: "Client sent an HTTP request to an HTTPS server.", want: outcome(wire.WrongEndpoint), reason: "HTTPS server"},
		"one failed":        {sent: upserts(3), status: 400, contentType: appJSON, body: partial(2, 0, "shop:v1:Pod:a1", "boom"), want: failed(0, "boom", 1), reason: "1 of 3 items failed, the first with: boom"},
		"one failed delete": {sent: deletes(3), status: 400, contentType: appJSON, body: partial(0, 2, "shop:v1:Pod:a2", "boom"), want: failed(0, "boom", 2)},
		"names with colons": {sent: colons, status: 400, contentType: appJSON, body: partial(1, 0, "_cluster:rbac.authorization.k8s.io/v1:ClusterRole:system:node", "boom"), want: failed(0, "boom", 0)},
		"group in the ID":   {sent: colons, status: 400, contentType: appJSON, body: partial(1, 0, "shop:apps/v1:Deployment:cart", "boom"), want: failed(0, "boom", 1)},
		"failed twice":      {sent: upserts(3), status: 400, contentType: appJSON, body: partial(2, 0, "shop:v1:Pod:a1", "boom", "shop:v1:Pod:a1", "bang"), want: failed(0, "boom", 1)},
		"unknown ID":        {sent: upserts(2), status: 400, contentType: appJSON, body: partial(1, 0, "shop:v1:Pod:zz", "boom"), want: failed(0, unclear, 0, 1)},
		"one known, one not": {sent: upserts(3), status: 400, contentType: appJSON, body: partial(2, 0, "shop:v1:Pod:a0", "boom", "shop:v1:Pod:zz", "boom"),
			want: wire.Outcome{Kind: wire.Partial, Failed: []wire.ItemError{{Index: 0, Reason: "boom"}, {Index: 1, Reason: unclear}, {Index: 2, Reason: unclear}}}},
		"counts do not fit": {sent: upserts(2), status: 400, contentType: appJSON, body: partial(0, 0, "shop:v1:Pod:a1", "boom"), want: wire.Outcome{Kind: wire.Partial, Failed: []wire.ItemError{{Index: 0, Reason: unclear}, {Index: 1, Reason: "boom"}}}},
		"no failures":       {sent: upserts(2), status: 400, contentType: appJSON, body: partial(2, 0), want: failed(0, unclear, 0, 1)},
		"no details":        {sent: upserts(2), status: 400, contentType: appJSON, body: `{"success":false,"error":{"code":"SYNC_PARTIAL_FAILURE"}}`, want: failed(0, unclear, 0, 1)},
		"odd failures":      {sent: upserts(2), status: 400, contentType: appJSON, body: fault("SYNC_PARTIAL_FAILURE", `{"upserted":1,"deleted":0,"failures":[7,{"id":"shop:v1:Pod:a0","error":"x"}]}`), want: wire.Outcome{Kind: wire.Partial, Failed: []wire.ItemError{{Index: 0, Reason: "x"}, {Index: 1, Reason: unclear}}}},
		"probe, partial":    {status: 400, contentType: appJSON, body: partial(0, 0), want: outcome(wire.WrongEndpoint)},
		"circuit open":      {sent: upserts(2), status: 400, contentType: appJSON, body: partial(1, 0, "shop:v1:Pod:a1", circuit), want: failed(30*time.Second, circuit, 1)},
		"circuit open for longer": {sent: upserts(1), status: 400, contentType: appJSON, body: partial(0, 0, "shop:v1:Pod:a0", "is open. Retry after 45000ms"),
			want: failed(45*time.Second, "is open. Retry after 45000ms", 0)},
		"circuit in an entry of its own": {sent: upserts(2), status: 400, contentType: appJSON, body: partial(1, 0, "circuit-breaker", circuit, "shop:v1:Pod:a0", "x"), want: failed(30*time.Second, "x", 0)},
		"circuit alone":                  {sent: upserts(2), status: 400, contentType: appJSON, body: partial(0, 0, "circuit-breaker", circuit), want: failed(30*time.Second, unclear, 0, 1)},
		"collection lost":                {sent: upserts(2), status: 400, contentType: appJSON, body: partial(0, 0, "shop:v1:Pod:a0", "Not Found", "shop:v1:Pod:a1", "Not Found"), want: failed(time.Minute, "Not Found", 0, 1), reason: "lost its collection"},
		"one is not found":               {sent: upserts(2), status: 400, contentType: appJSON, body: partial(1, 0, "shop:v1:Pod:a0", "Not Found"), want: failed(0, "Not Found", 0), reason: "1 of 2"},
		"database down":                  {sent: upserts(2), status: 503, contentType: appJSON, body: fault("VECTOR_DB_UNAVAILABLE", `{}`), want: outcome(wire.Unknown), reason: "HTTP 503: VECTOR_DB_UNAVAILABLE: the message"},
		"collection not made":            {sent: upserts(2), status: 500, contentType: appJSON, body: fault("COLLECTION_INIT_FAILED", `{}`), want: outcome(wire.ServerError)},
		"sync error":                     {sent: upserts(2), status: 500, contentType: appJSON, body: fault("SYNC_ERROR", `{}`), want: outcome(wire.ServerError), reason: "SYNC_ERROR"},
		"internal error with meta":       {sent: upserts(2), status: 500, contentType: appJSON, body: fault("INTERNAL_ERROR", `{}`), want: outcome(wire.ServerError)},
		"malformed JSON":                 {sent: upserts(2), status: 500, contentType: appJSON, body: `{"success":false,"error":{"code":"INTERNAL_ERROR","message":"An internal server error occurred"}}`, want: outcome(wire.WrongEndpoint), reason: "not understood as JSON"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { check(t, wire.DotAI(), tt) })
	}
}

func TestDefaultsSuitTheReceivers(t *testing.T) {
	want := map[string]wire.Defaults{
		"cluster-whisperer": {Timeout: 90 * time.Second, Settle: time.Minute, MaxInFlight: 2, MaxUpserts: 100, MaxDeletes: 1000, MaxBytes: 1048576},
		"dot-ai":            {Timeout: 2 * time.Minute, Settle: 90 * time.Second, MaxInFlight: 8, MaxUpserts: 20, MaxDeletes: 20, MaxBytes: 786432},
	}
	got := map[string]wire.Defaults{}
	for _, f := range wire.Formats() {
		got[f.Name()] = f.Defaults()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestKindsHaveDistinctNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range wire.Kinds() {
		if s := k.String(); s == "invalid" || seen[s] {
			t.Errorf("kind %d is called %s", k, s)
		}
		seen[k.String()] = true
	}
	if next := wire.Kind(len(wire.Kinds())); next.String() != "invalid" {
		t.Errorf("%s is missing from Kinds", next)
	}
}

func TestReasonIsShortAndPrintable(t *testing.T) {
	o := wire.ClusterWhisperer().Classify(wire.Response{Status: 503, ContentType: "text/plain", Body: []byte("a\nb\x1b[31m\xff" + strings.Repeat("é", 5000))}, upserts(1))
	if len(o.Reason) > 256 || !utf8.ValidString(o.Reason) || !strings.HasPrefix(o.Reason, "HTTP 503: a b [31m\uFFFDé") {
		t.Errorf("reason of %d bytes: %q", len(o.Reason), o.Reason)
	}
}

func TestAnswerIsReadUpToItsLimit(t *testing.T) {
	for padding, want := range map[int]wire.Kind{60 << 10: wire.Delivered, 64 << 10: wire.WrongEndpoint} {
		body := strings.Repeat(" ", padding) + `{"upserted":1,"deleted":0}`
		if o := wire.ClusterWhisperer().Classify(wire.Response{Status: 200, Body: []byte(body)}, upserts(1)); o.Kind != want {
			t.Errorf("after %d spaces: %s, want %s", padding, o.Kind, want)
		}
	}
}

func TestRetryAfterIsReadInAllSpellings(t *testing.T) {
	now := time.Date(1994, 11, 6, 8, 49, 7, 0, time.UTC)
	tests := map[string]time.Duration{
		"": 0, "0": 0, " 120 ": 2 * time.Minute, "-5": 0, "1.5": 0, "soon": 0, "+3": 0, "٣": 0,
		"99999999999999999999": 24 * time.Hour, "86401": 24 * time.Hour,
		"Sun, 06 Nov 1994 08:49:37 GMT":  30 * time.Second,
		"Sunday, 06-Nov-94 08:49:37 GMT": 30 * time.Second,
		"Sun Nov  6 08:49:37 1994":       30 * time.Second,
		"Sun, 06 Nov 1994 08:49:07 GMT":  0,
		"Sun, 06 Nov 1993 08:49:37 GMT":  0,
		"Tue, 06 Nov 2994 08:49:37 GMT":  24 * time.Hour,
	}
	for value, want := range tests {
		if got := wire.RetryAfter(value, now); got != want {
			t.Errorf("%q is read as %v, want %v", value, got, want)
		}
	}
}

func TestCircuitPauseIsReadDefensively(t *testing.T) {
	tests := map[string]time.Duration{
		"": 0, "Retry after": 0, "Retry after ms": 0, "Retry after 5s": 0, "retry AFTER 31000MS!": 31 * time.Second,
		"Retry after 1ms": 30 * time.Second, "Retry after 99999999999999999999ms": 10 * time.Minute, "Retry after 600001ms": 10 * time.Minute,
		"İRetry after 40000ms": 40 * time.Second,
	}
	for text, want := range tests {
		if got := wire.CircuitOpen(text); got != want {
			t.Errorf("%q is read as %v, want %v", text, got, want)
		}
	}
}
