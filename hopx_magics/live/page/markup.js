/** HTML that is nothing but text in tables, lists and paragraphs, built anew from what may be in it. */

import { el } from "./dom.js";

/** What `display/plain_html.py` writes. */
const PLAIN = new Set([
  "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "br", "hr", "ul", "ol", "li", "b", "i", "em", "strong",
  "code", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6",
]);

/** @param {string} html @returns {HTMLElement} */
export function plainMarkup(html) {
  // What is parsed this way runs and loads nothing.
  const parsed = new DOMParser().parseFromString(html, "text/html");
  return el("div", { class: "hopx-markup" }, plainCopies(parsed.body));
}

/** @param {Node} parent @returns {Node[]} */
function plainCopies(parent) {
  return [...parent.childNodes].flatMap((node) => {
    if (node instanceof Text) return [document.createTextNode(node.data)];
    return node instanceof Element ? plainCopy(node) : [];
  });
}

/** @param {Element} element @returns {Node[]} */
function plainCopy(element) {
  const tag = element.localName;
  const href = element.getAttribute("href") ?? "";
  if (tag === "a" && /^https?:\/\//i.test(href)) {
    return [el("a", { href, target: "_blank", rel: "noopener noreferrer" }, plainCopies(element))];
  }
  if (!PLAIN.has(tag)) return plainCopies(element);
  // The corner above an index is no header of anything.
  const built = document.createElement(tag === "th" && !element.textContent?.trim() ? "td" : tag);
  for (const name of ["colspan", "rowspan"]) {
    const span = element.getAttribute(name);
    if (span && /^\d{1,4}$/.test(span)) built.setAttribute(name, span);
  }
  built.append(...plainCopies(element));
  return [built];
}
