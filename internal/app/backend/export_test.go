package backend

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

// These functions are tested without a backend around them.
var (
	Match          = match
	Within         = within
	CheckNamespace = checkNamespace
	Operation      = operation
	Shares         = shares
)

// SumOfOperations makes one operation of the operations of several receivers.
func SumOfOperations(ops ...operations.Operation) api.Operation { return operationsOf(ops).sum() }
