// Package logging makes the logger of the process, and has the Kubernetes libraries log to it. Nothing blocks.
package logging
