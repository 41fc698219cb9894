package backend

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

// What is tested without a backend around it.
var (
	Match          = match
	Within         = within
	CheckNamespace = checkNamespace
	Operation      = operation
	Shares         = shares
)

// SumOfOperations makes one operation of those of several receivers.
func SumOfOperations(ops ...operations.Operation) api.Operation { return operationsOf(ops).sum() }
