package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort returns a port of 127.0.0.1 on which nobody listens, for a process that is about to be started and may be
// restarted. It is below the ports that Linux gives to outgoing connections, from 32768: one of those a client that
// retries while the process is down could be given itself, and keep the process from coming back.
//
// Somebody else may take it before the process does; that ends at once, and another port can be tried.
func FreePort() (int, error) {
	const lowest, highest, attempts = 20000, 32000, 50
	var err error
	for range attempts {
		port := lowest + rand.IntN(highest-lowest)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("looking for a free port between %d and %d: %w", lowest, highest, err)
}
