package workload

import "k8s.io/client-go/dynamic"

// Cut shortens annotations.
var Cut = cut

// NewCluster returns a cluster in which all objects of a plan exist, for churning without an API server.
func NewCluster(client dynamic.Interface, plan []Object) *Cluster {
	c := &Cluster{client: client}
	for i := range plan {
		if o := &plan[i]; o.template != nil {
			l := &live{template: o.template, manifest: o.Manifest.DeepCopy(), state: present}
			if l.manifest.GetName() == "" {
				l.manifest.SetName(l.manifest.GetGenerateName() + "x")
			}
			c.objects = append(c.objects, l)
		}
	}
	return c
}
