// Package bell makes a pass come earlier: whoever waits binds a datagram socket of its own in a
// directory, and whoever has committed something rings them all.
//
// A bell carries nothing and proves nothing. It may be lost, come late, come twice or ring for what
// is done already; truth is the store, and a waiter looks there at its next time anyway. So ringing
// has no error and never waits. Sockets of waiters that died are removed by who rings.
package bell

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// dirMode: only the owner of the directory rings and waits.
const dirMode = 0o700

// Waiter hears the bell of a directory.
type Waiter struct {
	path    string
	conn    *net.UnixConn
	ring    chan struct{}
	done    chan struct{} // closed when nobody listens any more
	closing sync.Once
	closed  error
}

// Listen binds a socket of its own in the directory, which is made if need be. From its return on
// every Ring is heard.
func Listen(dir string) (*Waiter, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("listen for the bell: %w", err)
	}
	name := rand.Text()
	conn, err := bind(dir, name)
	if err != nil {
		return nil, fmt.Errorf("listen for the bell in %s: %w", dir, err)
	}
	w := &Waiter{path: filepath.Join(dir, name), conn: conn, ring: make(chan struct{}, 1), done: make(chan struct{})}
	go w.listen()
	return w, nil
}

// listen turns datagrams into rings until the socket is closed.
func (w *Waiter) listen() {
	defer close(w.done)
	var buf [1]byte
	for {
		if _, _, err := w.conn.ReadFromUnix(buf[:]); err != nil {
			return
		}
		select {
		case w.ring <- struct{}{}:
		default: // one that is not yet heard says the same
		}
	}
}

// C rings once for any number of bells since it was last read. It is never closed.
func (w *Waiter) C() <-chan struct{} { return w.ring }

// Close stops listening and removes the socket.
func (w *Waiter) Close() error {
	w.closing.Do(func() {
		w.closed = w.conn.Close()
		<-w.done
		if err := os.Remove(w.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.closed = errors.Join(w.closed, err)
		}
	})
	return w.closed
}
