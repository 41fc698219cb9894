// Package config reads the configuration of a process from its environment. [FromEnviron] turns variables into a
// [Config], with defaults, and checks every value against all others. If something is wrong, it reports all
// mistakes at once. The table of [Settings] is the only place where a variable is declared; docs/configuration.md
// is generated from it.
//
// The package does not watch for changes: a process is configured once. It does not connect to anything and knows
// no client of Kubernetes. It reads the files that variables name only to refuse those that could not work. It
// keeps nothing of their contents: a Config holds no secret, and may be logged.
//
// No function here blocks longer than reading a small file takes. The package does not change a Config after
// returning it. A Config is safe for concurrent use as long as its users do not change it either.
package config

//go:generate go run ./gen ../../docs/configuration.md
