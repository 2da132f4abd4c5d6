/** What a line of output looks like: runs with styles, and links, as DOM nodes made of text alone. */

import { formatCount } from "./format.js";

/** @import { Line } from "./messages.js" */
/** @typedef {{classes: string, color: string, background: string}} Look */

const SHOWN_CHARACTERS = 5000;
const MORE_CHARACTERS = 50000;
const LOOKS_KEPT = 2000;
const STYLE_CLASSES = { b: "hopx-b", d: "hopx-d", i: "hopx-i", u: "hopx-u", s: "hopx-s" };
const CUBE_LEVELS = [0, 95, 135, 175, 215, 255];
// Characters that only steer the writing direction could make an address look like another one.
const LINK = /\bhttps?:\/\/[^\s<>"'`{}|\\^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+/gi;
const CLOSING = { ")": "(", "]": "[" };

/** @type {Map<string, Look>} */
const looks = new Map();

/** @param {Line} line @returns {string} what is read there */
export function lineText(line) {
  return typeof line === "string" ? line : line.map((run) => run[0]).join("");
}

/** @param {Line} line @returns {number} */
export function lineLength(line) {
  if (typeof line === "string") return line.length;
  return line.reduce((length, run) => length + run[0].length, 0);
}

/** @param {Line} one @param {Line} other @returns {boolean} */
export function sameLine(one, other) {
  if (one === other) return true;
  if (typeof one === "string" || typeof other === "string") return false;
  if (one.length !== other.length) return false;
  return one.every((run, index) => run[0] === other[index][0] && run[1] === other[index][1]);
}

/** @param {Line} line @returns {HTMLElement} */
export function lineElement(line) {
  const element = document.createElement("div");
  element.className = "hopx-line";
  fillLine(element, line);
  return element;
}

/**
 * Shows another line in an element; a plain one keeps its text node, and with it a selection elsewhere.
 * @param {HTMLElement} element @param {Line} line
 */
export function updateLine(element, line) {
  const only = element.childNodes.length === 1 ? element.firstChild : null;
  if (only instanceof Text && isPlain(line)) only.data = line;
  else {
    element.textContent = "";
    fillLine(element, line);
  }
}

/** @param {Line} line @returns {line is string} */
function isPlain(line) {
  return typeof line === "string" && line.length > 0 && line.length <= SHOWN_CHARACTERS && !line.includes("://");
}

/** @param {HTMLElement} element @param {Line} line */
function fillLine(element, line) {
  if (isPlain(line)) element.textContent = line;
  else if (!lineLength(line)) element.append(document.createElement("br"));
  else appendPart(element, line, 0, SHOWN_CHARACTERS);
}

/**
 * Appends the characters from `from` on, at most `count`, and a button for what is left.
 * @param {HTMLElement} element @param {Line} line @param {number} from @param {number} count
 */
function appendPart(element, line, from, count) {
  const length = lineLength(line);
  const until = length - from <= count * 1.1 ? length : from + count;
  let position = 0;
  for (const [text, style] of typeof line === "string" ? [[line, ""]] : line) {
    const start = Math.max(from - position, 0);
    const end = Math.min(until - position, text.length);
    if (start < end) appendRun(element, text.slice(start, end), style);
    position += text.length;
    if (position >= until) break;
  }
  if (until < length) element.append(moreButton(element, line, until, length - until));
}

/** @param {HTMLElement} element @param {Line} line @param {number} from @param {number} left */
function moreButton(element, line, from, left) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "hopx-rest";
  button.textContent = `… ${formatCount(left)} more characters`;
  button.title = left > MORE_CHARACTERS ? `Show the next ${formatCount(MORE_CHARACTERS)}` : "Show them";
  button.addEventListener("click", () => {
    button.remove();
    appendPart(element, line, from, MORE_CHARACTERS);
  });
  return button;
}

/** @param {HTMLElement} element @param {string} text @param {string} style */
function appendRun(element, text, style) {
  if (!style) {
    appendLinked(element, text);
    return;
  }
  const span = document.createElement("span");
  const look = lookOf(style);
  span.className = look.classes;
  if (look.color) span.style.setProperty("--hopx-ink", look.color);
  if (look.background) span.style.setProperty("--hopx-paper", look.background);
  appendLinked(span, text);
  element.append(span);
}

