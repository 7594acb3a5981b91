// Charts over one shared time. All have the same range, cursor and colours.

Bokeh.logger.set_level("warn");
const { Document } = Bokeh.require("document");

const model = (name, properties) => new (Bokeh.Models.get(name))(properties);
const colourOf = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const isNarrow = () => window.innerWidth < 740;
const hasMouse = matchMedia("(pointer: fine)").matches;

// Who holds still for a moment before dragging means to drag: we know no long press, and Bokeh would
// take it for one. The longest time that a timer can wait.
if (hasMouse) Bokeh.require("core/ui_gestures").UIGestures.press_threshold = 2 ** 31 - 1;

const SHORTEST_MS = 20;
const TIME_FORMATS = {
  microseconds: "%H:%M:%S.%f", milliseconds: "%H:%M:%S.%3N", seconds: "%H:%M:%S",
  minsec: "%H:%M:%S", minutes: "%H:%M", hourmin: "%H:%M", hours: "%H:%M",
  days: "%d %b", months: "%b %Y", years: "%Y",
};

/** The period, and the part of it that is shown. Milliseconds, as browsers count. */
class Time {
  constructor(beganAt, endedAt) {
    const pad = Math.max(50, (endedAt - beganAt) * 5);
    this.begin = beganAt * 1000 - pad;
    this.end = endedAt * 1000 + pad;
    this.range = model("Range1d", { start: this.begin, end: this.end });
    this.watchers = [];
    let due = false;
    this.range.change.connect(() => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        this.watchers.forEach((watcher) => watcher());
      });
    });
  }

  show(start, end) {
    const length = Math.min(Math.max(end - start, SHORTEST_MS), this.end - this.begin);
    const from = Math.min(Math.max(start, this.begin), this.end - length);
    this.range.setv({ start: from, end: from + length });
  }

  move(how) {
    const { start, end } = this.range;
    const length = end - start;
    const [by, to] = { in: [length / 4, -length / 4], out: [-length / 2, length / 2],
      earlier: [-length / 2, -length / 2], later: [length / 2, length / 2],
      all: [this.begin - start, this.end - end] }[how];
    this.show(start + by, end + to);
  }
}

/** The charts of a page. */
class Board {
  constructor(time) {
    this.time = time;
    this.document = new Document();
    this.places = [];
    this.painters = [];
    this.cursors = [];
    time.watchers.push(() => this.point(null));
  }

  /** Make an empty plot over the shared time. */
  plot(height, { axis = null } = {}) {
    const y_range = model("Range1d", { start: 0, end: 1 });
    const plot = model("Plot", {
      x_range: this.time.range, y_range, height, sizing_mode: "stretch_width",
      toolbar_location: null, min_border: 0, min_border_top: 6, min_border_right: 10,
      background_fill_color: null, border_fill_color: null, outline_line_color: null,
      lod_threshold: null, stylesheets: [":host(:focus:not(:focus-visible)) { outline: none; }"],
    });
    const formatter = model("DatetimeTickFormatter", TIME_FORMATS);
    const below = model("DatetimeAxis", { formatter });
    below.ticker.desired_num_ticks = isNarrow() ? 3 : 6;
    plot.add_layout(below, "below");
    const axes = [below];
    if (axis) {
      plot.min_border_left = 46;
      axes.push(axis);
      plot.add_layout(axis, "left");
      const grid = model("Grid", { dimension: 1, ticker: axis.ticker });
      plot.add_layout(grid);
      this.painters.push(() => { grid.grid_line_color = colourOf("line"); });
    }
    this.painters.push(() => axes.forEach(paintAxis));
    this.addCursor(plot);
    return plot;
  }

  addCursor(plot) {
    const line = model("Span", { dimension: "height", location: null, line_width: 1 });
    plot.add_layout(line);
    this.painters.push(() => { line.line_color = colourOf("soft"); });
    this.cursors.push((at) => { line.location = at; });
    plot.on_event("doubletap", () => this.time.move("all"));
    if (!hasMouse) { // a finger that moves scrolls the page, and leaves whenever it is lifted
      plot.on_event("tap", (event) => this.point(event.x));
      return;
    }
    plot.on_event("mousemove", (event) => this.point(event.x));
    plot.on_event("mouseleave", () => this.point(null));
    const zoom = model("BoxZoomTool", { dimensions: "width" });
    plot.add_tools(zoom);
    plot.toolbar.active_drag = zoom;
  }

  /** Show what was at an instant; null: at none. */
  point(at) {
    this.cursors.forEach((cursor) => cursor(at));
  }

  put(plot, place) {
    this.document.add_root(plot);
    this.places.push(place);
  }

  paint() {
    this.painters.forEach((painter) => painter());
  }

  mount() {
    this.paint();
    return Bokeh.embed.add_document_standalone(this.document, document.body, this.places);
  }
}

function paintAxis(axis) {
  axis.setv({
    axis_line_color: colourOf("line"), major_tick_line_color: colourOf("line"),
    major_tick_in: 0, minor_tick_line_color: null, major_label_text_color: colourOf("soft"),
    major_label_text_font_size: "12px", major_label_text_font: "system-ui, sans-serif",
  });
}

