/**
 * The last minutes, as the tool has kept them. They are some megabytes of JSON: a worker reads them, so that the page
 * goes on in the meantime.
 */

/** Calls back with `{seq, times, columns}`, or with null where there is nothing to be had. */
export function history(done) {
  const worker = new Worker("history-worker.js", { type: "module" });
  const end = (history) => {
    worker.terminate();
    done(history);
  };
  worker.addEventListener("message", ({ data }) => end(data));
  worker.addEventListener("error", () => end(null));
}
