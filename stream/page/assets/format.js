// Numbers, durations and instants in words. Unknown is "–", never 0.

export const NONE = "–";
const GAP = "\u00a0"; // between a number and its unit, where no line may end

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const time = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

/** A count: 950, 12,345, 1.2M. */
export function count(value) {
  if (value == null) return NONE;
  return value < 100_000 ? whole.format(value) : compact.format(value);
}

/** A rate: 0, 0.25, 3.4, 120. */
export function rate(value) {
  if (value == null) return NONE;
  if (value >= 100) return count(value);
  if (value >= 10) return value.toFixed(0);
  return value === 0 ? "0" : value.toFixed(value < 1 ? 2 : 1);
}

/** Seconds: 4 ms, 1.2 s, 2 min 5 s, 3 h 20 min, 4 d. */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 0.0005) return `0${GAP}ms`;
  if (seconds < 0.9995) return `${whole.format(seconds * 1000)}${GAP}ms`;
  if (seconds < 59.5) return `${seconds < 9.95 ? seconds.toFixed(1) : seconds.toFixed(0)}${GAP}s`;
  return parts(Math.round(seconds));
}

function parts(seconds) {
  for (const [unit, name, smaller, smallerName] of [
    [86400, "d", 3600, "h"],
    [3600, "h", 60, "min"],
    [60, "min", 1, "s"],
  ]) {
    if (seconds < unit) continue;
    const rest = Math.floor((seconds % unit) / smaller);
    return `${Math.floor(seconds / unit)}${GAP}${name}${rest ? ` ${rest}${GAP}${smallerName}` : ""}`;
  }
  return `${seconds}${GAP}s`;
}

/** How long something lasts by now: whole seconds, since it is renewed once a second. */
export function age(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole}${GAP}s` : duration(whole);
}

/** A share of one: 100 %, 99.2 %, 12 %, 0.4 %. All and nothing are said only of all and nothing. */
export function percent(share) {
  if (share == null) return NONE;
  const value = share * 100;
  let rounded = Math.round(value);
  if (value > 90 && value < 100) rounded = Math.floor(value * 10) / 10;
  if (value > 0 && value < 5) rounded = Math.max(Math.round(value * 10) / 10, 0.1);
  return `${rounded}${GAP}%`;
}

/** A clock's difference: +0.2 s, −3 s; 0 where it is not worth a word. */
export function skew(seconds) {
  if (seconds == null) return NONE;
  if (Math.abs(seconds) < 0.1) return `0${GAP}s`;
  return `${seconds > 0 ? "+" : "−"}${duration(Math.abs(seconds))}`;
}

export const clock = (instant) => time.format(instant * 1000);
export const date = (instant) => day.format(instant * 1000);

export const shortened = (uuid) => (uuid.length > 13 ? uuid.slice(0, 8) : uuid);
