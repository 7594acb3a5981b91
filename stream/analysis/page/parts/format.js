// Elements and texts. Nothing that comes from the capture is ever read as markup.

/** Make an element; properties that begin with "data-" or "aria-" and `role` are attributes. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(data-|aria-|role$|colspan$|rowspan$)/.test(name)) made.setAttribute(name, value);
    else if (name === "colour") made.style.setProperty("--colour", value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);
const NONE = "-";

/** Three digits and a unit, as in the terminal. */
function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return NONE;
  if (seconds < 0) return "−" + duration(-seconds);
  if (seconds === 0) return "0s";
  const units = [[0.9995, "ms", 1e-3], [99.95, "s", 1], [5997, "m", 60], [359820, "h", 3600]];
  const [, unit, per] = units.find(([limit]) => seconds < limit) ?? [0, "d", 86400];
  const value = seconds / per;
  return `${value < 0.995 ? value.toFixed(1).replace(".0", "") : threeDigits(value)}${unit}`;
}

function threeDigits(value) {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A count, or a rate, with as many decimals as it deserves. */
function count(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  const digits = Number.isInteger(value) || value >= 1000 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

function share(value) {
  if (value === null) return NONE;
  return value === 1 ? "100%" : `${Math.min(value * 100, 99.9).toFixed(1)}%`;
}

function isInstant(at) {
  return at !== null && at >= 0 && at < 1e11;
}

/** The day and time of an instant, in UTC. */
function instant(at) {
  return isInstant(at) ? new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ") : NONE;
}

/** The time of day, in UTC, with as many digits as a time that is `span` seconds long needs. */
function timeOfDay(at, span = 3600) {
  if (!isInstant(at)) return NONE;
  return new Date(at * 1000).toISOString().slice(11, span < 60 ? 23 : 19);
}

const plural = (number, one, many = one + "s") => `${count(number)} ${number === 1 ? one : many}`;
