package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// claims keeps the sockets of claimPort from the garbage collector, which would close them.
var claims struct {
	sync.Mutex
	held []net.PacketConn
}

// FreePort returns a port of 127.0.0.1 without a listener, for a process that is about to start and may be
// restarted. It is below the ports that Linux gives to outgoing connections, from 32768. While the process is down,
// a client that retries could be given one of those itself, and keep the process from coming back.
//
// No other call returns the port while the calling process lives, in this process or another of this machine.
// Otherwise, of two replicas with the same port, one would not start. A claim is the UDP port of the same number,
// which stays open. The system releases it with the process, however that ends. Each call costs one file descriptor.
// A program that does not call FreePort may still take the port; then the process for it ends at once.
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

// claimPort fails when the port is claimed or has a listener.
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
