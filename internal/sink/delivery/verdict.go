package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// failure judges a request that has no answer. The kind depends on whether any of it was written; the error
// itself only tells which side caused it.
func (c *Client) failure(ctx context.Context, a *attempt, err error) wire.Outcome {
	begun := a.end()
	if c.own == nil {
		var op *net.OpError
		begun = !errors.As(err, &op) || op.Op != "dial"
	}
	o := wire.Outcome{Kind: wire.Unknown, Reason: "the answer is missing: " + c.describe(err), Own: errors.Is(err, errFenced) || ctx.Err() != nil}
	o.TimedOut = begun && !o.Own && errors.Is(err, context.DeadlineExceeded)
	var untrusted *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	switch {
	case begun:
	case o.Own:
		o.Kind, o.Reason = wire.Fenced, "not begun: "+err.Error()
	case errors.As(err, &untrusted), errors.As(err, &noTLS):
		o.Kind, o.Reason = wire.WrongEndpoint, "not sent: "+err.Error()
	default:
		o.Kind, o.Reason = wire.Retry, "not sent: "+c.describe(err)
	}
	o.Reason = wire.Reason(o.Reason)
	return o
}

// describe names our own timeout, and leaves every other error to net/http's text. Dialling has a timeout of its
// own, much shorter, which looks the same to errors.Is.
func (c *Client) describe(err error) string {
	var op *net.OpError
	if dialing := errors.As(err, &op) && op.Op == "dial"; !dialing && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %v", c.timeout.Round(time.Millisecond))
	}
	return err.Error()
}

// judge reads an answer and lets the format decide. An answer that breaks off counts as none where its body
// matters. A 2xx may have gone on in any way, and a 400 of dot-ai may be a partial success.
func (c *Client) judge(ctx context.Context, resp *http.Response, sent wire.Sent) wire.Outcome {
	body, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxResponseBytes))
	_ = resp.Body.Close() // An unread rest costs the connection, and nothing else.
	if err != nil && (resp.StatusCode < 300 || resp.StatusCode == http.StatusBadRequest) {
		return wire.Outcome{
			Kind: wire.Unknown, Status: resp.StatusCode, Own: errors.Is(err, errFenced) || ctx.Err() != nil,
			TimedOut: ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded),
			Reason:   wire.Reason(fmt.Sprintf("HTTP %d: the answer breaks off: %s", resp.StatusCode, c.describe(err))),
		}
	}
	return c.format.Classify(wire.Response{
		Status:      resp.StatusCode,
		ContentType: resp.Header.Get("Content-Type"),
		RetryAfter:  resp.Header.Get("Retry-After"),
		Body:        body,
		Now:         time.Now(),
	}, sent)
}

// hidden removes the token and the values of further headers from every reason. It leaves values so short that
// they may be any word: they are no secrets.
func hidden(o wire.Outcome, token string, further http.Header) wire.Outcome {
	const short = 6
	o = redacted(o, token)
	for _, values := range further {
		for _, value := range values {
			if len(value) >= short {
				o = redacted(o, value)
			}
		}
	}
	return o
}

// redacted removes the token from every reason: an answer may repeat the request.
func redacted(o wire.Outcome, token string) wire.Outcome {
	if token == "" {
		return o
	}
	o.Reason = redact(o.Reason, token)
	for _, list := range [][]wire.ItemError{o.Bad, o.Failed} {
		for i := range list {
			list[i].Reason = redact(list[i].Reason, token)
		}
	}
	return o
}

// redact replaces the token, and the beginning of one where the reason was cut in its middle.
func redact(reason, token string) string {
	const gone = "[token]"
	reason = strings.ReplaceAll(reason, token, gone)
	rest, cut := strings.CutSuffix(reason, "…")
	if !cut {
		return reason
	}
	for n := min(len(token), len(rest)); n > 0; n-- {
		if before, found := strings.CutSuffix(rest, token[:n]); found {
			return before + gone
		}
	}
	return reason
}
