// Tables that can be sorted by any column and filtered by words.

const ROWS_AT_FIRST = 200;

const SHOWN_AS = {
  text: (value) => value ?? NONE,
  uuid: (value) => value ?? NONE,
  count,
  share,
  seconds: duration,
  instant,
};

/** Show all tables, one at a time. `openTrace` is called with the id of a task. */
function showTables(place, tables, openTrace) {
  const tabs = element("div", { className: "choice", role: "tablist" });
  const panel = element("div", { role: "tabpanel" });
  place.append(tabs, panel);
  const choose = (table, tab) => {
    for (const each of tabs.children) each.setAttribute("aria-selected", String(each === tab));
    panel.replaceChildren(...listing(table, openTrace));
  };
  for (const table of tables) {
    const text = `${table.title} (${count(table.rows.length)})`;
    const tab = element("button", { type: "button", role: "tab", "data-table": table.name }, text);
    tab.addEventListener("click", () => choose(table, tab));
    tabs.append(tab);
  }
  choose(tables[0], tabs.firstChild);
}

function listing(table, openTrace) {
  if (!table.rows.length) {
    return [
      element("p", { className: "soft" }, table.about),
      element("div", { className: "panel none" }, "There are none."),
    ];
  }
  const state = { column: null, descending: true, words: [], all: false };
  const filter = element("input", { type: "search", placeholder: "Filter by words" });
  filter.setAttribute("aria-label", `Filter ${table.title}`);
  const told = element("span", { className: "soft", role: "status" });
  const body = element("tbody");
  const head = tableHead(table, state, () => update());
  const more = element("button", { type: "button" });

  function update() {
    const rows = sorted(table, state).filter((row) => matches(table, row, state.words));
    const shown = state.all ? rows : rows.slice(0, ROWS_AT_FIRST);
    body.replaceChildren(...shown.map((row) => tableRow(table, row, openTrace)));
    told.textContent = `${count(rows.length)} of ${count(table.rows.length)}`;
    more.hidden = shown.length === rows.length;
    more.textContent = `Show all ${count(rows.length)}`;
    markSorted(head, state);
  }
  filter.addEventListener("input", () => {
    state.words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    update();
  });
  more.addEventListener("click", () => {
    state.all = true;
    update();
  });
  update();
  return [
    element("p", { className: "soft" }, table.about),
    element("div", { className: "choice" }, filter, told),
    element("div", { className: "panel listing", tabIndex: 0 }, element("table", {}, head, body)),
    more,
  ];
}

const isNumber = (column) => !["text", "uuid"].includes(column.kind);

function tableHead(table, state, update) {
  const groups = element("tr");
  const titles = element("tr");
  table.columns.forEach((column, place) => {
    const starts = column.group && table.columns[place - 1]?.group !== column.group;
    if (starts) {
      const width = table.columns.filter((each) => each.group === column.group).length;
      groups.append(element("th", { className: "group", colspan: width, title: column.about }, column.group));
    }
    if (!column.group) groups.append(element("td"));
    const button = element("button", { type: "button", title: column.about }, column.title);
    button.setAttribute("aria-label", `Sort by ${column.group} ${column.title}`);
    button.addEventListener("click", () => {
      const again = state.column === place;
      state.descending = again ? !state.descending : isNumber(column);
      state.column = place;
      update();
    });
    titles.append(element("th", { className: isNumber(column) ? "number" : "", scope: "col" }, button));
  });
  const grouped = table.columns.some((column) => column.group);
  return element("thead", {}, ...(grouped ? [groups, titles] : [titles]));
}

function markSorted(head, state) {
  [...head.lastChild.children].forEach((cell, place) => {
    if (place !== state.column) cell.removeAttribute("aria-sort");
    else cell.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
  });
}

/** The rows in order; what is not known comes last, whichever way. */
function sorted(table, { column, descending }) {
  if (column === null) return table.rows;
  const sign = descending ? -1 : 1;
  return [...table.rows].sort((one, two) => {
    const [a, b] = [one[column], two[column]];
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
}

function matches(table, row, words) {
  if (!words.length) return true;
  const text = row.map((value, place) => SHOWN_AS[table.columns[place].kind](value)).join(" ");
  return words.every((word) => text.toLowerCase().includes(word));
}

/** A text that is rather broken between the parts of a dotted name than within one. */
function breakable(text) {
  return text.split(/(?<=[._@/])/).flatMap((part, place) => (place ? [element("wbr"), part] : [part]));
}

function tableRow(table, row, openTrace) {
  const cells = row.map((value, place) => {
    const column = table.columns[place];
    const text = SHOWN_AS[column.kind](value);
    if (column.kind === "uuid" && value !== null) {
      const button = element("button", { type: "button", className: "link id", title: text }, text.slice(0, 8));
      button.addEventListener("click", () => openTrace(value));
      return element("td", {}, button);
    }
    const look = [isNumber(column) ? "number" : "text", value ? column.tone : "zero"].join(" ");
    return element("td", { className: look }, ...(isNumber(column) ? [text] : breakable(text)));
  });
  return element("tr", {}, ...cells);
}
