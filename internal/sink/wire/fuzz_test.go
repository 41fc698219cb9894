package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func FuzzEncodedTextReadsBack(f *testing.F) {
	for _, seed := range []string{"", "plain", "\"\\\n\x00\x7f", "日本🚀", "\xff\xfe", "\xed\xa0\x80", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ToValidUTF8(strings.ToValidUTF8(s, "\uFFFD"), "")
		for _, format := range wire.Formats() {
			i := item(pods, "shop", "a", time.Unix(0, 0), map[string]string{"k": want}, nil)
			i.Name = "n" + s
			body, err := format.EncodeUpserts([]wire.Item{i})
			if err != nil {
				t.Fatal(err)
			}
			if !utf8.Valid(body) {
				t.Fatalf("%s: invalid UTF-8 in %q", format.Name(), body)
			}
			got, _ := readBody(t, body, upsertFields[format.Name()])
			if got[0].Labels["k"] != want {
				t.Errorf("%s: sent %q, read %q", format.Name(), want, got[0].Labels["k"])
			}
			if utf8.ValidString(s) && got[0].Name != "n"+s {
				t.Errorf("%s: sent name %q, read %q", format.Name(), "n"+s, got[0].Name)
			}
			if size := format.Overhead() + format.UpsertSize(i); size != len(body) {
				t.Errorf("%s: announced %d bytes, wrote %d", format.Name(), size, len(body))
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "-1", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"} {
		f.Add(seed, int64(784111747))
	}
	f.Fuzz(func(t *testing.T, value string, unix int64) {
		if got := wire.RetryAfter(value, time.Unix(unix, 0)); got < 0 || got > 24*time.Hour {
			t.Errorf("%q at %d is read as %v", value, unix, got)
		}
	})
}

// Whatever the answer is, Classify returns. Its indexes lie within what was sent, ascend and are there exactly
// when the kind says so. No item is delivered without the receiver's confirmation, and the reason fits a log
// line.
func FuzzClassify(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `{"status":"ok","upserted":2,"deleted":0}`, `{"success":true,"data":{"upserted":2,"deleted":0}}`, `Malformed JSON in request body`,
		`{"error":"Invalid payload","details":[{"message":"Invalid","path":["upserts",1,"createdAt"]}]}`,
		`{"success":false,"error":{"code":"VALIDATION_ERROR","details":[{"path":"upserts[1].name","message":"required"}]}}`,
		`{"success":false,"error":{"code":"SYNC_PARTIAL_FAILURE","details":{"upserted":1,"deleted":0,"failures":[{"id":"shop:v1:Pod:a1","error":"Retry after 29989ms"}]}}}`,
		`{"success":false,"error":{"code":"INTERNAL_ERROR"}}`, `[[[[[[[[[[`,
	} {
		for _, status := range []int{200, 400, 500, 503} {
			f.Add(status, "application/json", "5", body, 2, false)
		}
	}
	f.Fuzz(func(t *testing.T, status int, contentType, retryAfter, body string, n int, isDelete bool) {
		sent := upserts(max(0, min(n, 5)))
		if isDelete {
			sent = deletes(max(0, min(n, 5)))
		}
		for _, format := range wire.Formats() {
			o := format.Classify(wire.Response{Status: status, ContentType: contentType, RetryAfter: retryAfter, Body: []byte(body)}, sent)
			if (len(o.Bad) > 0) != (o.Kind == wire.Refused) || (len(o.Failed) > 0) != (o.Kind == wire.Partial) {
				t.Errorf("%s: kind %s with %d bad and %d failed", format.Name(), o.Kind, len(o.Bad), len(o.Failed))
			}
			for _, list := range [][]wire.ItemError{o.Bad, o.Failed} {
				last := -1
				for _, e := range list {
					if e.Index <= last || e.Index >= sent.Len() || len(e.Reason) > 256 {
						t.Errorf("%s: item %v of %d after %d", format.Name(), e, sent.Len(), last)
					}
					last = e.Index
				}
			}
			if o.Kind == wire.Delivered && (status < 200 || status > 299 || !json.Valid([]byte(body))) {
				t.Errorf("%s: delivered by %d %q", format.Name(), status, body)
			}
			if len(o.Reason) > 256 || !utf8.ValidString(o.Reason) || strings.ContainsAny(o.Reason, "\n\r\x1b") {
				t.Errorf("%s: reason %q", format.Name(), o.Reason)
			}
			if o.RetryAfter < 0 || o.RetryAfter > 24*time.Hour || o.Kind == wire.Fenced || o.Own {
				t.Errorf("%s: %+v", format.Name(), o)
			}
		}
	})
}
