// Package previous holds what this replica remembers of its previous process, and writes what the next process
// will need.
//
// It joins the file ([inventory]) with the present:
//
//	previous process ──inventory──▶ Inventory ──[Inventory.Judge]──▶ what it knew of a type and is not there
//	index, pending deletions ─────────▶ ╰──────[Inventory.Run]─────▶ the next inventory
//
// The [Inventory] keeps what the previous process knew of a type until every receiver is done with the type
// ([Inventory.Settle]). If the inventory turns out to be wrong ([Inventory.Discard]), nothing is deleted because
// of it. If it is ahead of the API server ([Inventory.IsOfALostTime]), etcd was restored from a backup.
//
// A nil *[Inventory] remembers nothing and writes nothing. Everything is safe for concurrent use; Run blocks
// until its context ends.
package previous
