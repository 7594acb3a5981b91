// The tiles: one number each, what it is made of, and its last minutes.

import { byId, h, say } from "./dom.js";
import { count, duration, percent, rate } from "./format.js";
import { sparkline } from "./sparkline.js";

const KEPT = 300;
const LEAST = 60;
const SMOOTHED = 10; // seconds; a rate over one second jumps

const TILES = [
  {
    title: "Throughput",
    curve: (sample) => sample.finished,
    value: (overview, lately) => [rate(lately((sample) => sample.finished)), "/s finished"],
    about: (overview, lately) =>
      `${rate(lately((sample) => sample.sent))} sent, ${rate(lately((sample) => sample.started))} started /s`,
  },
  {
    title: "Failures",
    spark: "bad",
    curve: (sample) => sample.failed,
    value: (overview, lately) => {
      const finished = lately((sample) => sample.finished);
      const failed = lately((sample) => sample.failed);
      return [percent(finished ? failed / finished : 0), "of finished"];
    },
    level: (overview, lately) => (lately((sample) => sample.failed) > 0 ? "bad" : ""),
    about: ({ totals }) => `${count(totals.failed)} failed, ${count(totals.retried)} retried since start`,
  },
  {
    title: "Run time",
    spark: "busy",
    curve: (sample) => sample.run_p95,
    value: ({ run }) => [duration(run.p95), "p95"],
    about: ({ run }) => `median ${duration(run.median)}`,
  },
  {
    title: "Waiting time",
    spark: "wait",
    curve: (sample) => sample.wait_p95,
    value: ({ wait }) => [duration(wait.p95), "p95"],
    about: ({ wait, total }) => `median ${duration(wait.median)}; in all ${duration(total.p95)}`,
  },
  {
    title: "In flight",
    spark: "busy",
    curve: (sample) => sample.in_flight,
    value: ({ in_flight: all }) => [count(all.sent + all.received + all.started + all.retry), "tasks"],
    about: ({ in_flight: all }) =>
      `${count(all.started)} running, ${count(all.received)} fetched, ${count(all.sent)} sent, ${count(all.retry)} retrying`,
  },
  {
    title: "In queues",
    spark: "wait",
    curve: (sample) => sample.depth,
    value: ({ queue_depth: depth }) => [count(depth), "messages"],
    about: ({ brokers }) => {
      const held = brokers.map((broker) => broker.unacknowledged).filter((each) => each != null);
      return held.length ? `${count(held.reduce((sum, each) => sum + each, 0))} more held by workers` : "";
    },
  },
  {
    title: "Workers",
    value: ({ workers }) => [count(workers.online), "online"],
    level: ({ workers }) => (workers.lost || !workers.online ? "bad" : workers.suspect ? "warn" : ""),
    about: ({ workers }) =>
      ["suspect", "lost", "offline"]
        .filter((state) => workers[state])
        .map((state) => `${count(workers[state])} ${state}`)
        .join(", ") || "none is silent",
  },
  {
    title: "Coverage",
    value: ({ coverage }) => [percent(coverage), "of runs seen"],
    level: ({ coverage }) => (coverage != null && coverage < 0.99 ? "warn" : ""),
    about: ({ brokers }) => {
      const gaps = brokers.reduce((sum, broker) => sum + broker.gap_seconds, 0);
      return gaps ? `${duration(gaps)} without a subscription` : "no gap in the subscription";
    },
  },
];

/** Make the tiles; returns what shows an overview in them. */
export function tiles(place) {
  const made = TILES.map((tile) => {
    const parts = {
      tile,
      value: h("span"),
      unit: h("small"),
      about: h("p", { class: "about" }),
      spark: tile.curve && sparkline(tile.spark),
    };
    parts.root = h(
      "article",
      { class: "tile" },
      h("h3", {}, tile.title),
      h("p", { class: "value" }, parts.value, " ", parts.unit),
      parts.about,
      parts.spark?.element,
    );
    return parts;
  });
  place.replaceChildren(...made.map((parts) => parts.root));

  let series = [];
  return {
    begin(samples) {
      series = samples;
    },
    show(overview) {
      if (overview.now.at > (series.at(-1)?.at ?? 0)) series.push(overview.now);
      series = series.slice(-KEPT);
      for (const parts of made) showTile(parts, overview, series);
    },
  };
}

function showTile({ tile, value, unit, about, spark, root }, overview, series) {
  const newest = series.slice(-SMOOTHED);
  const lately = (of) => newest.reduce((sum, sample) => sum + of(sample), 0) / (newest.length || 1);
  const [number, name] = tile.value(overview, lately);
  say(value, number);
  say(unit, name);
  say(about, tile.about(overview, lately));
  root.dataset.level = tile.level?.(overview, lately) ?? "";
  spark?.draw(series.map(tile.curve), Math.max(LEAST, series.length));
}

/** Say in the bar, and in a line below where it matters, how the service is. */
export function showHealth(overview) {
  const pill = byId("health");
  const failing = overview.checks.filter((check) => !check.ok);
  const level = overview.healthy ? (failing.length ? "warn" : "good") : "bad";
  pill.dataset.level = level;
  say(pill, level === "good" ? "healthy" : level === "warn" ? "healthy, with a problem" : "not healthy");
  const notice = byId("notice");
  notice.hidden = !failing.length;
  say(notice, failing.map((check) => `${check.name}: ${check.detail}`).join(" · "));
}
