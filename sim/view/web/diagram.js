const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

// bandLooks says how a band is drawn and named. Each kind has a pattern, a colour and a
// sign of its own, so that a reader needs only one of them.
const bandLooks = {
  down: { pattern: "cross", colour: "--bad", sign: "✕" },
  paused: { pattern: "dots", colour: "--warn", sign: "❚❚" },
  cut: { pattern: "left", colour: "--warn", sign: "✂" },
  clog: { pattern: "dots", colour: "--warn", sign: "⧗" },
  flaky: { pattern: "right", colour: "--warn", sign: "≈" },
  slow: { pattern: "right", colour: "--warn", sign: "🐌︎" },
  disk: { pattern: "cross", colour: "--warn", sign: "◍" },
  lossy: { pattern: "right", colour: "--warn", sign: "≋" },
  narrow: { pattern: "left", colour: "--warn", sign: "⇥" },
  busy: { pattern: "dots", colour: "--warn", sign: "⚙︎" },
};

// statusSigns stand beside a result's text.
const statusSigns = { ok: "✓", "not-found": "∅", conflict: "≠", unknown: "?" };

// Diagram draws the rows that can be seen. Its canvas stays in place while the element
// around it scrolls.
class Diagram {
  constructor(scroller, canvas, spacer, head) {
    this.scroller = scroller;
    this.canvas = canvas;
    this.spacer = spacer;
    this.head = head;
    this.context = canvas.getContext("2d");
    this.zoom = 22;
    this.selected = 0;
    this.found = new Set();
    this.patterns = new Map();
    this.wanted = false;
    this.frames = []; // how long drawing the last frames took, in milliseconds
  }

  show(trace, rows, filter) {
    this.trace = trace;
    this.rows = rows;
    this.filter = filter;
    this.shownHosts = trace.hosts.map((_, i) => i).filter((i) => !filter.hidden.has(i));
    this.layout();
  }

  // layout settles where the lanes are.
  layout() {
    const width = this.scroller.clientWidth, narrow = width < 600;
    this.gutter = narrow ? 62 : 74;
    this.times = this.gutter - 24; // where the times end, on their right
    this.margin = narrow ? 70 : 150; // the room to the right of the last lane, for its labels
    const n = Math.max(1, this.shownHosts.length);
    const room = (width - this.gutter - this.margin) / Math.max(1, n - 0.5);
    this.lane = Math.max(narrow ? 58 : 76, Math.min(room, 240));
    this.x = new Float64Array(this.trace.hosts.length).fill(-1);
    this.shownHosts.forEach((host, i) => (this.x[host] = this.gutter + this.lane * (i + 0.5)));
    this.width = Math.max(width, this.gutter + this.lane * n + this.margin - this.lane / 2);
    this.height = this.rows.height * this.zoom + 60;
    this.spacer.style.width = `${this.width}px`;
    this.spacer.style.height = `${this.height}px`;
    this.resize();
    this.heads();
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const w = this.scroller.clientWidth, h = this.scroller.clientHeight;
    this.canvas.style.width = `${w}px`;
    this.canvas.style.height = `${h}px`;
    this.canvas.width = Math.round(w * ratio);
    this.canvas.height = Math.round(h * ratio);
    this.ratio = ratio;
    this.patterns.clear();
    this.colours = new Map();
  }

  // heads names the lanes, above the part that scrolls.
  heads() {
    this.head.replaceChildren(...this.shownHosts.map((host) => {
      const info = this.trace.hosts[host], e = document.createElement("div");
      e.className = `head ${info.role}`;
      e.style.left = `${this.x[host]}px`;
      e.style.maxWidth = `${this.lane - 4}px`;
      const name = document.createElement("b"), role = document.createElement("span");
      name.textContent = info.name;
      e.append(name, role);
      return e;
    }));
    this.slideHeads();
    this.tellHeads();
  }

  // tellHeads says under each name what the host is at the selected step.
  tellHeads() {
    this.shownHosts.forEach((host, i) => {
      const lane = this.trace.lane(host, this.selected), line = this.head.children[i].lastChild;
      const faults = this.trace.bandsAt(this.selected).filter((b) => b.h === host);
      const what = lane && lane.epoch && lane.role !== "left" ? `${lane.role} e${lane.epoch}` : lane && lane.role === "left" ? "out of its group" : lane ? "spare" : this.trace.hosts[host].role;
      line.textContent = faults.length ? faults.map((b) => `${bandLooks[b.k].sign} ${b.x}`).join(" ") : what;
      line.className = faults.length ? "fault" : "";
    });
  }