/** The unit in which durations up to `most` seconds read best, and how many seconds it has. */
function unitFor(most) {
  return [["milliseconds", 1e-3, 1], ["seconds", 1, 120], ["minutes", 60, 7200], ["hours", 3600, Infinity]]
    .find(([, , limit]) => most < limit);
}

/** A figure with a title, a legend that tells the values at the cursor, and a plot. */
class Chart {
  /**
   * `series` have a name, a colour, points x (milliseconds) and y (null: nothing there).
   * `shape` is "bars" (stacked, `width` milliseconds wide) or "lines".
   */
  constructor(board, { name, title, unit, tell = count, shape, width, empty }) {
    Object.assign(this, { board, shape, width, tell });
    this.unit = element("span", { className: "unit" }, unit);
    this.caption = element("figcaption", {}, element("h3", {}, title), this.unit);
    this.legend = element("ul", { className: "legend" });
    this.place = element("div", { className: "plot", role: "img", "aria-label": `${title} over time` });
    this.figure = element("figure", { className: "panel", "data-chart": name },
      this.caption, this.legend, this.place);
    this.empty = empty;
    this.renderers = [];
    this.series = [];
    board.cursors.push((at) => this.tellAt(at));
    board.time.watchers.push(() => this.fit());
    board.painters.push(() => this.paint());
  }

  /** Draw; again with other series where a choice changes. `per` is what one unit is worth. */
  draw(series, { per = 1, unit = null } = {}) {
    this.series = series.map((each) => ({ ...each, y: each.y.map((y) => (y === null ? NaN : y)) }));
    this.per = per;
    if (unit !== null) this.unit.textContent = unit;
    if (!this.plot) {
      if (!this.series.some((each) => each.y.some((y) => y > 0))) {
        this.place.classList.add("empty");
        this.place.textContent = this.empty;
        return;
      }
      const axis = model("LinearAxis", {});
      axis.formatter = model("NumeralTickFormatter", { format: "0,0.[00]" });
      axis.ticker.desired_num_ticks = 4;
      this.plot = this.board.plot(190, { axis });
      this.board.put(this.plot, this.place);
    }
    this.plot.renderers = [];
    this.renderers = [];
    const base = new Array(this.series[0]?.x.length ?? 0).fill(0);
    // Bars grow upwards; of lines the first lies over the others.
    const order = this.shape === "bars" ? this.series : [...this.series].reverse();
    for (const each of order) this.addSeries(each, base);
    this.paint();
    this.writeLegend();
    this.fit();
  }

  addSeries({ x, y, colour, dashed, thin }, base) {
    const scaled = y.map((value) => value / this.per);
    const data = { x, y: scaled };
    let glyphs;
    if (this.shape === "bars") {
      data.bottom = [...base];
      data.top = scaled.map((value, place) => (base[place] += value));
      const bar = { x: { field: "x" }, bottom: { field: "bottom" }, top: { field: "top" } };
      glyphs = [model("VBar", { ...bar, width: this.width * 0.92, line_color: null })];
    } else {
      const at = { x: { field: "x" }, y: { field: "y" } };
      const line = { ...at, line_width: thin ? 1 : 2, line_join: "round" };
      glyphs = [model("Line", dashed ? { ...line, line_dash: [5, 4] } : line)];
      // A value between two gaps is no line.
      if (!dashed) glyphs.push(model("Scatter", { ...at, size: thin ? 3 : 4, line_color: null }));
    }
    const source = model("ColumnDataSource", { data });
    this.renderers.push([colour, glyphs]);
    for (const glyph of glyphs) this.plot.add_glyph(glyph, source);
  }

  paint() {
    this.renderers.forEach(([name, glyphs]) => {
      const colour = colourOf(name);
      for (const glyph of glyphs) {
        if (glyph.type === "Line") glyph.line_color = colour;
        else glyph.fill_color = colour;
      }
    });
  }

  writeLegend() {
    this.values = this.series.map(() => element("b"));
    this.legend.replaceChildren(...this.series.map(({ name, colour, dashed }, place) => {
      const swatch = element("i", { colour: `var(--${colour})`, className: dashed ? "dashed" : "" });
      return element("li", {}, swatch, name, this.values[place]);
    }));
  }

  tellAt(at) {
    this.values?.forEach((value, place) => {
      const series = this.series[place];
      value.textContent = at === null ? "" : this.tell(series.y[nearest(series.x, at)]);
    });
  }

  /** Let the y axis end above what is shown. */
  fit() {
    if (!this.plot) return;
    const { start, end } = this.board.time.range;
    const half = (this.width ?? 0) / 2;
    const sums = new Map();
    let most = 0;
    for (const { x, y } of this.series) {
      x.forEach((at, place) => {
        if (at + half < start || at - half > end || !(y[place] > 0)) return;
        const value = (this.shape === "bars" ? sums.get(at) ?? 0 : 0) + y[place];
        sums.set(at, value);
        most = Math.max(most, value);
      });
    }
    this.plot.y_range.end = (most / this.per) * 1.08 || 1;
  }
}

function nearest(x, at) {
  let best = 0;
  x.forEach((each, place) => {
    if (Math.abs(each - at) < Math.abs(x[best] - at)) best = place;
  });
  return best;
}
