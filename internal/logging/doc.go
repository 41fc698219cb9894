// Package logging makes the logger of the process, and has the Kubernetes libraries log to it. No function blocks.
package logging