/** @param {HTMLElement} element @param {string} text */
function appendLinked(element, text) {
  let position = 0;
  if (text.includes("://")) {
    for (const match of text.matchAll(LINK)) {
      const address = withoutPunctuation(match[0]);
      if (!isWebAddress(address)) continue;
      element.append(text.slice(position, match.index), linkElement(address));
      position = match.index + address.length;
    }
  }
  if (position < text.length) element.append(text.slice(position));
}

/** @param {string} address @returns {string} the address without what ends the sentence or bracket around it */
function withoutPunctuation(address) {
  let end = address.length;
  while (end > 0) {
    const last = address[end - 1];
    const opening = CLOSING[/** @type {keyof typeof CLOSING} */ (last)];
    const closesNothing = opening && !address.slice(0, end - 1).includes(opening);
    if (!closesNothing && !".,;:!?*_~".includes(last)) break;
    end -= 1;
  }
  return address.slice(0, end);
}

/** @param {string} address */
function isWebAddress(address) {
  try {
    const { protocol, hostname } = new URL(address);
    return (protocol === "http:" || protocol === "https:") && hostname !== "";
  } catch {
    return false;
  }
}

/** @param {string} address */
function linkElement(address) {
  const link = document.createElement("a");
  link.href = address;
  link.rel = "noopener noreferrer";
  link.target = "_blank";
  link.textContent = address;
  return link;
}

/** @param {string} style @returns {Look} */
function lookOf(style) {
  let look = looks.get(style);
  if (!look) {
    // A gradient makes thousands of styles that are seen once.
    if (looks.size >= LOOKS_KEPT) looks.clear();
    look = readStyle(style);
    looks.set(style, look);
  }
  return look;
}

/** @param {string} style @returns {Look} */
function readStyle(style) {
  const classes = [];
  let [ink, paper, inverse] = ["", "", false];
  for (const token of style.split(" ")) {
    const known = STYLE_CLASSES[/** @type {keyof typeof STYLE_CLASSES} */ (token)];
    if (known) classes.push(known);
    else if (token === "r") inverse = true;
    else if (/^(f\d{1,3}|F[0-9a-f]{6})$/i.test(token)) [ink, paper] = pick(token, ink, paper);
    else if (/^(g\d{1,3}|G[0-9a-f]{6})$/i.test(token)) [ink, paper] = pick(token, ink, paper);
  }
  if (inverse) [ink, paper] = [paper, ink];
  return coloured(classes, ink, paper, inverse);
}

/** @param {string} token @param {string} ink @param {string} paper @returns {[string, string]} both as digits */
function pick(token, ink, paper) {
  return token[0].toLowerCase() === "f" ? [token.slice(1), paper] : [ink, token.slice(1)];
}

/**
 * Colours of the theme's palette become classes, all others numbers.
 * @param {string[]} classes @param {string} ink @param {string} paper @param {boolean} inverse @returns {Look}
 */
function coloured(classes, ink, paper, inverse) {
  let [color, background] = ["", ""];
  if (isPalette(paper)) classes.push("hopx-on", `hopx-g${Number(paper)}`);
  else if (paper) {
    const rgb = rgbOf(paper);
    background = `rgb(${rgb.join(",")})`;
    classes.push("hopx-on", isLight(rgb) ? "hopx-paper-light" : "hopx-paper-dark");
  } else if (inverse) classes.push("hopx-r");
  if (isPalette(ink)) classes.push(`hopx-f${Number(ink)}`);
  else if (ink) {
    color = `rgb(${rgbOf(ink).join(",")})`;
    classes.push("hopx-ink");
  }
  return { classes: classes.join(" "), color, background };
}

/** @param {string} colour */
function isPalette(colour) {
  return colour !== "" && colour.length <= 2 && Number(colour) < 16;
}

/** @param {string} colour a number of the 256-colour palette from 16 on, or six hexadecimal digits */
function rgbOf(colour) {
  if (colour.length === 6) return [0, 2, 4].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const index = Math.min(Number(colour), 255);
  if (index >= 232) return Array(3).fill(8 + 10 * (index - 232));
  const cell = index - 16;
  return [Math.floor(cell / 36), Math.floor(cell / 6) % 6, cell % 6].map((level) => CUBE_LEVELS[level]);
}

/** @param {number[]} rgb */
function isLight([red, green, blue]) {
  const linear = [red, green, blue].map((value) => (value / 255) ** 2.2);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18;
}
