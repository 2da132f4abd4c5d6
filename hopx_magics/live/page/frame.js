/** HTML of a process in a frame that has no part in the page: the only place where HTML is given to the browser. */

import { el } from "./dom.js";

/** @import { FrameForm } from "./messages.js" */

const HEIGHT_WITH_SCRIPTS = 400;

/**
 * Nothing in it runs, unless the reader lets it, and then without a way to the page.
 * @param {FrameForm} form @param {string} scheme of colours, as CSS has it @returns {HTMLElement[]}
 */
export function harmlessFrame({ document: told, height, scripts }, scheme) {
  const document = `<!DOCTYPE html><meta name="color-scheme" content="${scheme}">${told}`;
  const quiet = frameElement("", document, height);
  if (!scripts) return [quiet];
  const run = () => {
    quiet.replaceWith(frameElement("allow-scripts", document, Math.max(quiet.offsetHeight, HEIGHT_WITH_SCRIPTS)));
    bar.remove();
  };
  const button = el("button", { type: "button", class: "hopx-earlier", onclick: run }, "run its scripts");
  const bar = el("div", { class: "hopx-frame-bar" }, button);
  return [bar, quiet];
}

/** @param {"" | "allow-scripts"} sandbox @param {string} document @param {number} height */
function frameElement(sandbox, document, height) {
  const frame = el("iframe", { class: "hopx-frame", title: "HTML of the process", sandbox, referrerpolicy: "no-referrer" });
  frame.style.height = `${height}px`;
  frame.srcdoc = document;
  return frame;
}
