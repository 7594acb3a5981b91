// Elements without a framework: making them, and keeping the rows of a table up to date.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. Texts become text nodes, so nothing that a task says is ever markup. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Put a text somewhere, if it is another one. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Bring the rows of a table up to date, and leave alone what stays: focus, selection, scrolling.
 * `cells(item)` returns for each cell its content, its class, and what it depends on.
 */
export function rows(body, items, key, cells) {
  const before = new Map([...body.children].map((row) => [row.key, row]));
  let place = body.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const row = before.get(name) ?? Object.assign(h("tr", { role: "row" }), { key: name });
    before.delete(name);
    update(row, cells(item));
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  for (const row of before.values()) row.remove();
}

function update(row, cells) {
  cells.forEach((cell, index) => {
    const said = JSON.stringify(["of" in cell ? cell.of : cell.content]);
    let td = row.children[index];
    if (!td) td = row.appendChild(h("td", { role: "cell" }));
    if (td.said === said && td.className === (cell.class ?? "")) return;
    td.said = said;
    td.className = cell.class ?? "";
    if (cell.label) td.dataset.label = cell.label;
    const content = typeof cell.content === "function" ? cell.content() : cell.content;
    td.replaceChildren(...[content].flat().filter((child) => child != null));
  });
}

// -- instants that go on ------------------------------------------------------------------------

let ahead = 0; // seconds that the service's clock is ahead of this browser's

export const now = () => Date.now() / 1000 + ahead;

export function setClock(instant) {
  ahead = instant - Date.now() / 1000;
}

/** An element that says how long ago (or from now) an instant is, and is kept right. */
export function ago(instant, words, title) {
  const element = h("time", { datetime: new Date(instant * 1000).toISOString(), title });
  element.instant = instant;
  element.words = words;
  element.className = "ago";
  element.textContent = words(now() - instant);
  return element;
}

/** Renew what `ago` made; called once a second. */
export function tick() {
  for (const element of document.getElementsByClassName("ago")) {
    if (element.words) say(element, element.words(now() - element.instant));
  }
}
