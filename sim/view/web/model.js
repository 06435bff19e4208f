"use strict";

// The kinds of step, as StepKind in model.go numbers them.
const TAKE = 0, TICK = 1, LOSE = 2, CALL = 3, RETURN = 4, HOST = 5, FAULT = 6, BAD = 7;

// gapMin is the shortest time without a step that the diagram shows as a gap, in
// nanoseconds.
const gapMin = 30e6;

// sums turns differences into absolute numbers.
function sums(differences) {
  let at = 0;
  return Float64Array.from(differences || [], (d) => (at += d));
}

function duration(ns) {
  if (ns >= 1e9) return `${+(ns / 1e9).toFixed(3)} s`;
  if (ns >= 1e6) return `${+(ns / 1e6).toFixed(ns >= 1e8 ? 0 : 1)} ms`;
  return `${+(ns / 1e3).toFixed(0)} µs`;
}

function clock(ns) {
  return ns >= 1e9 ? `${(ns / 1e9).toFixed(3)} s` : `${+(ns / 1e6).toFixed(1)} ms`;
}

// Trace is a run, with indices of what the page looks up often.
class Trace {
  constructor(run) {
    this.run = run;
    this.hosts = run.hosts;
    this.strings = run.strings;
    const s = run.steps, m = run.messages;
    this.kind = s.k || [];
    this.count = this.kind.length;
    this.time = sums(s.t);
    this.host = s.h || [];
    this.message = s.m || [];
    this.routine = s.r || [];
    this.text = s.x || [];
    this.said = s.e || [];
    this.sentAt = sums(m.t);
    this.messages = { from: m.f || [], to: m.o || [], kind: m.k || [], text: m.x || [], group: m.g || [], cause: m.s || [], routine: m.r || [], late: m.l || [] };
    this.messageCount = this.messages.from.length;
    this.ops = run.ops || [];
    this.bands = run.bands || [];
    this.moments = run.moments || [];
    this.indexMessages();
    this.indexOps();
    this.indexStates();
  }

  // indexMessages finds, for each message, the steps that sent it, took it in or lost it.
  indexMessages() {
    this.takes = new Array(this.messageCount);
    this.lost = new Int32Array(this.messageCount).fill(-1);
    this.sends = new Map();
    for (let i = 0; i < this.count; i++) {
      const m = this.message[i];
      if (m < 0) continue;
      if (this.kind[i] === LOSE) this.lost[m] = i;
      else (this.takes[m] ||= []).push(i);
    }
    this.kinds = new Map();
    this.groups = new Set();
    for (let m = 0; m < this.messageCount; m++) {
      const kind = this.strings[this.messages.kind[m]], cause = this.messages.cause[m];
      this.kinds.set(kind, (this.kinds.get(kind) || 0) + 1);
      if (this.messages.group[m]) this.groups.add(this.messages.group[m]);
      if (cause < 0) continue;
      if (this.sends.has(cause)) this.sends.get(cause).push(m);
      else this.sends.set(cause, [m]);
    }
    // last is by message the step up to which it is drawn.
    this.last = new Int32Array(this.messageCount);
    for (let m = 0; m < this.messageCount; m++) {
      const takes = this.takes[m];
      this.last[m] = takes ? takes[takes.length - 1] : this.lost[m] >= 0 ? this.lost[m] : this.messages.cause[m];
    }
  }

  // indexOps gives each operation a place beside the others of its client at that time.
  indexOps() {
    this.opOf = new Map();
    const busy = this.hosts.map(() => []);
    this.ops.forEach((op, i) => {
      this.opOf.set(op.c, i);
      if (op.d >= 0) this.opOf.set(op.d, i);
      const ends = busy[op.h];
      let place = ends.findIndex((end) => end >= 0 && end <= op.c);
      if (place < 0) place = ends.length;
      ends[place] = op.d;
      op.place = place;
    });
    this.places = busy.map((ends) => Math.max(1, ends.length));
  }

  // indexStates indexes the states of the hosts by step.
  indexStates() {
    this.fields = this.hosts.map(() => new Map());
    this.changes = new Map();
    for (const list of this.run.steps.c || []) {
      const [step, host] = list;
      const changed = this.changes.get(step) || [];
      for (let j = 2; j < list.length; j += 2) {
        const name = this.strings[list[j]], value = this.strings[list[j + 1]];
        let history = this.fields[host].get(name);
        if (!history) this.fields[host].set(name, (history = { steps: [], values: [] }));
        const old = history.values.length ? history.values[history.values.length - 1] : "";
        history.steps.push(step);
        history.values.push(value);
        changed.push({ host, name, value, old });
      }
      this.changes.set(step, changed);
    }
    // lanes tells what a storage node is, from which step on.
    this.lanes = this.fields.map((fields) => {
      const history = fields.get("_lane");
      if (!history) return [];
      return history.steps.map((step, i) => {
        const [role, group, epoch] = history.values[i].split(",");
        return { step, end: history.steps[i + 1] ?? Infinity, role, group: +group || 0, epoch: +epoch || 0 };
      });
    });
  }

