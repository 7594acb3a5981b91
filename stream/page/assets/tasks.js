// The list of tasks: what is searched for, and keeping it up to date.

import { ago, byId, h, now, rows, say } from "./dom.js";
import { ask } from "./feed.js";
import { age, count, duration, shortened } from "./format.js";
import { stateOf } from "./states.js";
import { taskLink } from "./tables.js";

const RENEW_MS = 2000;
const WORDS = ["state", "name", "queue", "worker", "uuid", "broker"];
const PAGE = 50;
const MOST = 500;

/** Set the search up; returns what renews the list, called as often as anything changes. */
export function tasks(onError) {
  const form = byId("search");
  let asked = null;
  let due = 0;
  let limit = PAGE;

  async function renew(force = false) {
    if (!force && (asked || Date.now() < due)) return;
    asked?.abort();
    const request = (asked = new AbortController());
    due = Date.now() + RENEW_MS;
    try {
      show(limit, await ask(`/api/tasks?${parameters(form, limit)}`, request.signal));
    } catch (problem) {
      if (problem.name === "AbortError") return;
      if (problem.status === 400) say(byId("found"), problem.message);
      else onError(problem);
    } finally {
      if (asked === request) asked = null;
    }
  }

  restore(form);
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => {
    limit = Math.min(limit * 2, MOST);
    renew(true);
  });
  form.addEventListener("input", () => {
    limit = PAGE;
    remember(form);
    renew(true);
  });
  return renew;
}

/** What the form asks for; `state:failure queue:mail*` in the text are filters of their own. */
function parameters(form, limit) {
  const asked = new URLSearchParams({ limit });
  const rest = [];
  for (const word of form.elements.q.value.split(/\s+/)) {
    const [, name, value] = /^(\w+):(.+)$/.exec(word) ?? [];
    if (WORDS.includes(name)) asked.set(name, value);
    else if (word) rest.push(word);
  }
  if (rest.length) asked.set("q", rest.join(" "));
  for (const name of ["where", "state", "broker"]) {
    const value = form.elements[name].value;
    if (value && !asked.has(name)) asked.set(name, value);
  }
  return asked;
}

function restore(form) {
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (name === "broker") byId("broker").append(new Option(value, value));
    if (form.elements[name]) form.elements[name].value = value;
  }
}

/** Keep what is searched for in the address, so that it can be sent to somebody. */
function remember(form) {
  const kept = new URLSearchParams();
  for (const name of ["q", "where", "state", "broker"]) {
    const { value } = form.elements[name];
    if (value && value !== "all") kept.set(name, value);
  }
  const query = kept.size ? `?${kept}` : location.pathname;
  history.replaceState(null, "", query + location.hash);
}

function show(limit, found) {
  rows(byId("tasks-rows"), found.tasks, (task) => `${task.broker}/${task.uuid}/${task.ended}`, (task) => [
    { content: () => [stateOf(task.state), mark(task)], of: [task.state, task.stuck, task.unsure] },
    {
      content: () => [taskLink(task), task.error ? h("span", { class: "error" }, why(task)) : null],
      of: [task.name, task.error],
    },
    { content: task.queue ?? "", label: "queue" },
    { content: task.worker ?? "", label: "on" },
    { content: () => since(task), of: task.since, class: "num" },
    { content: task.wait == null ? "" : duration(task.wait), class: "num", label: "waited" },
    { content: () => ran(task), of: [task.run, task.started_at, task.state], class: "num", label: "ran" },
    { content: () => h("span", { class: "mono", title: task.uuid }, shortened(task.uuid)), of: task.uuid },
  ]);
  byId("more").hidden = found.tasks.length < limit || limit >= MOST;
  byId("tasks-empty").hidden = found.tasks.length > 0;
  say(byId("found"), summary(found));
}

function summary({ tasks: shown, in_flight: inFlight, ended, complete, kept }) {
  const found = [
    complete ? `${count(inFlight)} in flight` : "more in flight than could be looked through",
    `${count(ended)} of the last ${count(kept)} that ended`,
  ].join(" and ");
  return `${count(shown.length)} shown of ${found}`;
}

function mark(task) {
  if (task.stuck) return h("span", { class: "sub" }, "stuck");
  if (!task.unsure) return null;
  return h("span", { class: "sub" }, task.ended ? "no event said so" : "perhaps gone");
}

function why(task) {
  return task.error_type && !task.error.startsWith(task.error_type)
    ? `${task.error_type}: ${task.error}`
    : task.error;
}

function since(task) {
  const words = (seconds) => {
    if (seconds < -0.5) return `in ${age(-seconds)}`;
    return task.ended ? `${age(seconds)} ago` : `for ${age(seconds)}`;
  };
  return ago(task.since, words);
}

function ran(task) {
  if (task.run != null) return duration(task.run);
  if (task.state !== "STARTED" || task.started_at == null || task.started_at > now()) return "";
  return ago(task.started_at, (seconds) => `${age(seconds)} …`);
}
