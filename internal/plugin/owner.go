package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// ownerAnswer is one replica's answer about an object.
type ownerAnswer struct {
	Name  string     `json:"name"`
	Error string     `json:"error,omitempty"`
	Owner *api.Owner `json:"owner,omitempty"`

	bad error
}

// ownerReport is the output of kubectl vectordb-sync owner.
type ownerReport struct {
	ID        string `json:"id"`
	Partition int    `json:"partition"`
	// Member is the owner, empty when replicas differ or none answers.
	Member string `json:"member"`
	// MaySend is the owner's own answer.
	MaySend bool `json:"maySend"`
	// Known is true when any replica knows the object.
	Known    bool          `json:"known"`
	Replicas []ownerAnswer `json:"replicas"`
	findings
}

func (r ownerReport) items() (rows any, names []string) {
	if r.Member != "" {
		names = append(names, "pod/"+r.Member)
	}
	return []ownerReport{r}, names
}

func newOwnerReport(id string, answers []ownerAnswer) ownerReport {
	report := ownerReport{ID: id, Replicas: answers, findings: newFindings()}
	says := make(map[string][]string)
	for _, a := range answers {
		if a.Owner == nil {
			report.problem("%s does not answer: %s", a.Name, a.Error)
			continue
		}
		says[a.Owner.Member] = append(says[a.Owner.Member], a.Name)
		report.Partition = a.Owner.Partition
		report.Known = report.Known || a.Owner.Known
		if a.Owner.Self {
			report.MaySend = a.Owner.MaySend
			if !a.Owner.MaySend {
				report.note("%s does not send it right now: %s", a.Owner.Member, orNone(a.Owner.Reason))
			}
		}
	}
	members := slices.Sorted(maps.Keys(says))
	switch len(members) {
	case 0:
		return report
	case 1:
		report.Member = members[0]
	default:
		var views []string
		for _, m := range members {
			views = append(views, fmt.Sprintf("%s (says %s)", m, strings.Join(says[m], ", ")))
		}
		report.problem("replicas differ on who owns it: %s; this is normal for some seconds while members come and go", strings.Join(views, ", "))
	}
	if !report.Known {
		report.note("no replica that answers knows such an object: it does not exist, or its type or namespace is not watched")
	}
	return report
}

func (r *ownerReport) table(w io.Writer, wide bool) {
	t := table{columns: []string{"ID", "PARTITION", "OWNER", "SENDS", "KNOWN"}}
	if r.Member != "" || slices.ContainsFunc(r.Replicas, func(a ownerAnswer) bool { return a.Owner != nil }) {
		owner := r.Member
		if owner == "" {
			owner = "disputed"
		}
		t.add(r.ID, fmt.Sprint(r.Partition), owner, yes(r.MaySend), yes(r.Known))
	}
	t.write(w, wide)
	if wide {
		fmt.Fprintln(w)
		each := table{columns: []string{"REPLICA", "SAYS OWNER", "SENDS", "KNOWN", "REASON"}}
		for _, a := range r.Replicas {
			if a.Owner == nil {
				each.add(a.Name, "no answer", none, none, a.Error)
				continue
			}
			each.add(a.Name, a.Owner.Member, yes(a.Owner.MaySend), yes(a.Owner.Known), orNone(a.Owner.Reason))
		}
		each.write(w, true)
	}
	r.write(w)
}

// objectID returns the ID that arguments name: an ID itself, kind/name, or kind and name.
func (c *connection) objectID(args []string) (resource.ID, error) {
	if len(args) == 1 && strings.Count(args[0], "/") > 1 {
		parts, err := resource.ParseID(args[0])
		if err != nil {
			return "", err
		}
		return parts.ID(), nil
	}
	kind, name, ok := args[0], "", false
	if len(args) == 2 {
		name, ok = args[1], kind != "" && !strings.Contains(kind+args[1], "/")
	} else {
		kind, name, ok = strings.Cut(args[0], "/")
	}
	if !ok || kind == "" || name == "" {
		return "", fmt.Errorf("%q names no object, want an ID such as default/apps/v1/Deployment/nginx, or deployment/nginx", strings.Join(args, " "))
	}
	return c.resolve(kind, name)
}

