// App ties diagram, panel and controls together, and keeps the view in the
// fragment of the URL.
class App {
  constructor(page) {
    this.page = page;
    this.runIndex = 0;
    this.filter = new Filter();
    this.query = "";
    this.$ = (id) => document.getElementById(id);
    this.diagram = new Diagram(this.$("scroller"), this.$("canvas"), this.$("spacer"), this.$("heads"));
    this.panel = new Panel(page, (step) => this.select(step, 0.5));
    this.traces = page.runs.map(() => null);
    this.tabs();
    this.listen();
    this.read();
  }

  trace() { return (this.traces[this.runIndex] ||= new Trace(this.page.runs[this.runIndex])); }

  // tabs lets the reader choose between the core without a rule and the real one.
  tabs() {
    const tabs = this.$("tabs");
    if (this.page.runs.length < 2) {
      tabs.hidden = true;
      return;
    }
    this.page.runs.forEach((run, i) => {
      const label = element("label"), input = element("input");
      input.type = "radio";
      input.name = "run";
      input.value = i;
      input.addEventListener("change", () => { this.showRun(i); this.first(); });
      label.append(input, " ", `${run.property ? "✕" : "✓"} ${run.core ? `without a rule (${run.core})` : "the real core"}`);
      tabs.append(label);
    });
  }

  // showRun puts a run on the page.
  showRun(i) {
    this.runIndex = i;
    const trace = this.trace(), run = trace.run, $ = this.$;
    const bad = run.property !== "";
    document.documentElement.dataset.verdict = bad ? "bad" : "good";
    $("sign").textContent = bad ? "✕" : "✓";
    $("headline").textContent = run.headline;
    $("meaning").textContent = run.meaning || "";
    $("detail").textContent = run.detail || "";
    $("detailbox").hidden = !run.detail;
    $("facts").textContent = run.facts + (run.skipped ? `. The first ${run.skipped} events are not shown.` : "") +
      (run.thinned ? `. The run is long: ${run.thinned} heartbeats and other events that changed nothing are left out.` : "");
    const core = $("core");
    core.hidden = !run.core;
    core.textContent = run.core ? `This is the core with one rule removed (${run.removed}): ${run.without}.` : "";
    $("note").textContent = this.page.note;
    const input = document.querySelector(`input[name=run][value="${i}"]`);
    if (input) input.checked = true;
    this.fillFilters();
    this.panel.show(trace);
    this.refilter();
  }

  // first shows the step to look at first.
  first() {
    const trace = this.trace();
    this.select(trace.run.focus[1], trace.run.bad >= 0 ? 0.75 : 0.3);
  }

  refilter() {
    const trace = this.trace();
    this.rows = new Rows(trace, this.filter);
    const range = this.$("range");
    range.max = Math.max(0, this.rows.steps.length - 1);
    this.diagram.show(trace, this.rows, this.filter);
    this.marks();
    this.search(this.query);
    this.$("hidden").textContent = this.rows.hidden ? `${this.rows.hidden} events not shown` : "";
  }

  // marks shows the moments beside the slider.
  marks() {
    const trace = this.trace(), most = Math.max(1, this.rows.steps.length - 1);
    this.$("marks").replaceChildren(...trace.moments.map((moment) => {
      const mark = element("span", moment.k, momentSigns[moment.k]);
      mark.style.left = `${(100 * this.rows.row(moment.s)) / most}%`;
      mark.title = moment.x;
      return mark;
    }));
  }

  select(step, part) {
    const trace = this.trace();
    step = Math.max(0, Math.min(trace.count - 1, step));
    const row = this.rows.row(step);
    this.step = this.diagram.selected = step;
    const range = this.$("range");
    range.value = row;
    range.setAttribute("aria-valuetext", `event ${row + 1} of ${this.rows.steps.length}, ${clock(trace.time[step])}`);
    this.$("place").textContent = `${row + 1} / ${this.rows.steps.length}`;
    this.panel.select(step, row, this.rows.steps.length, this.filter);
    this.diagram.tellHeads();
    this.diagram.reveal(step, part);
    this.write();
  }

  // move goes forward by some rows, or back.
  move(rows) {
    const at = Math.max(0, Math.min(this.rows.steps.length - 1, this.rows.row(this.step) + rows));
    this.select(this.rows.steps[at] ?? 0);
  }

