package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// claims keeps what claimPort has opened from the garbage collector, which would close it.
var claims struct {
	sync.Mutex
	held []net.PacketConn
}

// FreePort returns a port of 127.0.0.1 on which nobody listens, for a process that is about to be started and may be
// restarted. It is below the ports that Linux gives to outgoing connections, from 32768: one of those a client that
// retries while the process is down could be given itself, and keep the process from coming back.
//
// No other call returns the port while the calling process lives, in this process or another of this machine: of two
// replicas that are given the same port, one does not start. What marks it as taken is the UDP port of the same number,
// which is kept open, as the system releases that with the process, however it ends: one file descriptor for each call.
// Somebody who did not ask here may still take it; the process that wanted it ends at once then.
func FreePort() (int, error) {
	const lowest, highest, attempts = 20000, 32000, 50
	var err error
	for range attempts {
		port := lowest + rand.IntN(highest-lowest)
		if err = claimPort(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("looking for a free port between %d and %d: %w", lowest, highest, err)
}

// claimPort fails when the port is claimed or somebody listens on it.
func claimPort(port int) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	claim, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		_ = claim.Close()
		return err
	}
	claims.Lock()
	defer claims.Unlock()
	claims.held = append(claims.held, claim)
	return l.Close()
}
