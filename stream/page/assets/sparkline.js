// A curve of a few hundred values, as an SVG that is drawn anew.

import { svg } from "./dom.js";

const WIDTH = 100;
const HEIGHT = 30;

/** Make a curve; `draw` gives it its values, the newest last, null where there is none, and how
 *  many there will be at the least: the newest is always at the right. */
export function sparkline(level) {
  const area = svg("path", { class: "area" });
  const curve = svg("path", { class: "curve" });
  const element = svg(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
      "data-level": level,
    },
    area,
    curve,
  );
  return { element, draw: (values, most) => draw(area, curve, values, most) };
}

/** A curve that is not changed any more. */
export function curveOf(values, most, level) {
  const spark = sparkline(level);
  spark.draw(values, most);
  return spark.element;
}

function draw(area, curve, values, most) {
  const top = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const step = WIDTH / Math.max(most - 1, 1);
  const left = WIDTH - step * (values.length - 1);
  const points = values.map((value, index) => [
    left + index * step,
    HEIGHT - 1 - ((value ?? 0) / top) * (HEIGHT - 4),
  ]);
  const line = points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L");
  curve.setAttribute("d", points.length > 1 ? `M${line}` : "");
  const [first] = points;
  area.setAttribute(
    "d",
    points.length > 1 ? `M${first[0].toFixed(2)} ${HEIGHT}L${line}L${WIDTH} ${HEIGHT}Z` : "",
  );
}
