// Package previous is what this replica remembers of its previous process, and what it writes down for the next.
//
// It joins the file ([inventory]) with the present:
//
//	previous process ──inventory──▶ Inventory ──[Inventory.Judge]──▶ what it knew of a type and is not there
//	index, pending deletions ─────────▶ ╰──────[Inventory.Run]─────▶ the next inventory
//
// What the previous process knew of a type is carried on until every receiver is done with the type
// ([Inventory.Settle]). The inventory may be found to be wrong ([Inventory.Discard]): then nothing is deleted by its
// word. Or it may be ahead of the API server ([Inventory.IsOfALostTime]): then the database was restored from a backup.
//
// A nil *[Inventory] remembers nothing and writes nothing. All of it is safe for concurrent use; Run blocks until its
// context ends.
package previous
