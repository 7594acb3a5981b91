// The live page: what is sent goes into the tables, what is searched for is asked for.

import { byId, say, setClock, tick } from "./dom.js";
import { ask, listen } from "./feed.js";
import { clock, date } from "./format.js";
import { showHealth, tiles } from "./overview.js";
import { showFailures, showPeriodic, showQueues, showStuck, showWorkers } from "./tables.js";
import { sheet } from "./task.js";
import { tasks } from "./tasks.js";
import { theme } from "./theme.js";

theme(byId("theme"));
const overviewTiles = tiles(byId("tiles"));
const renewTasks = tasks(() => {}); // a service that is away is told once, by the feed
const renewSheet = sheet();
let heard = 0;
let connected = false;

function showOverview(overview) {
  heard = overview.at;
  setClock(overview.at);
  overviewTiles.show(overview);
  showHealth(overview);
  showBrokers(overview.brokers);
  say(byId("about"), `celery-stream ${overview.version}, watching since ${date(overview.started_at)}. Read-only.`);
}

function showBrokers(brokers) {
  const select = byId("broker");
  byId("broker-field").hidden = brokers.length < 2;
  for (const { name } of brokers) {
    if (![...select.options].some((option) => option.value === name)) select.append(new Option(name, name));
  }
}

function showState(isConnected) {
  connected = isConnected;
  if (connected) return;
  const pill = byId("health");
  pill.dataset.level = "bad";
  say(pill, "no connection");
  const notice = byId("notice");
  notice.hidden = false;
  say(notice, `The service does not answer${heard ? `; what is shown is of ${clock(heard)}` : ""}. Trying again …`);
}

addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !byId("task").open) {
    event.preventDefault();
    byId("q").focus();
    byId("q").select();
  } else if (event.key === "Escape" && event.target === byId("q")) {
    byId("q").blur();
  }
});

setInterval(() => {
  if (document.hidden) return;
  tick();
  if (!connected) return;
  renewTasks();
  renewSheet();
}, 1000);

async function begin() {
  try {
    const overview = await ask("/api/overview");
    overviewTiles.begin(overview.series);
    showOverview(overview);
  } catch {
    showState(false);
  }
  renewTasks(true);
  listen(
    "/api/events",
    {
      overview: showOverview,
      queues: showQueues,
      workers: showWorkers,
      periodic: showPeriodic,
      failures: showFailures,
      stuck: showStuck,
    },
    showState,
  );
}

begin();
