package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answer plays Redis: it gives this reply, and returns what it was sent until then.
func answer(t *testing.T, reply string, do func(*redisStore) error) (sent string, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	heard := make(chan string, 1) // lest the connection stay open
	go func() {
		conn, err := l.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer conn.Close()
		in := make([]byte, 1000)
		n, _ := conn.Read(in)
		_, _ = conn.Write([]byte(reply))
		heard <- string(in[:n])
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := dialRedis(ctx, l.Addr().String())
	require.NoError(t, err)
	defer r.conn.Close()
	err = do(r)
	return <-heard, err
}

// A put counts only when both replicas have it: else Redis would be measured at another task.
func TestARedisPutNeedsBothReplicas(t *testing.T) {
	for reply, wrong := range map[string]string{
		"+OK\r\n:2\r\n":      "",
		"+OK\r\n:1\r\n":      `WAIT: the reply ":1"`,
		"-ERR no\r\n:2\r\n":  `SET: the reply "-ERR no"`,
		"+OK\r\n-ERR no\r\n": `WAIT: the reply "-ERR no"`,
		"+OK\r\n":            "no reply to WAIT: EOF",
	} {
		sent, err := answer(t, reply, func(r *redisStore) error { return r.Put(t.Context(), "key", []byte("a\r\nb")) })
		require.Equal(t, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$4\r\na\r\nb\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$4\r\n5000\r\n", sent, "in one piece")
		if wrong == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, wrong)
		}
	}
}

func TestARedisGetNeedsAValue(t *testing.T) {
	for reply, wrong := range map[string]string{
		"$4\r\na\r\nb\r\n": "",
		"$0\r\n\r\n":       "",
		"$-1\r\n":          `GET: the reply "$-1"`,
		":4\r\n":           `GET: the reply ":4"`,
		"\r\n":             `GET: the reply ""`,
		"$4\r\na":          "EOF",
		"":                 "no reply to GET: EOF",
	} {
		sent, err := answer(t, reply, func(r *redisStore) error {
			err := r.Get(t.Context(), "key")
			if err == nil {
				require.Zero(t, r.in.Buffered(), "the next reply begins here")
			}
			return err
		})
		require.Equal(t, "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", sent)
		if wrong == "" {
			require.NoError(t, err, reply)
		} else {
			require.ErrorContains(t, err, wrong, reply)
		}
	}
}

func TestTheCPUTimeOfThisProcess(t *testing.T) {
	for begin := ownCPUTime(); ownCPUTime()-begin < 50*time.Millisecond; { // takes some
		bytes.Repeat([]byte("work"), 1000)
	}
	before := ownCPUTime()
	told, err := cpuTime([]int{os.Getpid()})
	require.NoError(t, err)
	after := ownCPUTime()
	const granularity = 2 * time.Second / ticksPerSecond // in user mode, and in the kernel
	require.GreaterOrEqual(t, told, before-granularity)
	require.LessOrEqual(t, told, after+granularity)
	_, err = cpuTime([]int{os.Getpid(), 1 << 30})
	require.Error(t, err, "one that has ended")
}

func TestTables(t *testing.T) {
	round := func(rate float64) *measured {
		return &measured{Rate: rate, P50: time.Millisecond, P99: 2 * time.Millisecond, Server: 30 * time.Microsecond, Client: 4 * time.Microsecond}
	}
	r := results{
		systems: []*system{{name: "GTStore", kind: kindGTStore}, {name: "Redis", kind: kindRedis}},
		points:  []point{{"put", 0, 16}},
		all:     [][][]*measured{{{round(3000), round(1000), round(2000), round(1234567)}, {round(1000), round(1000), round(1000), round(1000)}}},
	}
	var b bytes.Buffer
	r.print(&b)
	var rows []string
	for s := bufio.NewScanner(&b); s.Scan(); {
		if strings.HasPrefix(s.Text(), "| put") {
			rows = append(rows, s.Text())
		}
	}
	require.Equal(t, []string{
		"| put | 16 | 2,500 (1,000 to 1,234,567) | 1,000 (1,000 to 1,000) |",
		"| put | 16 | 1.00, 2.00 ms | 1.00, 2.00 ms |",
		"| put | 16 | 30 + 4 µs | 30 + 4 µs |",
		"| put | 16 | 2.50 (1.00 to 1234.57) |",
	}, rows)
}