  slideHeads() { this.head.style.transform = `translateX(${-this.scroller.scrollLeft}px)`; }

  colour(name) {
    let c = this.colours.get(name);
    if (!c) this.colours.set(name, (c = getComputedStyle(this.canvas).getPropertyValue(name).trim()));
    return c;
  }

  epochColour(epoch) { return this.colour(`--epoch${(epoch - 1) % 6}`); }

  // y is where a step is on the canvas.
  y(step) { return (this.rows.of[step] + 0.5) * this.zoom + 8 - this.top; }

  // want has the diagram drawn before the next frame, once.
  want() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame(() => {
      this.wanted = false;
      this.draw();
    });
  }

  draw() {
    const begin = performance.now(), c = this.context;
    this.top = this.scroller.scrollTop;
    this.left = this.scroller.scrollLeft;
    const w = this.scroller.clientWidth, h = this.scroller.clientHeight;
    this.view = { w, h };
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.clearRect(0, 0, w, h);
    c.save();
    c.translate(-this.left, 0);
    c.textBaseline = "middle";
    // The rows that can be seen, as steps.
    const rows = this.rows;
    const first = rows.rowAt((this.top - 8) / this.zoom - 1), last = rows.rowAt((this.top + h - 8) / this.zoom + 1);
    this.from = rows.steps[first] ?? 0;
    this.to = rows.steps[last] ?? 0;
    this.labels = this.zoom >= 12;
    this.font = `${Math.max(9, Math.min(12, this.zoom * 0.55))}px ${FONT}`;
    c.font = this.font;
    this.drawHighlights(first, last);
    this.drawBands();
    this.drawLanes();
    this.drawGaps();
    this.drawMessages();
    this.drawOps();
    this.drawSteps(first, last);
    c.restore();
    this.drawGutter(first, last);
    this.frames.push(performance.now() - begin);
    if (this.frames.length > 600) this.frames.shift();
  }

  drawHighlights(first, last) {
    const c = this.context;
    for (let row = first; row <= last && row < this.rows.steps.length; row++) {
      const step = this.rows.steps[row], y = this.y(step) - this.zoom / 2;
      const kind = this.trace.kind[step], bad = step === this.trace.run.bad;
      if (bad) c.fillStyle = this.colour("--bad-row");
      else if (kind === FAULT) c.fillStyle = this.colour("--fault-row");
      else if (this.found.has(step)) c.fillStyle = this.colour("--found-row");
      else continue;
      c.fillRect(this.left, y, this.view.w, this.zoom);
    }
    const y = this.y(this.selected) - this.zoom / 2;
    c.fillStyle = this.colour("--selected");
    c.fillRect(this.left, y, this.view.w, this.zoom);
    c.strokeStyle = this.colour("--accent");
    c.lineWidth = 1.5;
    c.strokeRect(this.left + 1, y, this.view.w - 2, this.zoom);
  }

  // pattern is a fill that differs from the others without its colour.
  pattern(kind, colour) {
    const key = kind + colour;
    let p = this.patterns.get(key);
    if (p) return p;
    const tile = document.createElement("canvas"), n = 8;
    tile.width = tile.height = n;
    const t = tile.getContext("2d");
    t.strokeStyle = t.fillStyle = colour;
    t.lineWidth = 1.4;
    t.beginPath();
    if (kind === "left" || kind === "cross") for (const d of [-n, 0, n]) { t.moveTo(d, n); t.lineTo(d + n, 0); }
    if (kind === "right" || kind === "cross") for (const d of [-n, 0, n]) { t.moveTo(d, 0); t.lineTo(d + n, n); }
    t.stroke();
    if (kind === "dots") for (const [x, y] of [[2, 2], [6, 6]]) { t.beginPath(); t.arc(x, y, 1.2, 0, 7); t.fill(); }
    p = this.context.createPattern(tile, "repeat");
    this.patterns.set(key, p);
    return p;
  }

  drawBands() {
    const c = this.context, trace = this.trace;
    this.tags = [];
    let column = 0;
    for (const band of trace.bands) {
      const end = band.b < 0 ? trace.count - 1 : band.b;
      if (end < this.from || band.a > this.to || band.h >= 0 && this.x[band.h] < 0) continue;
      const y0 = this.y(band.a), y1 = band.b < 0 ? this.height - this.top - 30 : this.y(end);
      const look = bandLooks[band.k];
      if (band.h < 0) {
        // The network's bands run along the gutter.
        const x = this.left + this.gutter - 8 - 7 * (column++ % 3);
        c.fillStyle = this.pattern(look.pattern, this.colour(look.colour));
        c.fillRect(x, y0, 5, y1 - y0);
        c.strokeStyle = this.colour(look.colour);
        c.lineWidth = 0.75;
        c.strokeRect(x, y0, 5, y1 - y0);
        continue;
      }
      const half = Math.min(this.lane * 0.42, 46), x = this.x[band.h];
      c.globalAlpha = 0.5;
      c.fillStyle = this.colour(band.k === "down" ? "--down-band" : "--band");
      c.fillRect(x - half, y0, 2 * half, y1 - y0);
      c.globalAlpha = 0.35;
      c.fillStyle = this.pattern(look.pattern, this.colour(look.colour));
      c.fillRect(x - half, y0, 2 * half, y1 - y0);
      c.globalAlpha = 1;
      c.strokeStyle = this.colour(look.colour);
      c.lineWidth = 1;
      c.strokeRect(x - half, y0, 2 * half, y1 - y0);
      // A crash or a pause has a row of its own, with which its band begins.
      if (this.labels && band.k !== "down" && band.k !== "paused") this.tags.push({ x, y: y0 + this.zoom, text: `${look.sign} ${band.x}`, colour: this.colour(look.colour) });
    }
  }

  // drawLanes draws which hosts are up, and their roles. The width and the dashes of a line
  // show the role, its colour and its label the epoch.
  drawLanes() {
    const c = this.context, trace = this.trace, bottom = Math.min(this.view.h, this.height - this.top - 30);
    for (const host of this.shownHosts) {
      const x = this.x[host], lanes = trace.lanes[host];
      if (lanes.length === 0) {
        c.strokeStyle = this.colour("--line");
        c.lineWidth = 1.5;
        this.stroke(x, 0, x, bottom);
        continue;
      }
      for (const lane of lanes) {
        if (lane.step > this.to || lane.end < this.from) continue;
        const y0 = Math.max(-20, this.y(lane.step)), y1 = lane.end === Infinity ? bottom : Math.min(bottom, this.y(Math.min(lane.end, trace.count - 1)));
        this.laneStyle(lane);
        this.stroke(x, y0, x, y1);
        c.setLineDash([]);
        if (lane.role === "reconciling" || lane.role === "primary-to-be") {
          c.strokeStyle = this.colour("--paper");
          c.lineWidth = 3;
          this.stroke(x, y0, x, y1);
        }
      }
    }
    c.setLineDash([]);
  }

  laneStyle(lane) {
    const c = this.context;
    c.strokeStyle = lane.epoch ? this.epochColour(lane.epoch) : this.colour("--line");
    c.setLineDash({ joining: [6, 4], spare: [2, 4], left: [2, 4] }[lane.role] || []);
    c.lineWidth = { primary: 9, reconciling: 9, "primary-to-be": 9, replica: 4, joining: 4, left: 2 }[lane.role] || 1.5;
    if (lane.role === "left" || lane.role === "spare") c.strokeStyle = this.colour("--line");
  }

  stroke(x0, y0, x1, y1) {
    const c = this.context;
    c.beginPath();
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.stroke();
  }

  drawGaps() {
    const c = this.context, rows = this.rows;
    if (this.zoom < 8) return;
    const gaps = rows.gaps;
    const low = lastUpTo(gaps, (this.top - 8) / this.zoom - 1, (g) => g.at) + 1;
    c.textAlign = "left";
    for (let i = Math.max(0, low - 1); i < gaps.length; i++) {
      const y = (gaps[i].at + 0.5) * this.zoom + 8 - this.top;
      if (y > this.view.h + this.zoom) break;
      c.strokeStyle = this.colour("--line");
      c.lineWidth = 1;
      c.setLineDash([1, 5]);
      this.stroke(this.left + this.gutter, y, this.width, y);
      c.setLineDash([]);
    }
  }

  drawMessages() {
    const c = this.context, trace = this.trace, x = trace.messages;
    for (let m = 0; m < trace.messageCount; m++) {
      const cause = x.cause[m], last = trace.last[m];
      if (last < this.from || cause > this.to) continue;
      if (!this.filter.showsMessage(trace, m) && trace.message[this.selected] !== m) continue;
      const x0 = this.x[x.from[m]], x1 = this.x[x.to[m]];
      if (x0 < 0 || x1 < 0) continue;
      const near = cause === this.selected || trace.message[this.selected] === m;
      c.strokeStyle = this.colour(near ? "--accent" : x.routine[m] ? "--line" : "--arrow");
      c.fillStyle = c.strokeStyle;
      c.lineWidth = near ? 2.2 : 1.2;
      const takes = trace.takes[m];
      if (takes) takes.forEach((step, i) => this.arrow(m, x0, this.start(m, step), x1, this.y(step), i > 0));
      if (trace.lost[m] >= 0) this.cutShort(x0, this.start(m, trace.lost[m]), x1, this.y(trace.lost[m]));
      else if (!takes) this.underWay(x0, this.y(cause), x1);
    }
  }

  // start is the height at which a message begins.
  start(m, step) {
    const cause = this.trace.messages.cause[m];
    return cause >= 0 ? this.y(cause) : this.y(step) - this.zoom;
  }

  arrow(m, x0, y0, x1, y1, again) {
    const c = this.context, side = x1 > x0 ? -1 : 1;
    const end = x1 + side * 5;
    c.setLineDash(again ? [7, 3] : this.trace.messages.late[m] ? [3, 3] : []);
    this.stroke(x0, y0, end, y1);
    c.setLineDash([]);
    const angle = Math.atan2(y1 - y0, end - x0), size = Math.max(4, Math.min(8, this.zoom * 0.4));
    for (const back of again ? [0, size] : [0]) {
      const tip = end - Math.cos(angle) * back, height = y1 - Math.sin(angle) * back;
      c.beginPath();
      c.moveTo(tip, height);
      c.lineTo(tip - size * Math.cos(angle - 0.45), height - size * Math.sin(angle - 0.45));
      c.lineTo(tip - size * Math.cos(angle + 0.45), height - size * Math.sin(angle + 0.45));
      c.fill();
    }
  }

  // cutShort draws a message that was lost: it ends in a cross on its way.
  cutShort(x0, y0, x1, y1) {
    const c = this.context, x = x0 + (x1 - x0) * 0.45, size = Math.max(3, Math.min(5, this.zoom * 0.25));
    c.strokeStyle = this.colour("--bad");
    c.lineWidth = 1.4;
    this.stroke(x0, y0, x, y1);
    c.lineWidth = 2;
    this.stroke(x - size, y1 - size, x + size, y1 + size);
    this.stroke(x - size, y1 + size, x + size, y1 - size);
  }

  // underWay draws a message that had not arrived at the end of the run.
  underWay(x0, y0, x1) {
    const c = this.context;
    c.setLineDash([2, 4]);
    this.stroke(x0, y0, x0 + (x1 - x0) * 0.5, y0 + this.zoom * 0.8);
    c.setLineDash([]);
  }

  drawOps() {
    const c = this.context, trace = this.trace;
    for (const op of trace.ops) {
      const end = op.d < 0 ? trace.count - 1 : op.d;
      if (end < this.from || op.c > this.to || this.x[op.h] < 0) continue;
      const x = this.opX(op), y0 = this.y(op.c), y1 = op.d < 0 ? this.height - this.top - 30 : this.y(op.d);
      const colour = this.colour(op.p === 2 ? "--bad" : op.p === 1 ? "--accent" : op.s === "ok" ? "--good" : "--warn");
      c.fillStyle = this.colour("--paper");
      c.fillRect(x - 5, y0, 10, Math.max(2, y1 - y0));
      c.fillStyle = op.s === "ok" ? colour : this.pattern(op.s === "" || op.s === "unknown" ? "dots" : "left", colour);
      c.globalAlpha = op.s === "ok" ? 0.45 : 1;
      c.fillRect(x - 5, y0, 10, Math.max(2, y1 - y0));
      c.globalAlpha = 1;
      c.strokeStyle = colour;
      c.lineWidth = op.p ? 3 : 1.5;
      c.strokeRect(x - 5, y0, 10, Math.max(2, y1 - y0));
    }
  }

  // opX puts operations that are under way at the same time side by side. The more there
  // are, the closer they stand.
  opX(op) { return this.x[op.h] + op.place * Math.max(2, Math.min(13, (this.lane * 0.6) / this.trace.places[op.h])); }

  drawSteps(first, last) {
    const c = this.context, trace = this.trace;
    const size = Math.max(1.5, Math.min(4, this.zoom * 0.2));
    for (let row = first; row <= last && row < this.rows.steps.length; row++) {
      const step = this.rows.steps[row], host = trace.host[step], y = this.y(step), kind = trace.kind[step];
      if (host >= 0 && this.x[host] >= 0 && kind !== CALL && kind !== RETURN && kind !== LOSE) {
        c.fillStyle = this.colour(kind === BAD ? "--bad" : kind === HOST || kind === FAULT ? "--warn" : "--ink");
        c.beginPath();
        if (kind === HOST || kind === FAULT) c.rect(this.x[host] - size, y - size, 2 * size, 2 * size);
        else c.arc(this.x[host], y, size, 0, 7);
        c.fill();
      }
    }
    if (!this.labels) return;
    this.drawLaneLabels();
    for (const tag of this.tags) {
      this.label(tag.text, tag.x + 8, tag.y, "left", this.lane * 0.9, tag.colour, "600");
    }
    for (let row = first; row <= last && row < this.rows.steps.length; row++) this.drawText(this.rows.steps[row]);
  }

  // drawText writes a row's words. What arrived stands on the side from which it came, and
  // what came of it on the other side, if there is room.
  drawText(step) {
    const trace = this.trace, kind = trace.kind[step], y = this.y(step), host = trace.host[step], m = trace.message[step];
    const said = trace.strings[trace.said[step]], bad = step === trace.run.bad;
    const ink = this.colour("--ink"), wide = Math.max(this.lane * 1.6, 120);
    if (kind === FAULT || kind === BAD) {
      // A fault of one host stands beside its lane, others at the left.
      const near = kind === FAULT && host >= 0 && this.x[host] >= 0;
      const x = near ? this.x[host] + 10 : this.left + this.gutter + 6;
      const text = (kind === FAULT ? "⚡ " : "✕ ") + trace.strings[trace.text[step]] + (said ? `: ${said}` : "");
      this.label(text, x, y, "left", this.view.w - this.gutter - 20, this.colour(kind === BAD ? "--bad" : "--warn"), "700");
      if (kind === BAD && host >= 0 && this.x[host] >= 0) this.wrong(this.x[host], y);
      return;
    }
    const x = this.x[host];
    if (m >= 0) {
      const from = this.x[trace.messages.from[m]], to = this.x[trace.messages.to[m]];
      const side = to > from ? -1 : 1; // the side from which it came
      const text = trace.strings[trace.messages.text[m]], room = Math.max(Math.abs(to - from) - 24, this.lane * 1.2);
      if (kind === LOSE) {
        const middle = from + (to - from) * 0.45;
        this.label(`${text} ✕ ${trace.strings[trace.text[step]]}`, middle - side * 9, y, side < 0 ? "left" : "right", room, this.colour("--bad"));
        return;
      }
      const free = side < 0 ? this.width - to : to - this.gutter;
      const fits = said && this.context.measureText(said).width < Math.min(free - 16, wide);
      this.label((trace.again(step) ? "2× " : "") + text + (said && !fits ? `: ${said}` : ""), to + side * 13, y, side < 0 ? "right" : "left", room, ink);
      if (fits) this.label(said, to - side * 13, y, side < 0 ? "left" : "right", wide, this.colour("--muted"), "italic");
      return;
    }
    if (kind === CALL || kind === RETURN) {
      const op = trace.ops[trace.opOf.get(step)];
      const sign = kind === CALL ? "▸ " : `${statusSigns[op.s] || "✕"} `;
      const colour = op.p === 2 ? this.colour("--bad") : op.p === 1 ? this.colour("--accent") : ink;
      if (bad) {
        this.wrong(this.opX(op), y);
        this.label("✕ it went wrong here", this.left + this.gutter + 6, y, "left", this.lane * 2, this.colour("--bad"), "700");
      }
      this.label(sign + (kind === CALL ? op.x : op.r), this.opX(op) + 10, y, "left", Math.max(wide, 220), colour, op.p ? "700" : "600");
      return;
    }
    const text = trace.strings[trace.text[step]];
    this.label(kind === TICK && said ? said : said ? `${text}: ${said}` : text, x + 11, y, "left", wide, this.colour("--muted"), kind === HOST ? "700" : "italic");
  }

  // wrong draws a ring around the step at which the run went wrong.
  wrong(x, y) {
    const c = this.context;
    c.strokeStyle = this.colour("--bad");
    c.lineWidth = 3;
    c.beginPath();
    c.arc(x, y, Math.max(7, this.zoom * 0.42), 0, 7);
    c.stroke();
  }

  // drawLaneLabels labels each stretch of a lane with its role and epoch: where it starts,
  // or at the top if it started further up.
  drawLaneLabels() {
    for (const host of this.shownHosts) {
      for (const lane of this.trace.lanes[host]) {
        if (!lane.epoch || lane.step > this.to || lane.end <= this.from) continue;
        const y = Math.max(this.y(lane.step) + this.zoom * 0.55, 10);
        if (lane.end !== Infinity && this.y(Math.min(lane.end, this.trace.count - 1)) < y + 6) continue;
        const group = this.trace.groups.size > 1 && this.lane >= 90 ? `g${lane.group} ` : "";
        const text = `${group}${lane.role === "replica" && this.lane < 90 ? "" : lane.role + " "}e${lane.epoch}`;
        this.badge(text, this.x[host], y, this.epochColour(lane.epoch), lane.role === "left");
      }
    }
  }

  badge(text, x, y, colour, hollow) {
    const c = this.context;
    c.font = `700 10px ${FONT}`;
    const w = c.measureText(text).width + 8;
    c.fillStyle = hollow ? this.colour("--paper") : colour;
    c.strokeStyle = colour;
    c.lineWidth = 1;
    c.beginPath();
    c.roundRect(x - w / 2, y - 7, w, 14, 4);
    c.fill();
    c.stroke();
    c.fillStyle = hollow ? this.colour("--ink") : this.colour("--on-epoch");
    c.textAlign = "center";
    c.fillText(text, x, y + 0.5);
    c.font = this.font;
  }

  // label writes a text on a ground of the paper's colour, cut to the room.
  label(text, x, y, align, room, colour, style = "") {
    if (!text) return;
    const c = this.context;
    c.font = `${style} ${this.font}`.trim();
    c.textAlign = align;
    let width = c.measureText(text).width;
    if (width > room) {
      text = text.slice(0, Math.max(3, Math.floor((text.length * room) / width) - 1)) + "…";
      width = c.measureText(text).width;
    }
    c.fillStyle = this.colour("--halo");
    c.fillRect(align === "left" ? x - 2 : x - width - 2, y - this.zoom * 0.36, width + 4, this.zoom * 0.72);
    c.fillStyle = colour;
    c.fillText(text, x, y + 0.5);
  }

  // drawGutter writes the times, over whatever has scrolled under them.
  drawGutter(first, last) {
    const c = this.context;
    c.fillStyle = this.colour("--halo");
    c.fillRect(0, 0, this.times + 2, this.view.h);
    c.font = `10px ${FONT}`;
    c.textBaseline = "middle";
    c.textAlign = "right";
    const x = this.times;
    let below = -Infinity, shown = "";
    for (let row = first; row <= last && row < this.rows.steps.length; row++) {
      const step = this.rows.steps[row], y = this.y(step), text = clock(this.trace.time[step]);
      if (text === shown || y < below) continue;
      c.fillStyle = this.colour(step === this.selected ? "--accent" : "--muted");
      c.fillText(text, x, y);
      shown = text;
      below = y + 13;
    }
    if (this.zoom < 8) return;
    c.font = `italic 10px ${FONT}`;
    c.fillStyle = this.colour("--muted");
    for (const gap of this.rows.gaps) {
      const y = (gap.at + 0.5) * this.zoom + 8 - this.top;
      if (y < -10) continue;
      if (y > this.view.h + 10) break;
      c.fillText(`+${gap.text}`, x, y);
    }
  }

  // stepAt returns the step that is shown at a height of the canvas.
  stepAt(y) {
    const unit = (y + this.scroller.scrollTop - 8) / this.zoom;
    return this.rows.steps[this.rows.rowAt(unit)] ?? 0;
  }

  // reveal scrolls a step into view, to the given part of the height.
  reveal(step, part) {
    const at = (this.rows.of[step] + 0.5) * this.zoom + 8, h = this.scroller.clientHeight;
    const y = at - this.scroller.scrollTop;
    if (part !== undefined) this.scroller.scrollTop = at - h * part;
    else if (y < this.zoom * 2) this.scroller.scrollTop = at - this.zoom * 3;
    else if (y > h - this.zoom * 3) this.scroller.scrollTop = at - h + this.zoom * 4;
    this.want();
  }

  // setZoom changes the height of a row, and keeps the row at y in its place.
  setZoom(zoom, y = this.scroller.clientHeight / 2) {
    const unit = (this.scroller.scrollTop + y - 8) / this.zoom;
    this.zoom = Math.max(2, Math.min(44, zoom));
    this.layout();
    this.scroller.scrollTop = unit * this.zoom + 8 - y;
    this.want();
  }
}