// resolve asks the API server which kind a name such as deploy means.
func (c *connection) resolve(kind, name string) (resource.ID, error) {
	mapper, err := c.config.ToRESTMapper()
	if err != nil {
		return "", fmt.Errorf("asking the API server for its kinds (an ID such as default/apps/v1/Deployment/nginx needs none of it): %w", err)
	}
	mapping, err := mapping(mapper, kind)
	if err != nil {
		return "", err
	}
	namespace := resource.ClusterNamespace
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if namespace, _, err = c.config.ToRawKubeConfigLoader().Namespace(); err != nil {
			return "", fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	gvk := mapping.GroupVersionKind
	return resource.Parts{Namespace: namespace, APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: name}.ID(), nil
}

// mapping finds a resource or a kind, in any of the spellings that kubectl takes.
func mapping(mapper meta.RESTMapper, name string) (*meta.RESTMapping, error) {
	versioned, grouped := schema.ParseResourceArg(name)
	if versioned != nil {
		if gvr, err := mapper.ResourceFor(*versioned); err == nil {
			if gvk, err := mapper.KindFor(gvr); err == nil {
				return mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
			}
		}
	}
	gvk, err := mapper.KindFor(grouped.WithVersion(""))
	if err == nil {
		return mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if !meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("asking the API server what %q is: %w", name, err)
	}
	kind, kinds := schema.ParseKindArg(name)
	if kind != nil {
		if m, err := mapper.RESTMapping(kind.GroupKind(), kind.Version); err == nil {
			return m, nil
		}
	}
	m, kindErr := mapper.RESTMapping(kinds)
	if kindErr != nil {
		return nil, fmt.Errorf("the cluster has no resource %q; kubectl api-resources lists what there is", name)
	}
	return m, nil
}

func ownerOf(ctx context.Context, f *fleet, id resource.ID) ([]ownerAnswer, error) {
	var refused *answerError
	answers := each(ctx, f, func(ctx context.Context, r *replica) ownerAnswer {
		o, err := get[api.Owner](ctx, r, "/api/v1/owner?id="+url.QueryEscape(string(id)))
		if err != nil {
			return ownerAnswer{Name: r.name, Error: oneLine(err.Error()), bad: err}
		}
		return ownerAnswer{Name: r.name, Owner: &o}
	})
	for _, a := range answers {
		if errors.As(a.bad, &refused) && refused.Code == http.StatusBadRequest {
			return nil, refused
		}
	}
	return answers, nil
}

func newOwner(c *connection, out io.Writer) *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "owner (ID | KIND/NAME | KIND NAME)",
		Short: "Show which replica sends an object",
		Long: "Show which replica sends an object, and whether it may right now. An object is named by its ID,\n" +
			"namespace/apiVersion/Kind/name with _cluster for the namespace of cluster-scoped objects, or as with kubectl get, in the\n" +
			"namespace of --namespace or the context. It need not exist. The exit code is 1 when replicas differ or do not answer.",
		Example: "  kubectl vectordb-sync owner shop/apps/v1/Deployment/nginx\n  kubectl vectordb-sync owner deployment/nginx -n shop",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := c.objectID(args)
			if err != nil {
				return err
			}
			f, err := c.fleet(cmd.Context(), true)
			if err != nil {
				return err
			}
			defer f.close()
			answers, err := ownerOf(cmd.Context(), f, id)
			if err != nil {
				return err
			}
			report := newOwnerReport(string(id), answers)
			if err := format.render(out, report, report.table); err != nil {
				return err
			}
			return report.verdict()
		},
	}
	format.addFlag(cmd.Flags())
	return cmd
}