  // jump goes to the next of some steps, or back to the one before.
  jump(steps, forward) {
    const next = forward ? steps.find((s) => s > this.step) : steps.findLast((s) => s < this.step);
    if (next !== undefined) this.select(next, 0.5);
  }

  search(text) {
    this.query = text;
    const words = text.trim().toLowerCase(), found = this.diagram.found;
    found.clear();
    if (words) for (const step of this.rows.steps) if (this.trace().words(step).includes(words)) found.add(step);
    this.$("matches").textContent = words ? `${found.size} found` : "";
    this.diagram.want();
  }

  fillFilters() {
    const trace = this.trace(), $ = this.$;
    const check = (text, on, change) => {
      const label = element("label"), input = element("input");
      input.type = "checkbox";
      input.checked = on;
      input.addEventListener("change", () => { change(input.checked); this.refilter(); this.select(this.step); });
      label.append(input, " ", text);
      return label;
    };
    const toggle = (set, value) => (on) => (on ? set.delete(value) : set.add(value));
    $("hosts").replaceChildren(...trace.hosts.map((host, i) => check(`${host.name} (${host.role})`, !this.filter.hidden.has(i), toggle(this.filter.hidden, i))));
    const kinds = [...trace.kinds].sort();
    $("kinds").replaceChildren(...kinds.map(([kind, n]) => check(`${kind} (${n})`, !this.filter.kinds.has(kind), toggle(this.filter.kinds, kind))));
    const group = $("group");
    group.replaceChildren(...[0, ...[...trace.groups].sort((a, b) => a - b)].map((g) => {
      const option = element("option", "", g ? `group ${g}` : "all groups");
      option.value = g;
      return option;
    }));
    group.value = this.filter.group;
    $("beats").checked = this.filter.beats;
  }

