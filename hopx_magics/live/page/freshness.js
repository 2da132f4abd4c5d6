/** How fresh the table is, in words. Pure. */
import { formatCounting, formatCounts } from "./format.js";

/** @import { ConnectionState, Status } from "./messages.js" */
/** @typedef {{state: string, text: string, title: string}} Sentence */

/** Seconds before its end from which on it is said that a sandbox ends. */
const ENDS_SOON = 900;

/**
 * The one sentence that matters most: nothing hides that numbers are dead or late.
 * @param {object} known
 * @param {boolean} known.ready whether rows have come
 * @param {boolean} known.closed
 * @param {"live" | "busy" | "gone"} known.kernel
 * @param {ConnectionState[]} known.connections
 * @param {Record<Status, number>} known.counts
 * @param {boolean} known.anyOpen
 * @param {number} known.now the kernel's clock
 * @param {number} known.heard when the kernel last said anything, by its clock
 * @returns {Sentence}
 */
export function freshnessOf(known) {
  const freshness = sentence(known);
  const ending = known.closed || known.kernel === "gone" ? "" : expiryOf(known.connections, known.now);
  return ending ? { ...freshness, text: `${freshness.text}, ${ending}` } : freshness;
}

/** @param {ConnectionState[]} connections @param {number} now @returns {string} which sandbox ends soon */
function expiryOf(connections, now) {
  const ending = connections
    .filter((connection) => connection.ends != null && connection.ends - now < ENDS_SOON)
    .sort((a, b) => /** @type {number} */ (a.ends) - /** @type {number} */ (b.ends))[0];
  if (!ending) return "";
  const left = /** @type {number} */ (ending.ends) - now;
  return left <= 0 ? `${ending.name} has expired` : `${ending.name} expires in ${formatCounting(whole(left))}`;
}

/** @param {Parameters<typeof freshnessOf>[0]} known @returns {Sentence} */
function sentence({ ready, closed, kernel, connections, counts, anyOpen, now, heard }) {
  if (closed) return { state: "closed", text: "closed", title: "This table was closed; run the cell again to follow on." };
  if (kernel === "gone") {
    return { state: "gone", text: "kernel gone, run the cell again", title: "These are the last numbers it told." };
  }
  const worst = worstOf(connections);
  const title = connections.map((connection) => hoverOf(connection, now, heard)).join("\n");
  if (!ready) return waiting(kernel);
  if (worst?.state === "silent") return { state: "silent", text: sentenceOf(worst, now, heard), title };
  if (kernel === "busy") {
    const busy = "A cell is running. Rows go on changing; what you click is done when the cell ends.";
    return { state: "busy", text: "kernel busy", title: [busy, title].filter(Boolean).join("\n") };
  }
  const ended = formatCounts(counts);
  if (!anyOpen && ended) return { state: "ended", text: `ended: ${ended}`, title };
  if (!worst || worst.state === "live") return { state: "live", text: "live", title };
  return { state: "updated", text: sentenceOf(worst, now, heard), title };
}

/** @param {string} kernel @returns {Sentence} */
function waiting(kernel) {
  if (kernel === "busy") return { state: "busy", text: "kernel busy", title: "The rows come when its cell ends." };
  return { state: "connecting", text: "connecting…", title: "" };
}

/** @param {ConnectionState[]} connections @returns {ConnectionState | undefined} */
function worstOf(connections) {
  const badness = { live: 0, polling: 1, connecting: 2, silent: 3 };
  return [...connections].sort((a, b) => badness[b.state] - badness[a.state] || updatedOf(a) - updatedOf(b))[0];
}

/** @param {ConnectionState} connection */
function updatedOf(connection) {
  return connection.updated ?? 0;
}

/** @param {ConnectionState} connection @param {number} now @param {number} heard */
function sentenceOf(connection, now, heard) {
  if (connection.state === "silent") {
    const answered = connection.updated ?? connection.since ?? now;
    return `no answer for ${formatCounting(whole(now - answered))}: retrying`;
  }
  if (connection.state === "live") return "live";
  if (connection.state === "connecting") return "connecting…";
  return `updated ${formatCounting(whole(now - (connection.updated ?? heard)))} ago`;
}

/** @param {ConnectionState} connection @param {number} now @param {number} heard */
function hoverOf(connection, now, heard) {
  const rhythm = connection.state === "polling" ? `, asked every ${connection.interval} s` : "";
  const error = connection.error ? `\n${connection.error}` : "";
  return `${connection.name}: ${sentenceOf(connection, now, heard)}${rhythm}${error}`;
}

/** @param {number} seconds */
function whole(seconds) {
  return Math.max(1, Math.round(seconds));
}
