package verify_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// BenchmarkDecodeAndSum is what a verification of 1,000 objects costs a replica: two pages from protobuf, summed.
func BenchmarkDecodeAndSum(b *testing.B) {
	list := &metav1.PartialObjectMetadataList{}
	for i := range 500 {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: fmt.Sprintf("coredns-7c65d6cfc9-%05d", i), UID: "0e1f2a3b-0e1f-2a3b-0e1f-2a3b0e1f2a3b", ResourceVersion: "123456789",
			Labels:      map[string]string{"app.kubernetes.io/name": "coredns", "pod-template-hash": "7c65d6cfc9", "tier": "control-plane"},
			Annotations: map[string]string{"checksum/config": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", Operation: "Update", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 900)}},
				{Manager: "kubelet", Operation: "Update", Subresource: "status", FieldsV1: &metav1.FieldsV1{Raw: make([]byte, 1100)}}},
		}})
	}
	raw, err := list.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range 2 {
			var got metav1.PartialObjectMetadataList
			if err := got.Unmarshal(raw); err != nil {
				b.Fatal(err)
			}
			var s index.Sum
			for i := range got.Items {
				s.Add(got.Items[i].Namespace, got.Items[i].Name, 123456789)
			}
		}
	}
}
