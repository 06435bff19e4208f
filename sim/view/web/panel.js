// element makes an element with text, never markup.
function element(tag, name, text) {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text !== undefined) e.textContent = text;
  return e;
}

const momentSigns = { fault: "⚡", config: "⟳", op: "▸", bad: "✕", good: "✓" };

// Panel shows in words what the diagram draws.
class Panel {
  constructor(page, go) {
    this.page = page;
    this.go = go; // goes to a step
    this.story = document.getElementById("moments");
    this.step = document.getElementById("step");
    this.changed = document.getElementById("changed");
    this.states = document.getElementById("states");
    this.live = document.getElementById("live");
  }

  show(trace) {
    this.trace = trace;
    this.story.replaceChildren(...trace.moments.map((moment) => {
      const item = element("li", moment.k), button = element("button");
      button.type = "button";
      const sign = element("span", "sign", momentSigns[moment.k]);
      sign.setAttribute("aria-hidden", "true");
      button.append(sign, element("time", "", clock(trace.time[moment.s])), element("span", "words", moment.x));
      button.addEventListener("click", () => this.go(moment.s));
      item.append(button);
      return item;
    }));
  }

  // select shows a step: what it is, what it changed, and every host's state.
  select(step, row, rows, filter) {
    const trace = this.trace;
    const what = trace.what(step), said = trace.strings[trace.said[step]];
    const heading = element("p", "what", what);
    const where = element("p", "where", `Event ${row + 1} of ${rows}, at ${clock(trace.time[step])}`);
    const parts = [where, heading];
    const faults = trace.faults(step);
    if (faults.length) parts.push(element("p", "faults", `⚡ Under way: ${faults.join("; ")}`));
    if (said) parts.push(element("p", "said", said));
    const sends = (trace.sends.get(step) || []).map((m) => this.sendItem(m));
    if (sends.length) {
      const list = element("ul", "sends");
      list.append(...sends);
      parts.push(element("h3", "", "Sends"), list);
    }
    this.step.replaceChildren(...parts);
    const changes = (trace.changes.get(step) || []).filter((change) => change.name[0] !== "_");
    this.changed.replaceChildren(...this.changeItems(changes));
    this.showStates(step, changes, filter);
    const spoken = changes.slice(0, 4).map((c) => `${trace.name(c.host)} ${c.name}: ${c.value || "none"}`).join("; ");
    this.live.textContent = `${where.textContent}: ${what}.${said ? ` ${said}.` : ""}${spoken ? ` Changed: ${spoken}.` : ""}`;
    this.story.querySelectorAll("li").forEach((item, i) => {
      const next = trace.moments[i + 1];
      const now = trace.moments[i].s <= step && (!next || next.s > step);
      item.classList.toggle("now", now);
      if (now) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
  }

  // sendItem shows a message that a step sent, with a link to where it arrived.
  sendItem(m) {
    const trace = this.trace, x = trace.messages, item = element("li");
    const takes = trace.takes[m], end = takes ? takes[0] : trace.lost[m];
    const fate = trace.lost[m] >= 0 ? " ✕ lost" : !takes ? " … never arrives" : takes.length > 1 ? ` (arrives ${takes.length} times)` : x.late[m] ? " (late)" : "";
    const text = `${trace.strings[x.text[m]]} → ${trace.name(x.to[m])}${fate}`;
    if (end < 0) {
      item.textContent = text;
      return item;
    }
    const button = element("button", "link", text);
    button.type = "button";
    button.addEventListener("click", () => this.go(end));
    item.append(button);
    return item;
  }

  changeItems(changes) {
    if (!changes.length) return [element("li", "none", "nothing")];
    return changes.map((c) => {
      const item = element("li");
      item.append(element("b", "", `${this.trace.name(c.host)} ${c.name}`), " ");
      if (c.old) item.append(element("del", "", c.old), " → ");
      item.append(element("ins", "", c.value || "none"));
      return item;
    });
  }

  showStates(step, changes, filter) {
    const trace = this.trace, fresh = new Map(changes.map((c) => [`${c.host} ${c.name}`, c]));
    const cards = [];
    trace.hosts.forEach((host, i) => {
      if (filter.hidden.has(i)) return;
      const card = element("section", `card ${host.role}`), lane = trace.lane(i, step);
      const title = element("h3", "", host.name);
      title.append(" ", element("small", "", lane && lane.epoch ? `${lane.role}, epoch ${lane.epoch}` : lane ? lane.role : host.role));
      if (lane && lane.epoch) card.style.setProperty("--epoch", `var(--epoch${(lane.epoch - 1) % 6})`);
      card.append(title);
      const list = element("dl");
      let group = "";
      for (const { name, value } of trace.state(i, step)) {
        const cut = name.indexOf("/");
        const prefix = cut < 0 ? "" : name.slice(0, cut), change = fresh.get(`${i} ${name}`);
        if (prefix !== group) {
          list.append(element("dt", "group", prefix), element("dd", "group", ""));
          group = prefix;
        }
        const dt = element("dt", change ? "fresh" : "", name.slice(cut + 1)), dd = element("dd", change ? "fresh" : "", value);
        list.append(dt, dd);
      }
      if (changes.some((c) => c.host === i)) card.classList.add("fresh");
      card.append(list);
      cards.push(card);
    });
    // What the step changed comes first.
    cards.sort((a, b) => b.classList.contains("fresh") - a.classList.contains("fresh"));
    this.states.replaceChildren(...cards);
  }
}
