// How each state looks: a colour, and always its word.

import { h } from "./dom.js";

const LEVELS = {
  SENT: "wait",
  RECEIVED: "wait",
  STARTED: "busy",
  RETRY: "warn",
  SUCCESS: "good",
  FAILURE: "bad",
  REVOKED: "idle",
  REJECTED: "bad",
  LOST: "bad",
  UNKNOWN: "warn",
  REQUEUED: "warn",
  CANCELLED: "idle",
  REPLACED: "idle",
  stuck: "bad",
  unsure: "warn",
  stalled: "bad",
  late: "bad",
  online: "good",
  suspect: "warn",
  lost: "bad",
  offline: "idle",
};

export const levelOf = (state) => LEVELS[state] ?? "idle";

export function stateOf(state, ...more) {
  return h("span", { class: "state", "data-level": levelOf(state) }, state, ...more);
}