  listen() {
    const $ = this.$, scroller = $("scroller");
    scroller.addEventListener("scroll", () => { this.diagram.slideHeads(); this.diagram.want(); }, { passive: true });
    new ResizeObserver(() => { if (this.diagram.trace) this.diagram.layout(); }).observe(scroller);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.diagram.resize(); this.diagram.draw(); });
    $("range").addEventListener("input", (e) => this.select(this.rows.steps[+e.target.value] ?? 0));
    $("back").addEventListener("click", () => this.move(-1));
    $("on").addEventListener("click", () => this.move(1));
    $("closer").addEventListener("click", () => this.zoom(1.25));
    $("farther").addEventListener("click", () => this.zoom(0.8));
    $("group").addEventListener("change", (e) => { this.filter.group = +e.target.value; this.refilter(); this.select(this.step); });
    $("beats").addEventListener("change", (e) => { this.filter.beats = e.target.checked; this.refilter(); this.select(this.step); });
    $("all").addEventListener("click", () => { this.filter = new Filter(); this.fillFilters(); this.refilter(); this.select(this.step); });
    $("search").addEventListener("input", (e) => { this.search(e.target.value); this.write(); });
    $("search").addEventListener("keydown", (e) => {
      if (e.key === "Enter") this.jump([...this.diagram.found], !e.shiftKey);
      if (e.key === "Escape") scroller.focus();
    });
    window.addEventListener("hashchange", () => { if (location.hash !== this.written) this.read(); });
    window.addEventListener("keydown", (e) => this.key(e));
    this.listenPointer(scroller);
  }

  // listenPointer: a click selects, a drag moves the view, the wheel with Ctrl zooms.
  listenPointer(scroller) {
    let from = null;
    scroller.addEventListener("wheel", (e) => {
      if (!e.ctrlKey) return;
      e.preventDefault();
      this.zoom(e.deltaY < 0 ? 1.15 : 0.87, e.clientY - scroller.getBoundingClientRect().top);
    }, { passive: false });
    scroller.addEventListener("pointerdown", (e) => {
      if (e.button !== 0 || e.target === scroller) return;
      from = { x: e.clientX, y: e.clientY, left: scroller.scrollLeft, top: scroller.scrollTop, moved: false };
    });
    scroller.addEventListener("pointermove", (e) => {
      if (!from || e.pointerType === "touch") return;
      const dx = e.clientX - from.x, dy = e.clientY - from.y;
      if (!from.moved && Math.hypot(dx, dy) < 5) return;
      if (!from.moved) scroller.setPointerCapture(e.pointerId);
      from.moved = true;
      scroller.scrollLeft = from.left - dx;
      scroller.scrollTop = from.top - dy;
    });
    scroller.addEventListener("pointerup", (e) => {
      if (from && !from.moved && Math.hypot(e.clientX - from.x, e.clientY - from.y) < 5) {
        this.select(this.diagram.stepAt(e.clientY - scroller.getBoundingClientRect().top));
      }
      from = null;
    });
    scroller.addEventListener("pointercancel", () => (from = null));
  }

  zoom(factor, y) {
    this.diagram.setZoom(this.diagram.zoom * factor, y);
    this.write();
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const typing = e.target.matches("input[type=search], select, textarea"), ranging = e.target.id === "range";
    if (typing) return;
    const moments = this.trace().moments.map((m) => m.s);
    const page = Math.max(1, Math.floor(this.diagram.scroller.clientHeight / this.diagram.zoom) - 2);
    const keys = {
      ArrowDown: () => this.move(1), ArrowRight: () => this.move(1), j: () => this.move(1),
      ArrowUp: () => this.move(-1), ArrowLeft: () => this.move(-1), k: () => this.move(-1),
      PageDown: () => this.move(page), PageUp: () => this.move(-page),
      Home: () => this.move(-Infinity), End: () => this.move(Infinity),
      n: () => this.jump(moments, true), p: () => this.jump(moments, false),
      b: () => this.first(),
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8),
      h: () => this.$("beats").click(),
      f: () => { const box = this.$("filters"); box.open = !box.open; if (box.open) box.querySelector("input").focus(); },
      "/": () => this.$("search").focus(),
      "?": () => { const box = this.$("help"); box.open = !box.open; },
    };
    const action = keys[e.key];
    // Checkboxes, buttons and the slider handle keys themselves.
    if (!action || ranging && e.key.length > 1 || e.target.matches("input[type=radio]") && e.key.length > 1) return;
    e.preventDefault();
    action();
  }

  // write puts the view into the fragment.
  write() {
    const f = this.filter, part = new URLSearchParams();
    if (this.runIndex) part.set("run", this.runIndex);
    part.set("step", this.step);
    if (this.diagram.zoom !== 22) part.set("zoom", +this.diagram.zoom.toFixed(1));
    if (f.hidden.size) part.set("hide", [...f.hidden].map((i) => this.trace().hosts[i].name).join(" "));
    if (f.kinds.size) part.set("without", [...f.kinds].join(" "));
    if (f.group) part.set("group", f.group);
    if (f.beats) part.set("beats", 1);
    if (this.query) part.set("find", this.query);
    this.written = `#${part}`;
    clearTimeout(this.writing);
    // A browser allows only so many changes of the address in a second.
    this.writing = setTimeout(() => history.replaceState(null, "", this.written), 150);
    this.$("link").href = this.written;
  }

  // read takes the view from the fragment.
  read() {
    const part = new URLSearchParams(location.hash.slice(1));
    const number = (name, least, most, otherwise) => {
      const x = Number(part.get(name) ?? NaN);
      return Number.isFinite(x) ? Math.max(least, Math.min(most, x)) : otherwise;
    };
    const words = (name) => (part.get(name) || "").split(" ").filter(Boolean);
    this.runIndex = Math.floor(number("run", 0, this.page.runs.length - 1, 0));
    const f = (this.filter = new Filter()), trace = this.trace();
    words("hide").forEach((name) => {
      const i = trace.hosts.findIndex((host) => host.name === name);
      if (i >= 0) f.hidden.add(i);
    });
    words("without").forEach((kind) => f.kinds.add(kind));
    f.group = number("group", 0, 1e9, 0);
    f.beats = part.has("beats");
    this.query = part.get("find") || "";
    this.$("search").value = this.query;
    this.diagram.zoom = number("zoom", 2, 44, 22);
    this.showRun(this.runIndex);
    if (part.has("step")) this.select(Math.floor(number("step", 0, trace.count - 1, 0)), 0.5);
    else this.first();
  }
}

const page = JSON.parse(document.getElementById("data").textContent);
window.app = new App(page);
performance.mark("drawn");
