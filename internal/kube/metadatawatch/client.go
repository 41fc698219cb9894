package metadatawatch

import (
	"context"
	"fmt"
	"net/http"
	"time"

	metainternalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// accept asks for objects as metadata: in protobuf, or in JSON. An API that knows neither sends whole objects.
const accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1," +
	"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

var (
	// parameters encodes options as a query.
	parameters = runtime.NewParameterCodec(parameterScheme())
	optionsV1  = schema.GroupVersion{Version: "v1"}
)

func parameterScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, optionsV1)
	return s
}

// client is a metadata client with watches and lists of its own.
type client struct {
	metadata.Interface
	rest    rest.Interface // for watches
	lists   rest.Interface
	decoder runtime.Decoder
	agent   string // the user agent; a transport that has to set it keeps a copy of the request
}

// New returns a metadata client. Each of its watches is a [*Watch].
func New(config *rest.Config) (metadata.Interface, error) {
	config = metadata.ConfigFor(config)
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making the HTTP client: %w", err)
	}
	full, err := metadata.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, err
	}
	config.GroupVersion = &schema.GroupVersion{} // no group: requests give full paths
	lists, err := rest.RESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making the client for lists: %w", err)
	}
	config.Dial = gathering(config.Dial)
	if httpClient, err = rest.HTTPClientFor(config); err != nil {
		return nil, fmt.Errorf("making the HTTP client for watches: %w", err)
	}
	if config.Transport == nil { // the transport is ours: no other client has this Dial
		boundUnread(httpClient.Transport)
	}
	watches, err := rest.RESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making the client for watches: %w", err)
	}
	return &client{Interface: full, rest: watches, lists: lists, decoder: metainternalscheme.Codecs.UniversalDeserializer(), agent: config.UserAgent}, nil
}

// maxUnread is how many bytes of a stream the server may send ahead of its reader. By default it is 4 MiB, so a
// processor that is held up while it lists would have as much more for each list under way. 256 KiB is 50 MiB a second
// at a round trip of 5 ms.
const maxUnread = 256 << 10

// boundUnread bounds what streams hold that are not read fast enough. It is called before the first request.
func boundUnread(rt http.RoundTripper) {
	for {
		switch t := rt.(type) {
		case *http.Transport:
			t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: maxUnread}
			return
		case utilnet.RoundTripperWrapper:
			rt = t.WrappedRoundTripper()
		default:
			return
		}
	}
}

// Resource implements [metadata.Interface].
func (c *client) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	full := c.Interface.Resource(gvr)
	return &getter{all{full, c, gvr}, full}
}

// getter reads a type in all namespaces, or in one.
type getter struct {
	all
	full metadata.Getter
}

// Namespace implements [metadata.Getter].
func (g *getter) Namespace(namespace string) metadata.ResourceInterface {
	return &one{g.full.Namespace(namespace), g.client, g.gvr, namespace}
}

// all reads a type in all namespaces.
type all struct {
	metadata.ResourceInterface
	client *client
	gvr    schema.GroupVersionResource
}

// Watch implements [metadata.ResourceInterface].
func (a all) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	return a.client.watch(ctx, a.gvr, "", opts)
}

// one reads a type in one namespace.
type one struct {
	metadata.ResourceInterface
	client    *client
	gvr       schema.GroupVersionResource
	namespace string
}

// Watch implements [metadata.ResourceInterface].
func (o *one) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	return o.client.watch(ctx, o.gvr, o.namespace, opts)
}

// watch asks for a watch. Like client-go, it returns an ended watch if the connection breaks during the request.
func (c *client) watch(ctx context.Context, gvr schema.GroupVersionResource, namespace string, opts metav1.ListOptions) (apiwatch.Interface, error) {
	opts.Watch = true
	var timeout time.Duration
	if opts.TimeoutSeconds != nil {
		timeout = time.Duration(*opts.TimeoutSeconds) * time.Second
	}
	body, err := c.rest.Get().AbsPath(segments(gvr, namespace)...).
		SetHeader("Accept", accept).SetHeader("Accept-Encoding", "identity").SetHeader("User-Agent", c.agent).
		SpecificallyVersionedParams(&opts, parameters, optionsV1).Timeout(timeout).Stream(ctx)
	switch {
	case err == nil:
		return newWatch(body, c.decoder), nil
	case utilnet.IsProbableEOF(err), utilnet.IsTimeout(err):
		return apiwatch.NewEmptyWatch(), nil
	default:
		return nil, err
	}
}

// segments returns the path of a type.
func segments(gvr schema.GroupVersionResource, namespace string) []string {
	path := []string{"apis", gvr.Group, gvr.Version}
	if gvr.Group == "" {
		path = []string{"api", gvr.Version}
	}
	if namespace != "" {
		path = append(path, "namespaces", namespace)
	}
	return append(path, gvr.Resource)
}

// undecodable returns the object of the error event for data that is no event.
func undecodable(err error) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError,
		Message: fmt.Sprintf("unable to decode an event from the watch stream: %v", err),
	}
}
