package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"gtstore/cmd/gtstore/internal/load"
	"gtstore/netrpc"
)

// dialTime bounds how long it takes to connect.
const dialTime = 5 * time.Second

// stores returns the store of each caller, and what closes them.
func stores(kind string, addresses []string, callers int) (store func(caller int) load.Store, end func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	switch kind {
	case kindGTStore:
		c, err := netrpc.Dial(ctx, addresses)
		if err != nil {
			return nil, nil, err
		}
		return func(int) load.Store { return gtstoreStore{c} }, c.Close, nil
	case kindEtcd:
		c, err := dialLeader(ctx, addresses)
		if err != nil {
			return nil, nil, err
		}
		return func(int) load.Store { return etcdStore{c} }, func() { c.Close() }, nil
	}
	all := make([]*redisStore, callers)
	for i := range all {
		if all[i], err = dialRedis(ctx, addresses[0]); err != nil {
			return nil, nil, err
		}
	}
	return func(i int) load.Store { return all[i] }, func() {
		for _, r := range all {
			r.conn.Close()
		}
	}, nil
}

type gtstoreStore struct{ c *netrpc.Client }

func (s gtstoreStore) Put(ctx context.Context, key string, value []byte) error {
	_, err := s.c.Put(ctx, key, value)
	return err
}

func (s gtstoreStore) Get(ctx context.Context, key string) error {
	_, err := s.c.Get(ctx, key)
	return err
}

type etcdStore struct{ c *clientv3.Client }

// dialLeader connects to the member that leads: any other would pass every operation on.
func dialLeader(ctx context.Context, addresses []string) (*clientv3.Client, error) {
	for _, address := range addresses {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: dialTime, Logger: zap.NewNop()})
		if err != nil {
			return nil, err
		}
		s, err := c.Status(ctx, address)
		if err == nil && s.Leader == s.Header.MemberId {
			return c, nil
		}
		c.Close()
	}
	return nil, errors.New("etcd has no leader")
}

func (s etcdStore) Put(ctx context.Context, key string, value []byte) error {
	_, err := s.c.Put(ctx, key, string(value))
	return err
}

func (s etcdStore) Get(ctx context.Context, key string) error {
	r, err := s.c.Get(ctx, key)
	if err == nil && len(r.Kvs) != 1 {
		err = fmt.Errorf("etcd: %s is absent", key)
	}
	return err
}

// redisStore is a connection to Redis. It does one operation at a time.
type redisStore struct {
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
}

const (
	redisReplicas = "2"    // that must have a put
	redisWait     = "5000" // ms, for them
)

func dialRedis(ctx context.Context, address string) (*redisStore, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &redisStore{conn: conn, in: bufio.NewReader(conn)}, nil
}

func (r *redisStore) Put(ctx context.Context, key string, value []byte) error {
	r.command("SET", key, string(value))
	r.command("WAIT", redisReplicas, redisWait)
	if err := r.send(ctx); err != nil {
		return err
	}
	if line, err := r.line(); err != nil || line != "+OK" {
		return replyError("SET", line, err)
	}
	if line, err := r.line(); err != nil || line != ":"+redisReplicas {
		return replyError("WAIT", line, err)
	}
	return nil
}

func (r *redisStore) Get(ctx context.Context, key string) error {
	r.command("GET", key)
	if err := r.send(ctx); err != nil {
		return err
	}
	line, err := r.line()
	size, bad := strconv.Atoi(line[min(1, len(line)):])
	if err != nil || bad != nil || line[0] != '$' || size < 0 {
		return replyError("GET", line, err)
	}
	_, err = io.CopyN(io.Discard, r.in, int64(size)+2)
	return err
}

// replyError is for a reply that did not come, or says that a command was not done.
func replyError(command, line string, err error) error {
	if err != nil {
		return fmt.Errorf("redis: no reply to %s: %w", command, err)
	}
	return fmt.Errorf("redis: %s: the reply %q is none of success", command, line)
}

// command adds a command to what is sent next.
func (r *redisStore) command(words ...string) {
	fmt.Fprintf(&r.out, "*%d\r\n", len(words))
	for _, w := range words {
		r.out.WriteByte('$')
		r.out.Write(strconv.AppendInt(r.out.AvailableBuffer(), int64(len(w)), 10))
		r.out.WriteString("\r\n")
		r.out.WriteString(w)
		r.out.WriteString("\r\n")
	}
}

// send sends the commands, which are to be answered before the context ends.
func (r *redisStore) send(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	if err := r.conn.SetDeadline(deadline); err != nil {
		return err
	}
	_, err := r.conn.Write(r.out.Bytes())
	r.out.Reset()
	return err
}

func (r *redisStore) line() (string, error) {
	line, err := r.in.ReadSlice('\n')
	return string(bytes.TrimRight(line, "\r\n")), err
}
