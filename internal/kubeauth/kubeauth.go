package kubeauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

const (
	// Remember is how long a permission that was taken away may still be used. A scrape every 15 s then costs two
	// reviews a minute for each scraper.
	Remember = 30 * time.Second
	// rememberRefusal is shorter: a caller with a new right wants to use it.
	rememberRefusal = 5 * time.Second
	// maxRemembered bounds the memory for verdicts; guesses at tokens push one another out.
	maxRemembered = 1024
	// timeout bounds one question to the API server.
	timeout = 10 * time.Second
)

// Reviewer asks the API server. Create it with [New]. It is safe for concurrent use.
type Reviewer struct {
	tokens   authenticationclient.TokenReviewInterface
	accesses authorizationclient.SubjectAccessReviewInterface
	verdicts *cache.LRUExpireCache
}

// New returns a Reviewer that asks with these clients. Its process must be allowed to create both kinds of review.
func New(tokens authenticationclient.TokenReviewsGetter, accesses authorizationclient.SubjectAccessReviewsGetter) *Reviewer {
	return &Reviewer{
		tokens: tokens.TokenReviews(), accesses: accesses.SubjectAccessReviews(),
		verdicts: cache.NewLRUExpireCache(maxRemembered),
	}
}

// verdict is a remembered status, which is 200, 401 or 403, and its reason.
type verdict struct {
	status int
	why    string
}

// Authorize tells whether the holder of the request's bearer token may use its method on its path. If not, err says
// why. status is then 401 (no known user), 403 (a user without the right), or 500 (the API server could not tell).
func (r *Reviewer) Authorize(req *http.Request) (allowed bool, status int, err error) {
	token, ok := bearer(req.Header.Get("Authorization"))
	if !ok {
		return false, http.StatusUnauthorized, errors.New("a bearer token is needed")
	}
	verb, path := strings.ToLower(req.Method), req.URL.Path
	key := sha256.Sum256([]byte(token + "\x00" + verb + "\x00" + path))
	if v, ok := r.verdicts.Get(key); ok {
		return answer(v.(verdict))
	}
	ctx, cancel := context.WithTimeout(req.Context(), timeout)
	defer cancel()
	v, err := r.review(ctx, token, verb, path)
	if err != nil {
		return false, http.StatusInternalServerError, err
	}
	remember := Remember
	if v.status != http.StatusOK {
		remember = rememberRefusal
	}
	r.verdicts.Add(key, v, remember)
	return answer(v)
}

func answer(v verdict) (bool, int, error) {
	if v.status == http.StatusOK {
		return true, v.status, nil
	}
	return false, v.status, errors.New(v.why)
}

func (r *Reviewer) review(ctx context.Context, token, verb, path string) (verdict, error) {
	who, err := r.tokens.Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return verdict{}, fmt.Errorf("reviewing a token: %w", err)
	}
	if !who.Status.Authenticated {
		return verdict{http.StatusUnauthorized, "the bearer token is not valid"}, nil
	}
	user := who.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	may, err := r.accesses.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: verb, Path: path},
	}}, metav1.CreateOptions{})
	if err != nil {
		return verdict{}, fmt.Errorf("reviewing an access: %w", err)
	}
	if !may.Status.Allowed {
		return verdict{http.StatusForbidden, fmt.Sprintf("%s may not %s %s", user.Username, verb, path)}, nil
	}
	return verdict{http.StatusOK, ""}, nil
}

// bearer returns the token of an Authorization header.
func bearer(header string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(strings.TrimSpace(header), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "bearer") && token != ""
}

// Wrap serves next to callers who are authorized, and refuses all others. report takes failures of the API server.
func (r *Reviewer) Wrap(next http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		allowed, status, err := r.Authorize(req)
		switch {
		case allowed:
			next.ServeHTTP(w, req)
		case status == http.StatusInternalServerError:
			report(err)
			http.Error(w, "the API server could not tell whether this is allowed", status)
		default:
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			http.Error(w, err.Error(), status)
		}
	})
}
