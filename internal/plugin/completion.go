package plugin

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// Completions ask the replicas as the command itself does. If that fails, there are no completions and no message,
// which would stand in the middle of the line that a person types.

func (c *connection) completeReplicas(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	f, err := c.fleet(cmd.Context(), true)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer f.close()
	var names []string
	for _, r := range f.replicas {
		names = append(names, r.name)
	}
	return beginning(typed, names), cobra.ShellCompDirectiveNoFileComp
}

func (c *connection) completeResources(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	f, err := c.fleet(cmd.Context(), true)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer f.close()
	status, _, err := anyOf(cmd.Context(), f, func(ctx context.Context, r *replica) (api.Status, error) {
		return get[api.Status](ctx, r, "/api/v1/status")
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, t := range status.Types {
		names = append(names, groupResource(t.Name))
	}
	return beginning(typed, names), cobra.ShellCompDirectiveNoFileComp
}

// groupResource makes deployments.apps of deployments.v1.apps, and pods of pods.v1.
func groupResource(name string) string {
	plural, rest, _ := strings.Cut(name, ".")
	_, group, grouped := strings.Cut(rest, ".")
	if !grouped {
		return plural
	}
	return plural + "." + group
}

func (c *connection) completeNamespaces(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	config, err := c.config.ToRESTConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := client.Namespaces().List(cmd.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	return beginning(typed, names), cobra.ShellCompDirectiveNoFileComp
}

func beginning(typed string, names []string) []string {
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return !strings.HasPrefix(n, typed) })
}