  // state lists what is known of a host after a step.
  state(host, step) {
    const list = [];
    for (const [name, { steps, values }] of this.fields[host]) {
      const i = lastUpTo(steps, step);
      if (i >= 0 && values[i] !== "" && name[0] !== "_") list.push({ name, value: values[i] });
    }
    return list;
  }

  lane(host, step) {
    const lanes = this.lanes[host];
    const i = lastUpTo(lanes, step, (lane) => lane.step);
    return i >= 0 ? lanes[i] : null;
  }

  // bandsAt returns the bands at a step. faults says in words what is wrong then.
  bandsAt(step) { return this.bands.filter((b) => b.a <= step && (b.b < 0 || b.b > step)); }

  faults(step) {
    return this.bandsAt(step)
      .map((b) => `${b.h >= 0 ? `${this.hosts[b.h].name} ` : b.k === "clog" ? "clogged " : `${b.k} `}${b.x}`);
  }

  name(host) { return host < 0 ? "the network" : this.hosts[host].name; }

  // what says in a line what a step is.
  what(i) {
    const m = this.message[i], x = this.messages, host = this.name(this.host[i]);
    switch (this.kind[i]) {
      case TAKE:
        if (m < 0) return `${host}: ${this.strings[this.text[i]]}`;
        return `${host} takes ${this.strings[x.text[m]]} from ${this.name(x.from[m])}${this.again(i) ? ", again" : ""}`;
      case LOSE:
        return `${this.strings[x.text[m]]} from ${this.name(x.from[m])} to ${this.name(x.to[m])} is lost (${this.strings[this.text[i]]})`;
      case CALL:
        return `${host} calls ${this.strings[this.text[i]]}`;
      case FAULT:
        return this.strings[this.text[i]];
      case BAD:
        return `violated: ${this.strings[this.text[i]]}`;
    }
    return `${host}: ${this.strings[this.text[i]]}`;
  }

  // again tells whether a step takes in a duplicate: a message that was taken in before.
  again(i) {
    const m = this.message[i];
    return m >= 0 && this.kind[i] === TAKE && this.takes[m][0] !== i;
  }

  group(i) {
    const m = this.message[i];
    if (m >= 0) return this.messages.group[m];
    const op = this.opOf.get(i);
    return op === undefined ? 0 : this.ops[op].g;
  }

  // words is the text of a step that a search looks through.
  words(i) {
    if (!this.cache) this.cache = [];
    return (this.cache[i] ??= `${this.what(i)} ${this.strings[this.said[i]]} ${(this.sends.get(i) || [])
      .map((m) => this.strings[this.messages.text[m]]).join(" ")}`.toLowerCase());
  }
}

// lastUpTo returns the index of the last element of a sorted list that is at most x; -1
// for none.
function lastUpTo(list, x, key = (e) => e) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// Rows says which steps are shown, and where. A step takes one unit of height, and so does
// a gap in time.
class Rows {
  constructor(trace, filter) {
    this.steps = [];
    this.at = []; // the unit of each row
    this.gaps = [];
    this.of = new Float64Array(trace.count); // the unit of each step, also of those not shown
    this.hidden = 0;
    let unit = 0, before = -1;
    for (let i = 0; i < trace.count; i++) {
      if (filter.shows(trace, i)) {
        const quiet = before >= 0 ? trace.time[i] - trace.time[before] : 0;
        if (quiet >= gapMin) {
          this.gaps.push({ at: unit, text: duration(quiet), time: trace.time[before] });
          unit++;
        }
        this.steps.push(i);
        this.at.push(unit++);
        before = i;
      } else this.hidden++;
      this.of[i] = Math.max(0, unit - 1);
    }
    this.height = unit;
  }

  // row returns the row of a step, or the last one before it.
  row(step) { return Math.max(0, lastUpTo(this.steps, step)); }

  rowAt(unit) { return Math.max(0, lastUpTo(this.at, unit)); }
}

// Filter says what the reader wants to see.
class Filter {
  constructor() {
    this.hidden = new Set(); // hosts
    this.group = 0;
    this.kinds = new Set(); // the kinds of message that are not shown
    this.beats = false;
  }

  shows(trace, i) {
    if (i === trace.run.bad) return true;
    const kind = trace.kind[i], host = trace.host[i], m = trace.message[i];
    if (kind === FAULT || kind === BAD) return host < 0 || !this.hidden.has(host);
    if (trace.routine[i] && !this.beats) return false;
    if (this.hidden.has(host)) return false;
    if (m >= 0 && !this.showsMessage(trace, m)) return false;
    const group = trace.group(i);
    return !this.group || !group || group === this.group;
  }

  showsMessage(trace, m) {
    const x = trace.messages;
    if (x.routine[m] && !this.beats) return false;
    if (this.kinds.size && this.kinds.has(trace.strings[x.kind[m]])) return false;
    if (this.hidden.has(x.from[m]) || this.hidden.has(x.to[m])) return false;
    return !this.group || !x.group[m] || x.group[m] === this.group;
  }
}
