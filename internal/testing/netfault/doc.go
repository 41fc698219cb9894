// Package netfault puts a TCP proxy on loopback in front of an address, and lets a test break the line: hang it, reset
// it, delay it, mend it, and count the bytes that pass. TLS goes through untouched.
//
//	                 Hang                     Hang: bytes and connections wait, as behind a partition. Mend lets all
//	       ┌──────────────────▶ hanging             that waits go on.
//	passing ◀────── Mend ──────────┤          Reset: open connections are reset, and so is every new one, as by a host
//	       └──────────────────▶ resetting           that has lost its process.
//	                 Reset
//
// It shapes no bandwidth and loses no packets: TCP would hide that anyway.
//
// A level higher, [API] is an HTTP proxy in front of an API server that reads the traffic. It can lose, reorder or
// freeze single events of a watch, including the bookmark at the end of a streamed list. It can answer a list with
// half of it, with nothing, with an error in the middle, or never. It reads JSON and protobuf, full objects and
// metadata.
//
// All methods are safe for concurrent use. None blocks except [Proxy.Close] and [API.Close], which return when every
// goroutine of the proxy has ended.
package netfault
