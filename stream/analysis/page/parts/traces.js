// Traces: a list to choose from, and the waterfall of the chosen one.

const MOST_PICKS = 100;
const GROUPS = [["slow", "Slowest"], ["failed", "Failed"], ["open", "Stuck, lost, unknown"], ["all", "All"]];

class Traces {
  // A member: depth, uuid, task, queue, state, sent, deliveries.
  // A delivery: retries, state, worker, sent, received, started, ended, detail.
  constructor(traces, place) {
    this.traces = traces;
    this.byTask = new Map();
    traces.forEach((trace) => trace.members.forEach(([, uuid]) => this.byTask.set(uuid, trace)));
    this.group = GROUPS.find(([kind]) => this.of(kind).length)?.[0];
    if (!this.group) {
      place.append(element("div", { className: "panel none" }, "No trace is kept."));
      return;
    }
    this.picks = element("ul", { className: "panel picks", "aria-label": "Traces" });
    this.shown = element("div", { className: "panel", role: "region", "aria-label": "The chosen trace" });
    place.append(this.choice(), element("div", { className: "traces" }, this.picks, this.shown));
    this.list();
    this.show(this.found()[0]);
  }

  of(kind) {
    return kind === "all" ? this.traces : this.traces.filter((trace) => trace.kinds.includes(kind));
  }

  found() {
    const wanted = this.search?.value.trim().toLowerCase() ?? "";
    if (!wanted) return this.of(this.group);
    return this.traces.filter((trace) => [trace.root_id, trace.trace_id,
      ...trace.members.flatMap(([, uuid, task]) => [uuid, task])].some((text) => text.toLowerCase().includes(wanted)));
  }

  choice() {
    this.buttons = GROUPS.filter(([kind]) => this.of(kind).length).map(([kind, title]) => {
      const button = element("button", { type: "button", "data-group": kind }, `${title} (${this.of(kind).length})`);
      button.addEventListener("click", () => {
        this.group = kind;
        this.search.value = "";
        this.list();
      });
      return button;
    });
    this.search = element("input", { type: "search", placeholder: "Search by id or task name" });
    this.search.setAttribute("aria-label", "Search the kept traces");
    this.search.addEventListener("input", () => this.list());
    return element("div", { className: "choice" }, ...this.buttons, this.search);
  }

  list() {
    const found = this.found();
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(!this.search.value && button.dataset.group === this.group));
    }
    const items = found.slice(0, MOST_PICKS).map((trace) => {
      const when = `${timeOfDay(trace.began_at)} · ${duration(trace.seconds)} · ${plural(trace.members.length, "task")}`;
      const pick = element("button", { type: "button", "data-trace": trace.root_id },
        element("span", { className: "name" }, titleOf(trace)), element("span", { className: "soft" }, when));
      pick.addEventListener("click", () => this.show(trace));
      return element("li", {}, pick);
    });
    if (!found.length) items.push(element("li", { className: "none" }, "No kept trace is like that."));
    if (found.length > MOST_PICKS) {
      items.push(element("li", { className: "none" }, `${count(found.length - MOST_PICKS)} more: search for them.`));
    }
    this.picks.replaceChildren(...items);
    this.mark();
  }

  mark() {
    for (const pick of this.picks.querySelectorAll("button")) {
      pick.setAttribute("aria-pressed", String(pick.dataset.trace === this.current?.root_id));
    }
  }

  /** Open the trace of a task from elsewhere on the page. */
  open(uuid) {
    const trace = this.byTask.get(uuid);
    if (trace) this.show(trace, uuid);
    else this.tellHow(uuid);
    byId("traces").scrollIntoView();
  }

  tellHow(uuid) {
    this.current = null;
    this.mark();
    this.shown?.replaceChildren(element("p", {}, "This trace is not kept on the page. Its whole story:"),
      element("code", {}, `celery-stream trace ${uuid} FILE`));
  }

  show(trace, uuid = null) {
    this.current = trace;
    this.mark();
    // What nobody told the end of goes on beyond the last that is known.
    const seconds = Math.max(trace.seconds * (trace.members.some(isOpen) ? 1.2 : 1), 1e-6);
    const critical = new Set(trace.critical);
    const rows = trace.members.map((member) => waterfallRow(member, seconds, {
      isCritical: critical.has(member[1]), isOpen: member[1] === uuid || trace.members.length === 1 }));
    this.shown.replaceChildren(waterfallHead(trace), waterfallLegend(critical.size),
      element("div", { className: "rows" }, waterfallScale(seconds), ...rows));
  }
}

