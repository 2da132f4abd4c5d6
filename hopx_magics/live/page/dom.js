/**
 * Building elements. Text from the kernel reaches the page only through text nodes and attributes.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element with attributes, listeners (`onclick: f`) and children; strings become text, never markup.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes] null and false leave an attribute out, true sets it empty
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setProperty(element, name, value);
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(/** @type {Node | string} */ (child));
  }
  return element;
}

/** @param {Element} element @param {string} name @param {any} value */
function setProperty(element, name, value) {
  if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
  else setAttribute(element, name, value);
}

/**
 * Sets an attribute only where it differs: an unchanged row costs no style or accessibility work.
 * @param {Element} element @param {string} name @param {any} value null and false remove it
 */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/**
 * Changes the text of an element's only text node, in place, so that a selection in it survives.
 * @param {Element} element @param {string} text
 */
export function setText(element, text) {
  const node = element.firstChild;
  if (node === null) {
    if (text !== "") element.append(text);
  } else if (/** @type {Text} */ (node).data !== text) {
    /** @type {Text} */ (node).data = text;
  }
}

/** Lines in a square of 16. */
const SHAPES = {
  open: "M2 3h12v10H2zM2 6h12M4.5 8.5l1.5 1.5-1.5 1.5M8 11.5h3",
  displays: "M2 3h12v10H2zM2.3 11.2l3.4-3.6 2.5 2.6 1.8-1.8 3.7 3.6M10.6 5.8h.1",
  kill: "M4.5 4.5h7v7h-7z",
  rerun: "M12.6 8a4.6 4.6 0 1 1-1.5-3.4M11.4 1.9v3h-3",
  copy: "M6 5.5h7v8H6zM10 5.5v-3H3v8h3",
  bell: "M8 2.2c-2.4 0-3.8 1.7-3.8 4v2.6L3 11.3h10l-1.2-2.5V6.2c0-2.3-1.4-4-3.8-4zM6.7 13.4c.7.6 1.9.6 2.6 0",
  keys: "M1.5 4h13v8.5h-13zM4 6.8h.1M6.7 6.8h.1M9.3 6.8h.1M12 6.8h.1M4.5 9.8h7",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  pin: "M6 2h4M6.7 2v4.6L4.4 9.4h7.2L9.3 6.6V2M8 9.4V14",
  close: "M4 4l8 8M12 4l-8 8",
  wrap: "M2.5 3.5h11M2.5 7.5h8.7a2.1 2.1 0 0 1 0 4.2H8M9.8 9.8L7.9 11.7l1.9 1.9M2.5 11.7h2.6",
  download: "M8 2.5v7.2M4.9 6.9L8 10l3.1-3.1M3 13.5h10",
  find: "M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4zM10.2 10.2l3.3 3.3",
  "to-end": "M4.2 3l3.8 3.8L11.8 3M4.2 7.5L8 11.3l3.8-3.8M3 14h10",
  older: "M3.8 10L8 5.8l4.2 4.2",
  newer: "M3.8 6L8 10.2 12.2 6",
  "close-find": "M4.5 4.5l7 7M11.5 4.5l-7 7",
};

/** @typedef {keyof typeof SHAPES} Shape */

/**
 * A line drawing in the colour of the text around it.
 * @param {Shape} shape
 */
export function drawing(shape) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("class", "hopx-drawing");
  picture.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[shape]);
  picture.append(path);
  return picture;
}

/**
 * Puts text on the clipboard, also where the page may not use the clipboard interface (plain http).
 * @param {string} text
 * @returns {Promise<boolean>} whether it is there
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text);
  }
}

/** @param {string} text */
function copyByCommand(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const area = el("textarea", { class: "hopx-offscreen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  let done = false;
  try {
    done = document.execCommand("copy");
  } catch {
    done = false;
  }
  area.remove();
  focused?.focus?.({ preventScroll: true });
  return done;
}

/**
 * Calls `work` once for any number of requests, with the next frame; where frames don't come (a tab in the
 * background), a timer does it, so that nothing piles up meanwhile.
 */
export class FrameBatch {
  /** @param {() => void} work */
  constructor(work) {
    this.work = work;
    this.frame = 0;
    this.timer = 0;
  }

  request() {
    if (this.timer) return;
    this.timer = window.setTimeout(() => this.run(), 1000);
    this.frame = requestAnimationFrame(() => this.run());
  }

  run() {
    this.cancel();
    this.work();
  }

  cancel() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.timer = 0;
  }
}
