// The charts of the period: throughput, failures, runs, waits, queues and load.

const ENDS = { succeeded: "ok", retried: "retry", failed: "bad", "revoked or rejected": "other" };
const SERIES = ["one", "two", "three", "four", "five", "six", "other"];

function drawOverview(board, { timelines, queues }, place) {
  const width = timelines.width * 1000;
  const x = timelines.sent.map((_, index) => (timelines.began_at + (index + 0.5) * timelines.width) * 1000);
  const charts = [
    throughput(board, timelines, { x, width }),
    failures(board, timelines, { x, width }),
    latencies(board, timelines, { x, of: "run", title: "Run time", empty: "No run ended." }),
    latencies(board, timelines, { x, of: "wait", title: "Wait before the start",
      empty: "No wait is known." }),
    waiting(board, queues),
    load(board, timelines, x),
  ];
  place.append(...charts.map((chart) => chart.figure));
}

const perInterval = (seconds) => `per ${seconds === 1 ? "second" : duration(seconds).replace(/\.0+(?=\D)/, "")}`;

function throughput(board, timelines, { x, width }) {
  const unit = `attempts that ended, ${perInterval(timelines.width)}`;
  const chart = new Chart(board, { name: "throughput", title: "Throughput", unit, shape: "bars", width,
    empty: "Nothing ended." });
  chart.draw(timelines.ended.map(({ name, values }) => ({ name, colour: ENDS[name], x, y: values })));
  return chart;
}

function failures(board, timelines, { x, width }) {
  const unit = `failures and retries by exception, ${perInterval(timelines.width)}`;
  const chart = new Chart(board, { name: "failures", title: "Failures", unit, shape: "bars", width,
    empty: "Nothing failed." });
  chart.draw(timelines.failures.map(({ name, values }, index) => ({
    name, colour: name === "other" ? "other" : SERIES[index], x, y: values,
  })));
  return chart;
}

function latencies(board, timelines, { x, of, title, empty }) {
  const chart = new Chart(board, { name: of, title, unit: "", tell: duration, shape: "lines", empty });
  const draw = (found) => {
    const curves = found[of];
    const most = Math.max(0, ...curves.max.filter((each) => each !== null));
    const [unit, per] = unitFor(most);
    const line = (name, colour, more) => ({ name, colour, x, y: curves[name], ...more });
    const lines = [line("p50", "one"), line("p95", "two"), line("p99", "three"), line("max", "other", { thin: true })];
    chart.draw(lines, { per, unit });
  };
  draw(timelines.latencies[0]);
  const known = timelines.latencies.filter((each) => each[of].max.some((value) => value !== null));
  if (known.length > 2) {
    const options = known.map(({ task }, index) => element("option", { value: String(index) }, task ?? "all tasks"));
    const select = element("select", { "aria-label": `Tasks of ${title}` }, ...options);
    select.addEventListener("change", () => draw(known[Number(select.value)]));
    chart.caption.append(select);
  }
  return chart;
}

function waiting(board, queues) {
  const chart = new Chart(board, { name: "queues", title: "Waiting in queues", shape: "lines",
    unit: queues.some((queue) => queue.depth)
      ? "tasks sent and not received; dashed: messages in the broker"
      : "tasks sent and not received", empty: "Nothing was seen waiting." });
  const lines = queues.flatMap(({ queue, waiting: seen, depth }, index) => {
    const line = (name, points, more) => ({ name, colour: SERIES[index], ...pointsOf(points), ...more });
    const found = [];
    if (seen.values.length) found.push(line(queue, seen));
    if (depth) found.push(line(`${queue}, in the broker`, depth, { dashed: true }));
    return found;
  });
  chart.draw(lines);
  return chart;
}

// The longer a capture is, the more rarely the tables were looked at: a short gap is no absence.
const SHORT_GAP = 4;

function pointsOf({ began_at, width, values }) {
  const points = { x: [], y: [] };
  let gap = 0;
  values.forEach((value, index) => {
    gap = value === null ? gap + 1 : 0;
    const isLongGap = gap === SHORT_GAP + 1;
    if (value === null && !isLongGap) return;
    points.x.push((began_at + (index + 0.5) * width) * 1000);
    points.y.push(value);
  });
  return points;
}

function load(board, timelines, x) {
  const chart = new Chart(board, { name: "load", title: "Running at once", unit: "mean number of runs, all workers",
    shape: "bars", width: timelines.width * 1000, empty: "Nothing ran." });
  chart.draw([{ name: "runs", colour: "one", x, y: timelines.running }]);
  return chart;
}