const isOpen = ([, , , , , , deliveries]) => !deliveries.length || deliveries.some((each) => each[6] === null);
const titleOf = (trace) => trace.members[0]?.[2] ?? NONE;

function waterfallHead(trace) {
  const facts = [`${instant(trace.began_at)} UTC`, `took ${duration(trace.seconds)}`, plural(trace.members.length, "task")];
  if (trace.left_out) facts.push(`${plural(trace.left_out, "event")} more not kept`);
  return element("div", { className: "head" }, element("h3", {}, titleOf(trace)),
    element("span", { className: "soft" }, facts.join(" · ")),
    element("span", { className: "id" }, `trace ${trace.trace_id}`));
}

function waterfallLegend(hasCritical) {
  const item = (name, colour) => element("li", {}, element("i", { colour: `var(--${colour})` }), name);
  const items = [item("in the queue", "wait"), item("held by a worker", "held"), item("ran", "ok"),
    item("asked for a retry", "retry"), item("failed or lost", "bad")];
  if (hasCritical) items.push(element("li", {}, "● on the critical path"));
  return element("ul", { className: "legend" }, ...items);
}

function waterfallScale(seconds) {
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => element("span", {}, part ? duration(part * seconds) : "0"));
  return element("div", { className: "scale" }, element("span"), element("div", { className: "ticks" }, ...ticks));
}

function waterfallRow([depth, uuid, task, queue, state, sent, deliveries], seconds, { isCritical, isOpen }) {
  const track = element("div", { className: "track" });
  for (const each of deliveries) track.append(...bars(each, seconds));
  if (!deliveries.length && sent !== null) track.append(bar("open", sent, seconds, seconds, "sent, and not heard of again"));
  const name = element("div", { className: "task", title: task }, task);
  name.style.paddingLeft = `${depth * 0.8}rem`;
  const label = element("div", {}, name);
  if (state !== "SUCCESS") {
    const told = element("div", { className: "state" }, state);
    told.style.paddingLeft = name.style.paddingLeft;
    label.append(told);
  }
  const story = element("div", { className: "story" }, element("p", { className: "id soft" }, uuid));
  if (queue) story.append(element("p", {}, `Queue ${queue}`));
  story.append(...deliveries.map(told));
  return element("details", { className: isCritical ? "critical" : "", open: isOpen },
    element("summary", {}, label, track), story);
}

function bars([retries, state, , sent, received, started, ended], seconds) {
  const found = [];
  const taken = received ?? started ?? ended;
  if (sent !== null && taken !== null) found.push(bar("queued", sent, taken, seconds, "in the queue"));
  const begun = started ?? ended;
  if (received !== null && begun !== null) found.push(bar("held", received, begun, seconds, "held by a worker"));
  if (started !== null) {
    const ran = bar(ended === null ? "open" : "ran", started, ended ?? seconds, seconds, state);
    ran.style.setProperty("--colour", `var(--${stateColour(state)})`);
    found.push(ran);
  } else if (ended === null) {
    const last = received ?? sent;
    if (last !== null) found.push(bar("open", last, seconds, seconds, state));
  }
  return found;
}

function bar(name, from, to, seconds, title) {
  const made = element("span", { className: name, title: `${title}, ${duration(Math.max(0, to - from))}` });
  made.style.left = `${Math.min(100, (Math.max(0, from) / seconds) * 100)}%`;
  made.style.width = `${Math.max(0, ((to - from) / seconds) * 100)}%`;
  return made;
}

function told([retries, state, worker, sent, received, started, ended, detail]) {
  const steps = [[sent, "sent"], [received, "received"], [started, "started"], [ended, "ended"]]
    .filter(([at]) => at !== null).map(([at, what]) => `${what} +${duration(at)}`);
  const attempt = retries ? `Retry ${retries}: ` : "";
  const where = worker ? ` at ${worker}` : "";
  const line = element("p", {}, `${attempt}${state}${where}; ${steps.join(", ")}`);
  if (detail) line.append(element("br"), element("span", { className: state === "SUCCESS" ? "" : "bad" }, detail));
  return line;
}
