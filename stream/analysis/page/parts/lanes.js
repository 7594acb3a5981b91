// The workers' lanes: which worker ran what when.

const STATE_COLOURS = { SUCCESS: "ok", RETRY: "retry", FAILURE: "bad", LOST: "bad" };
const HEAD = 22;
const GAP = 8;
const stateColour = (state) => STATE_COLOURS[state] ?? "other";

function drawLanes(board, { lanes, tasks, bars, absences }, { beganAt, place, choose }) {
  if (!lanes.length) {
    place.append(element("div", { className: "panel none" }, "No worker was seen."));
    return;
  }
  const rows = lanes.reduce((sum, lane) => sum + lane.rows, 0);
  const row = Math.max(5, Math.min(16, Math.floor(600 / rows)));
  let height = 0;
  const tops = lanes.map((lane) => {
    const top = height;
    height += HEAD + lane.rows * row + GAP;
    return top;
  });
  const plot = board.plot(height + 32);
  plot.y_range.setv({ start: height, end: 0 });
  const figure = new Lanes(board, plot, { lanes, tasks, bars, beganAt, tops, row, choose });
  figure.addAbsences(absences, tops);
  figure.addBars();
  figure.addNames();
  const drawn = element("div", { className: "plot", role: "img", "aria-label": "Runs of each worker over time" });
  place.append(element("figure", { className: "panel", "data-chart": "lanes" }, figure.legend(absences), drawn));
  board.put(plot, drawn);
}

class Lanes {
  constructor(board, plot, parts) {
    Object.assign(this, { board, plot, byTask: false }, parts);
    // One bar: lane, row, begin, end, task, state, uuid, retries.
    this.boxes = this.bars.map(([lane, place, begin, end]) => ({
      left: (this.beganAt + begin) * 1000,
      right: (this.beganAt + end) * 1000,
      top: this.tops[lane] + HEAD + place * this.row,
      bottom: this.tops[lane] + HEAD + (place + 1) * this.row - (this.row > 7 ? 2 : 1),
    }));
    if (hasMouse) {
      plot.on_event("mousemove", (event) => this.hint(event));
      plot.on_event("mouseleave", () => { byId("hint").hidden = true; });
    }
    plot.on_event("tap", (event) => this.take(event));
  }

  quads(boxes, more) {
    const data = {};
    for (const side of ["left", "right", "top", "bottom"]) data[side] = boxes.map((box) => box[side]);
    const source = model("ColumnDataSource", { data });
    const sides = Object.fromEntries(Object.keys(data).map((side) => [side, { field: side }]));
    const glyph = model("Quad", { ...sides, ...more });
    this.plot.add_glyph(glyph, source);
    return [glyph, source];
  }

  addAbsences(absences, tops) {
    for (const what of ["silent", "offline"]) {
      const boxes = absences.filter((each) => each[3] === what).map(([lane, begin, end]) => ({
        left: (this.beganAt + begin) * 1000,
        right: (this.beganAt + end) * 1000,
        top: tops[lane] + HEAD - 3,
        bottom: tops[lane] + HEAD + this.lanes[lane].rows * this.row + 2,
      }));
      const [glyph] = this.quads(boxes, { line_color: null, fill_alpha: 0.25, hatch_alpha: 0.5,
        hatch_pattern: what === "silent" ? "/" : null, hatch_scale: 8 });
      this.board.painters.push(() => {
        const colour = colourOf(what === "silent" ? "retry" : "other");
        glyph.setv({ fill_color: colour, hatch_color: colour });
      });
    }
  }

  addBars() {
    // The line keeps the shortest run visible from afar.
    const [glyph, source] = this.quads(this.boxes, { line_width: 1 });
    this.board.painters.push(() => {
      const colours = new Map();
      const names = this.bars.map(([, , , , task, state]) =>
        this.byTask ? SERIES[task % SERIES.length] : stateColour(state));
      for (const name of names) if (!colours.has(name)) colours.set(name, colourOf(name));
      source.data = { ...source.data, colour: names.map((name) => colours.get(name)) };
      glyph.setv({ fill_color: { field: "colour" }, line_color: { field: "colour" } });
    });
  }

  addNames() {
    const most = isNarrow() ? 30 : 80;
    this.lanes.forEach(({ worker, runs }, lane) => {
      const name = worker.length > most ? `${worker.slice(0, most)}…` : worker;
      // Plain: what is between dollar signs would be read as mathematics.
      const text = model("PlainText", { text: `${name}   ${plural(runs, "run")}` });
      const label = model("Label", { x: 4, y: this.tops[lane] + HEAD - 5, text, x_units: "screen",
        text_font: "system-ui, sans-serif", text_font_size: "12px" });
      this.plot.add_layout(label);
      this.board.painters.push(() => { label.text_color = colourOf("text"); });
    });
  }

  legend(absences) {
    const item = (name, colour) =>
      element("li", {}, element("i", { colour: `var(--${colour})` }), name);
    const list = element("ul", { className: "legend" });
    const write = () => list.replaceChildren(...(this.byTask
      ? this.tasks.slice(0, 12).map((task, index) => item(task, SERIES[index % SERIES.length]))
      : [item("succeeded", "ok"), item("retried", "retry"), item("failed or lost", "bad"), item("other", "other")]),
    ...(absences.some((each) => each[3] === "silent") ? [item("no heartbeats", "retry")] : []),
    ...(absences.some((each) => each[3] === "offline") ? [item("offline", "other")] : []));
    const select = element("select", { "aria-label": "Colours of the bars" },
      element("option", { value: "state" }, "colour: outcome"), element("option", { value: "task" }, "colour: task"));
    select.addEventListener("change", () => {
      this.byTask = select.value === "task";
      this.board.paint();
      write();
    });
    write();
    return element("figcaption", {}, list, select);
  }

  /** The bar at a place, or the nearest within a few pixels; undefined: there is none. */
  barAt({ x, y }) {
    const perPixel = (this.board.time.range.end - this.board.time.range.start) / this.plot.inner_width;
    const reach = (hasMouse ? 3 : 10) * perPixel;
    let best;
    let least = reach;
    this.boxes.forEach((box, place) => {
      if (y < box.top - 1 || y > box.bottom + 1) return;
      const beside = Math.max(box.left - x, x - box.right, 0);
      if (beside < least || (beside === 0 && least === 0)) [best, least] = [place, beside];
    });
    return best;
  }

  hint(event) {
    const found = this.barAt(event);
    const hint = byId("hint");
    hint.hidden = found === undefined;
    if (hint.hidden) return;
    const [lane, , begin, end, task, state, uuid, retries] = this.bars[found];
    const again = retries ? `, retry ${retries}` : "";
    hint.replaceChildren(
      element("b", {}, this.tasks[task]), element("br"),
      `${state}${again} after ${duration(end - begin)}`, element("br"),
      `${timeOfDay(this.beganAt + begin, 1)} at ${this.lanes[lane].worker}`, element("br"),
      element("span", { className: "id soft" }, uuid));
    const frame = document.querySelector("#lanes .plot").getBoundingClientRect();
    const left = Math.min(frame.left + event.sx + 14, window.innerWidth - hint.offsetWidth - 8);
    const top = frame.top + event.sy + 16;
    hint.style.left = `${Math.max(8, left)}px`;
    hint.style.top = `${Math.min(top, window.innerHeight - hint.offsetHeight - 8)}px`;
  }

  take(event) {
    const found = this.barAt(event);
    if (found === undefined) return;
    byId("hint").hidden = true;
    this.choose(this.bars[found][6]);
  }
}
