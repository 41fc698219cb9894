// Package configmaps is an API server that knows only ConfigMaps of one namespace, for tests of processes that share
// state through them. Unlike the fake of client-go it has one order of versions, refuses a write that does not start
// from the present version, and brings a watch every event since its list.
//
// A [Client] is one process's way to a [Server]. A test breaks it by [Client.Break].
package configmaps
