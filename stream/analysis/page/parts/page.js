// The page: reads the content and shows each part of it.

const content = JSON.parse(byId("content").textContent);

function showTheme(repaint) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = byId("theme");
  let chosen = null;
  const apply = () => {
    const theme = chosen ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use ${button.textContent.toLowerCase()} colours`);
    repaint();
  };
  dark.addEventListener("change", apply);
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    apply();
  });
  apply();
}

function showHead({ began_at, ended_at, facts, remarks }) {
  byId("period").textContent = began_at === null
    ? "Nothing was recorded."
    : `${instant(began_at)} – ${sameDay(began_at, ended_at) ? timeOfDay(ended_at) : instant(ended_at)} UTC, ${duration(ended_at - began_at)}`;
  byId("facts").append(...facts.map(({ label, value, detail, tone }) => element("div", {},
    element("dt", {}, label), element("dd", { className: `value ${tone}` }, value),
    element("dd", { className: "detail" }, detail))));
  const box = byId("remarks");
  box.hidden = !remarks.length;
  box.querySelector("summary").textContent = `To bear in mind (${remarks.length})`;
  box.querySelector("ul").append(...remarks.map((remark) => element("li", {}, remark)));
}

const sameDay = (one, two) => instant(one).slice(0, 10) === instant(two).slice(0, 10);

function showZoom(time) {
  const tell = () => {
    const [start, end] = [time.range.start / 1000, time.range.end / 1000];
    const span = end - start;
    byId("shown").textContent = `${timeOfDay(start, span)} – ${timeOfDay(end, span)}, ${duration(span)}`;
  };
  time.watchers.push(tell);
  tell();
  for (const button of document.querySelectorAll("[data-move]")) {
    button.addEventListener("click", () => time.move(button.dataset.move));
  }
}

function showCharts({ began_at, ended_at, drawing }, openTrace) {
  if (began_at === null) {
    byId("timed").hidden = true;
    return null;
  }
  const time = new Time(began_at, ended_at);
  const board = new Board(time);
  drawOverview(board, drawing, byId("charts"));
  drawLanes(board, drawing.lanes, { beganAt: began_at, place: byId("lanes"), choose: openTrace });
  showZoom(time);
  board.mount();
  return board;
}

let board = null;
showTheme(() => board?.paint());
showHead(content);
const traces = new Traces(content.drawing.traces, byId("waterfall"));
const openTrace = (uuid) => traces.open(uuid);
showTables(byId("listings"), content.tables, openTrace);
board = showCharts(content, openTrace);
