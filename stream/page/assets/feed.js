// What changes, as it changes. Nothing is asked while nobody looks.

const RETRY_MS = 2000;

/**
 * Call `handlers[event](data)` for what the service sends, and `onState` with whether it does.
 * The browser's own reconnecting gives up on an error status, so it is done here.
 */
export function listen(url, handlers, onState) {
  let source = null;
  let timer = 0;

  function open() {
    clearTimeout(timer);
    if (source || document.hidden) return;
    source = new EventSource(new URL(url, location.origin));
    source.onopen = () => onState(true);
    source.onerror = () => {
      close();
      onState(false);
      timer = setTimeout(open, RETRY_MS);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
  }

  function close() {
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}

/** Ask for JSON; an answer that says what is wrong is thrown. */
export async function ask(path, signal) {
  // Not relative to the page: its address may hold a password, with which nothing can be fetched.
  const answer = await fetch(new URL(path, location.origin), { signal, headers: { accept: "application/json" } });
  const body = await answer.json().catch(() => ({ error: `The service answered ${answer.status}.` }));
  if (!answer.ok) throw Object.assign(new Error(body.error), { status: answer.status });
  return body;
}
