#!/usr/bin/env bash
# Measures how throughput and latency change with the callers, the replicas, the size of a
# value, the groups and the keys. It starts a cluster of its own for each row, or each
# table, on this machine, and prints tables in Markdown. Some ten minutes.
#
#   cmd/gtstore/compare/growth.sh [SECONDS-A-POINT]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-4}
dir=$(mktemp -d)
trap 'down; rm -rf "$dir"' EXIT
go build -o "$dir/gtstore" .
unset "${!GTSTORE_@}"
cluster=

# up FLAGS... starts a cluster and waits until it answers.
up() {
  rm -f "$dir/up.json" # of the last
  "$dir/gtstore" up --base-port 0 -o json "$@" >"$dir/up.json" 2>"$dir/up.log" &
  cluster=$!
  local tries=0
  until [ -s "$dir/up.json" ]; do
    if [ $((tries += 1)) -gt 300 ]; then
      cat "$dir/up.log" >&2
      exit 1
    fi
    sleep 0.1
  done
  GTSTORE_MANAGER=$(sed -E 's/.*"manager":\{"addr":"([^"]*)".*/\1/' "$dir/up.json")
  export GTSTORE_MANAGER
  sleep 1 # until all nodes have answered the manager
}

down() {
  if [ -n "$cluster" ]; then
    kill -INT "$cluster"
    wait "$cluster" || true
    cluster=
  fi
}

# value NAME SECTION reads one number of the last result.
value() {
  sed -E "s/.*\"$2\":\{([^}]*).*/\1/; s/.*\"$1\":([0-9.]+).*/\1/" "$dir/result.json"
}

# load FLAGS... runs a load.
load() {
  "$dir/gtstore" bench --for "${seconds}s" -o json "$@" >"$dir/result.json"
}

# cells SECTION prints what the last load came to: operations a second, median and 99th
# percentile in µs.
cells() {
  printf '%.0f | %.0f | %.0f' "$(value ops_per_second "$1")" "$(value p50_us "$1")" "$(value p99_us "$1")"
}

# row LABEL FLAGS... is a row: puts alone, and then gets alone.
row() {
  local label=$1
  shift
  load --reads 0 "$@"
  local puts
  puts=$(cells puts)
  load --reads 1 "$@"
  printf '| %s | %s | %s |\n' "$label" "$puts" "$(cells gets)"
}

# table COLUMN begins a table.
table() {
  printf '\n| %s | puts/s | p50 µs | p99 µs | gets/s | p50 µs | p99 µs |\n|---|---|---|---|---|---|---|\n' "$1"
}

# resident prints the memory of a process of the cluster in MiB: of the manager, or of the
# first node.
resident() {
  local pid
  case $1 in
  manager) pid=$(sed -E 's/.*"manager":\{"addr":"[^"]*","pid":([0-9]+).*/\1/' "$dir/up.json") ;;
  node) pid=$(sed -E 's/.*"name":"node1","addr":"[^"]*","pid":([0-9]+).*/\1/' "$dir/up.json") ;;
  esac
  awk '/^VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$pid/status"
}

table callers
up --nodes 3
for n in 1 4 16 64 256 1024 4096; do
  row "$n" --clients "$n"
done
down

table replicas
for k in 0 1 2 3 4 5; do
  up --nodes $((k + 1)) --replicas "$k"
  row "$k" --clients 64
  down
done

table "value, bytes"
up --nodes 3
for size in 16 100 1024 10240 65536 1048576; do
  row "$size" --clients 16 --keys 100 --value-size "$size"
done
down

table groups
for n in 1 2 3 4; do
  up --nodes $((3 * n))
  row "$n" --clients 64
  down
done

table keys
memory=
for n in ${KEYS:-10000 100000 1000000 10000000}; do
  up --nodes 3
  row "$n" --clients 64 --keys "$n"
  memory+=$(printf '| %s | %s | %s |' "$n" "$(resident node)" "$(resident manager)")$'\n'
  down
done
printf '\n| keys | node, MiB | manager, MiB |\n|---|---|---|\n%s' "$memory"
