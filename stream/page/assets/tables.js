// The tables that are sent whole: stuck tasks, failures, queues, workers, periodic tasks.

import { ago, byId, h, rows, say } from "./dom.js";
import { NONE, age, count, duration, percent, shortened, skew } from "./format.js";
import { curveOf } from "./sparkline.js";
import { stateOf } from "./states.js";

const TREND = 60;

export function showStuck({ stuck, total }) {
  const body = byId("stuck-rows");
  rows(body, stuck, (task) => `${task.broker}/${task.uuid}`, (task) => [
    { content: () => [taskLink(task), sub(task.queue, task.worker)], of: [task.name, task.queue, task.worker] },
    { content: () => [stateOf(task.certain ? "stuck" : "unsure"), sub(task.why)], of: [task.certain, task.why] },
    { content: () => since(task.since), of: task.since, class: "num" },
  ]);
  fillIn("stuck", stuck, total, "bad");
}

export function showFailures({ failures, total }) {
  const key = (group) => [group.broker, group.name, group.state, group.why].join("/");
  rows(byId("failures-rows"), failures, key, (group) => [
    {
      content: () => [
        h("span", { class: "name line" }, group.why ?? "no reason is known"),
        h("span", { class: "error" }, group.error ?? ""),
      ],
      of: [group.why, group.error],
    },
    { content: () => [taskLink(group), stateOf(group.state)], of: [group.name, group.uuid] },
    { content: count(group.count), class: "num" },
    { content: () => since(group.last_at), of: group.last_at, class: "num" },
  ]);
  fillIn("failures", failures, total, "");
}

export function showQueues({ queues }) {
  rows(byId("queues-rows"), queues, (queue) => `${queue.broker}/${queue.name}`, (queue) => [
    {
      content: () => [
        h("span", { class: "name line" }, queue.name),
        queue.stalled ? stateOf("stalled") : null,
        sub(`${count(queue.received)} fetched`, `${count(queue.running)} running`),
      ],
      of: [queue.stalled, queue.received, queue.running],
    },
    { content: count(queue.depth), class: "num" },
    { content: () => curveOf(queue.trend, TREND, queue.stalled ? "bad" : "wait"), of: queue.trend, class: "trend" },
    { content: () => (queue.oldest_since == null ? NONE : since(queue.oldest_since)), of: queue.oldest_since, class: "num" },
    { content: queue.depth ? duration(queue.drain_time) : NONE, class: "num" },
    {
      content: () => [
        count(queue.unacknowledged),
        queue.overdue ? sub(`${count(queue.overdue)} overdue`) : null,
      ],
      of: [queue.unacknowledged, queue.overdue],
      class: queue.overdue ? "num flag" : "num",
    },
  ]);
  fillIn("queues", queues);
}

export function showWorkers({ workers }) {
  const key = (worker) => `${worker.broker}/${worker.hostname}/${worker.pid}`;
  rows(byId("workers-rows"), workers, key, (worker) => [
    {
      content: () => [
        h("span", { class: "name line" }, worker.hostname),
        sub(`pid ${worker.pid}`, worker.version && `Celery ${worker.version}`),
      ],
      of: worker.version,
    },
    { content: () => stateOf(worker.state), of: worker.state },
    { content: () => [count(worker.active), sub(worker.processed == null ? "" : `of ${count(worker.processed)}`)], of: [worker.active, worker.processed], class: "num" },
    { content: () => curveOf(worker.trend, TREND, "busy"), of: worker.trend, class: "trend" },
    { content: () => [percent(worker.utilisation), sub(mostOf(worker))], of: [worker.utilisation, worker.pool, worker.peak], class: "num" },
    { content: percent(worker.coverage), class: worker.coverage != null && worker.coverage < 0.99 ? "num flag" : "num" },
    { content: skew(worker.skew), class: Math.abs(worker.skew ?? 0) > 5 ? "num flag" : "num" },
  ]);
  fillIn("workers", workers);
}

export function showPeriodic({ periodic, late }) {
  const key = (task) => [task.broker, task.name, task.queue].join("/");
  rows(byId("periodic-rows"), periodic, key, (task) => {
    const isLate = task.overdue_since != null;
    return [
      {
        content: () => [
          h("span", { class: "name line" }, task.name ?? NONE),
          isLate ? stateOf("late") : null,
          task.queue && h("span", { class: "sub tight" }, task.queue),
        ],
        of: [task.name, isLate],
      },
      { content: task.queue ?? NONE, class: "roomy" },
      { content: () => [duration(task.every), sub(task.declared ? "declared" : "learned")], of: [task.every, task.declared], class: "num" },
      { content: () => (task.last_at == null ? "never" : since(task.last_at)), of: task.last_at, class: "num" },
      { content: () => (isLate ? since(task.overdue_since) : NONE), of: task.overdue_since, class: isLate ? "num flag" : "num" },
    ];
  });
  byId("periodic").hidden = byId("periodic-link").hidden = !periodic.length;
  showCount("periodic", late, "bad");
}

/** What a worker's utilisation is a share of. */
function mostOf({ pool, peak }) {
  if (pool) return `of pool ${count(pool)}`;
  return peak ? `of peak ${count(peak)}` : "";
}

/** A task's name, which opens its story. */
export function taskLink(task) {
  const name = task.name ?? shortened(task.uuid);
  return h("a", { class: "name line", href: `#task/${encodeURIComponent(task.uuid)}` }, name);
}

export function sub(...parts) {
  const said = parts.filter(Boolean).join(" · ");
  return said ? h("span", { class: "sub" }, said) : null;
}

const since = (instant) => ago(instant, age);

function fillIn(name, found, total, level) {
  byId(`${name}-empty`).hidden = found.length > 0;
  byId(`${name}-empty`).parentElement.querySelector("table").hidden = !found.length;
  if (byId(`${name}-count`)) showCount(name, total, level);
}

function showCount(name, total, level) {
  const badge = byId(`${name}-count`);
  say(badge, total ? count(total) : "");
  badge.dataset.level = level;
}
