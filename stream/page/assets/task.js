// One task's whole story, in a sheet at the side. Its address is #task/UUID.

import { ago, byId, h, now, svg } from "./dom.js";
import { ask } from "./feed.js";
import { NONE, age, clock, date, duration } from "./format.js";
import { stateOf } from "./states.js";

const PREFIX = "#task/";
const WIDTH = 600;
const BAR = 16;

/** Open and close the sheet as the address says; returns what renews it while it is open. */
export function sheet() {
  const dialog = byId("task");
  let shown = "";
  let drawn = "";
  let final = false;

  async function renew() {
    const uuid = shown;
    if (!uuid || final) return;
    try {
      const task = await ask(`/api/tasks/${encodeURIComponent(uuid)}`);
      if (uuid !== shown) return;
      const { at, ...rest } = task;
      const content = JSON.stringify(rest);
      if (content !== drawn || !task.ended) draw(task);
      drawn = content;
    } catch (problem) {
      if (uuid === shown && !drawn) draw(null, uuid, problem.message);
    }
  }

  function draw(task, uuid, problem) {
    const place = byId("task-sheet");
    const focused = place.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
    const open = new Set([...place.querySelectorAll("pre")].filter((pre) => pre.scrollTop).map((pre) => pre.dataset.keep));
    if (open.size) return; // somebody reads a traceback
    place.replaceChildren(...(task ? story(task) : unknown(uuid, problem)));
    if (focused) place.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  }

  function follow() {
    const uuid = location.hash.startsWith(PREFIX) ? decodeURIComponent(location.hash.slice(PREFIX.length)) : "";
    if (uuid === shown) return;
    shown = uuid;
    drawn = "";
    if (!uuid) return dialog.close();
    byId("task-sheet").replaceChildren(head(h("h2", { id: "task-title" }, "…")));
    if (!dialog.open) dialog.showModal();
    renew();
  }

  dialog.addEventListener("close", () => {
    if (shown) history.pushState(null, "", location.pathname + location.search);
    shown = "";
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);
  follow();
  return renew;
}

const close = () => byId("task").close();

function head(...children) {
  return h("header", {}, h("div", {}, ...children), h("button", { type: "button", onclick: close, "data-keep": "close" }, "Close"));
}

function unknown(uuid, problem) {
  return [head(h("h2", { id: "task-title" }, uuid)), h("p", {}, problem)];
}

function story(task) {
  return [
    head(h("h2", { id: "task-title" }, task.name ?? "A task without a name"), stateOf(task.state), " ", verdict(task)),
    facts(task),
    h("section", { "aria-labelledby": "timeline-title" }, h("h3", { id: "timeline-title" }, "Timeline"), ...timeline(task)),
    ...[...task.deliveries].reverse().map((delivery) => deliveryOf(delivery, task)),
  ];
}

function verdict(task) {
  if (task.stuck) return stateOf("stuck");
  return task.unsure ? stateOf("unsure") : null;
}

function facts(task) {
  const list = h("dl", { class: "facts" });
  const add = (name, ...value) => list.append(h("dt", {}, name), h("dd", {}, ...value));
  add("uuid", h("code", {}, task.uuid));
  add("Queue", task.queue ?? NONE);
  if (task.root_id && task.root_id !== task.uuid) add("Root", link(task.root_id));
  if (task.parent_id) add("Parent", link(task.parent_id));
  add("Trace", h("code", {}, task.trace_id), ` (${SOURCES[task.trace_source]})`);
  if (task.trace_url) add("", outside(task.trace_url, "Open the trace"));
  add(task.ended ? "Ended" : "Since", `${date(task.since)}, `, ago(task.since, (seconds) => `${age(seconds)} ago`));
  if (task.total != null) add("In all", duration(task.total));
  return list;
}

const SOURCES = {
  event: "of its own message",
  peek: "of its message in the queue",
  parent: "of its parent",
  root: "of its root",
  derived: "made of its root's uuid",
};

const link = (uuid) => h("a", { href: PREFIX + encodeURIComponent(uuid), class: "mono", "data-keep": uuid }, uuid);
const outside = (url, text) => h("a", { href: url, class: "button", rel: "noreferrer noopener", target: "_blank", "data-keep": "trace" }, text);

// -- the timeline -------------------------------------------------------------------------------

function timeline(task) {
  const spans = task.deliveries.map((delivery) => segments(delivery, task));
  const instants = spans.flat().flatMap(([, from, to]) => [from, to]);
  if (!instants.length) return [h("p", { class: "soft" }, "Nothing of it has an instant yet.")];
  const begin = Math.min(...instants);
  const length = Math.max(Math.max(...instants) - begin, 1e-3);
  const x = (instant) => ((instant - begin) / length) * WIDTH;
  const bars = spans.flatMap((of, index) => {
    const y = index * (BAR + 6);
    const track = svg("rect", { class: "track", x: 0, y, width: WIDTH, height: BAR });
    const drawn = of.map(([kind, from, to]) => svg("rect", { class: kind, x: x(from), y, width: Math.max(x(to) - x(from), 2), height: BAR }));
    return [track, ...drawn];
  });
  const height = spans.length * (BAR + 6) - 6;
  const attributes = {
    class: "timeline",
    viewBox: `0 0 ${WIDTH} ${height}`,
    preserveAspectRatio: "none",
    height,
    role: "img",
    "aria-label": `${task.deliveries.length} ${task.deliveries.length === 1 ? "delivery" : "deliveries"} in ${duration(length)}`,
  };
  return [svg("svg", attributes, ...bars), legend(new Set(spans.flat().map(([kind]) => kind)))];
}

/** What a delivery did, as [what, from, to]. */
function segments(delivery, task) {
  const { sent_at: sent, received_at: received, started_at: started } = delivery;
  const open = ["SENT", "RECEIVED", "STARTED"].includes(delivery.state) && !task.ended;
  const ended = delivery.ended_at ?? (open ? now() : null);
  const found = [];
  const add = (kind, from, to) => from != null && to != null && found.push([kind, from, Math.max(from, to)]);
  add("waiting", sent, received ?? started ?? ended);
  const left = started ?? ended; // its place at the worker
  if (delivery.eta != null && received != null && delivery.eta > received) {
    add("due", received, left == null ? null : Math.min(delivery.eta, left));
    add("fetched", Math.min(delivery.eta, left ?? delivery.eta), left);
  } else add("fetched", received, left);
  add(runningAs(delivery.state), started, ended);
  return found;
}

function runningAs(state) {
  if (state === "SUCCESS") return "succeeded";
  return state === "STARTED" ? "running" : "failed";
}

const KINDS = {
  waiting: ["wait", "in the queue"],
  due: ["idle", "at the worker, before its ETA"],
  fetched: ["warn", "at the worker"],
  running: ["busy", "running"],
  succeeded: ["good", "ran, and succeeded"],
  failed: ["bad", "ran, and did not succeed"],
};

function legend(kinds) {
  const shown = Object.entries(KINDS).filter(([kind]) => kinds.has(kind));
  return h("p", { class: "legend" }, ...shown.map(([, [level, text]]) => h("span", { "data-level": level }, text)));
}

// -- its deliveries -----------------------------------------------------------------------------

function deliveryOf(delivery, task) {
  const n = delivery.ordinal ? `${delivery.retries + 1}, delivery ${delivery.ordinal + 1}` : delivery.retries + 1;
  const list = h("dl", { class: "facts" });
  const add = (name, value) => value != null && value !== "" && list.append(h("dt", {}, name), h("dd", {}, value));
  const at = (instant, more) => `${clock(instant)}${more ? `, ${more}` : ""}`;
  add("Worker", delivery.worker && `${delivery.worker}${delivery.pid ? `, pid ${delivery.pid}` : ""}`);
  if (delivery.sent_at != null) add("Sent", at(delivery.sent_at));
  if (delivery.eta != null) add("ETA", at(delivery.eta));
  if (delivery.received_at != null) add("Received", at(delivery.received_at, delivery.redelivered && "once more"));
  if (delivery.started_at != null) add("Started", at(delivery.started_at, delivery.wait != null && `after ${duration(delivery.wait)} of waiting`));
  if (delivery.ended_at != null) add("Ended", at(delivery.ended_at, [delivery.run != null && `ran ${duration(delivery.run)}`, delivery.inferred && "no event said so"].filter(Boolean).join(", ")));
  add("Reason", delivery.reason);
  if (delivery.args != null) add("args", h("code", {}, delivery.args));
  if (delivery.kwargs != null) add("kwargs", h("code", {}, delivery.kwargs));
  if (delivery.result != null) add("Result", h("code", {}, delivery.result));
  if (delivery.error_type) add("Exception", h("span", { class: "error" }, [delivery.error_type, delivery.error].filter(Boolean).join(": ")));
  return h(
    "section",
    { class: "delivery", "aria-label": `Attempt ${n}` },
    h("header", {}, h("h3", {}, `Attempt ${n}`), stateOf(delivery.state)),
    list,
    delivery.traceback && h("pre", { tabindex: "0", "aria-label": "Traceback", role: "region", "data-keep": delivery.span_id }, delivery.traceback),
  );
}
