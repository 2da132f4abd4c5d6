/** The lines of a stream that are loaded, and which bytes of it they show. */

import { lineElement, lineLength, lineText, sameLine, updateLine } from "./ansi.js";

/** @import { Line } from "./messages.js" */
/** @typedef {{count: number, begin: number, end: number}} Piece lines that came together, and their bytes */

const MOST_LINES = 5000;
const MOST_CHARACTERS = 1_000_000;
/** Lines are put into blocks of this many: the browser lays out only the blocks that are near to be seen. */
const BLOCK_LINES = 100;
const encoder = new TextEncoder();

/** Lines numbered from `first` on, each with its element. */
export class LineWindow {
  constructor() {
    this.element = document.createElement("div");
    this.element.className = "hopx-lines";
    /** @type {Line[]} */
    this.lines = [];
    /** @type {HTMLElement[]} */
    this.nodes = [];
    /** @type {Piece[]} */
    this.pieces = [];
    this.first = 0;
    this.characters = 0;
  }

  get begin() {
    return this.pieces.length ? this.pieces[0].begin : 0;
  }

  get end() {
    return this.pieces.length ? this.pieces[this.pieces.length - 1].end : 0;
  }

  /** What is loaded, as plain text. */
  text() {
    return this.lines.map(lineText).join("\n");
  }

  /** @param {Line[]} lines @param {number} first @param {number} begin @param {number} end */
  reset(lines, first, begin, end) {
    this.first = first;
    this.#replaceFrom(0, lines);
    this.pieces = [{ count: lines.length, begin, end }];
  }

  /**
   * From a line number on, the lines are others now.
   * @param {number} number @param {Line[]} lines @param {number} end
   * @returns {boolean} false if lines between are missing here
   */
  grow(number, lines, end) {
    const index = number - this.first;
    if (index > this.lines.length || !this.pieces.length) return false;
    const last = this.pieces[this.pieces.length - 1];
    const before = this.lines.length;
    this.#replaceFrom(Math.max(index, 0), index < 0 ? lines.slice(-index) : lines);
    last.count = Math.max(last.count + this.lines.length - before, 0);
    last.end = end;
    return true;
  }

  /** @param {Line[]} lines @param {number} begin */
  prepend(lines, begin) {
    const nodes = lines.map(lineElement);
    this.pieces.unshift({ count: lines.length, begin, end: this.begin });
    this.lines = lines.concat(this.lines);
    this.nodes = nodes.concat(this.nodes);
    this.first -= lines.length;
    this.#count(lines, 1);
    this.element.prepend(fragmentOf(blocksOf(nodes)));
  }

  /** @param {Line[]} lines @param {number} end */
  append(lines, end) {
    this.pieces.push({ count: lines.length, begin: this.end, end });
    this.#replaceFrom(this.lines.length, lines);
  }

  /** @param {number} count lines to forget at the top @param {number} begin the byte that is the first one then */
  dropTop(count, begin) {
    this.#removeTop(count);
    let left = count;
    while (this.pieces.length > 1 && left >= this.pieces[0].count) left -= this.pieces.shift()?.count ?? 0;
    if (!this.pieces.length) return;
    this.pieces[0].count = Math.max(this.pieces[0].count - left, 0);
    this.pieces[0].begin = begin;
  }

  get tooMuch() {
    return this.lines.length > MOST_LINES || this.characters > MOST_CHARACTERS;
  }

  /** Whole pieces are forgotten only: their bytes are known, those of a line are not. */
  trimTop() {
    while (this.tooMuch && this.pieces.length > 1) this.#removeTop(this.pieces.shift()?.count ?? 0);
  }

  /** @returns {boolean} whether anything went */
  trimBottom() {
    const pieces = this.pieces.length;
    while (this.tooMuch && this.pieces.length > 1) this.#removeBottom(this.pieces.pop()?.count ?? 0);
    return this.pieces.length < pieces;
  }

  /** Keeps a stream that is followed within bounds, where its sender did not; then `begin` is a guess. */
  trimFollowed() {
    if (!this.tooMuch) return;
    let [count, characters, bytes] = [0, this.characters, 0];
    while (this.lines.length - count > MOST_LINES || (characters > MOST_CHARACTERS && count < this.lines.length - 1)) {
      characters -= lineLength(this.lines[count]);
      bytes += encoder.encode(lineText(this.lines[count])).length + 1;
      count += 1;
    }
    this.dropTop(count, Math.min(this.begin + bytes, this.end));
  }

  /** @param {number} count */
  #removeTop(count) {
    this.#count(this.lines.splice(0, count), -1);
    this.nodes.splice(0, count).forEach(removeLine);
    this.first += count;
  }

  /** @param {number} count */
  #removeBottom(count) {
    if (!count) return;
    this.#count(this.lines.splice(-count), -1);
    this.nodes.splice(-count).forEach(removeLine);
  }

  /**
   * Elements of lines that stay the same are not touched: a selection in them survives.
   * @param {number} index @param {Line[]} lines
   */
  #replaceFrom(index, lines) {
    const common = Math.min(this.lines.length - index, lines.length);
    for (let at = 0; at < common; at += 1) this.#update(index + at, lines[at]);
    this.#removeBottom(this.lines.length - index - common);
    const added = lines.slice(common);
    const nodes = added.map(lineElement);
    for (const line of added) this.lines.push(line);
    for (const node of nodes) this.nodes.push(node);
    this.#count(added, 1);
    this.#appendNodes(nodes);
  }

  /** @param {HTMLElement[]} nodes */
  #appendNodes(nodes) {
    const last = /** @type {HTMLElement | null} */ (this.element.lastElementChild);
    const room = last ? Math.max(BLOCK_LINES - last.childElementCount, 0) : 0;
    if (last && room && nodes.length) {
      last.append(fragmentOf(nodes.slice(0, room)));
      estimateBlock(last);
    }
    if (nodes.length > room) this.element.append(fragmentOf(blocksOf(nodes.slice(room))));
  }

  /** @param {number} y in the page @returns {HTMLElement | null} the first line that ends below it, or the last */
  lineAt(y) {
    const block = firstBelow(this.element.children, y);
    return block ? firstBelow(block.children, y) : null;
  }

  /** @param {number} index @param {Line} line */
  #update(index, line) {
    const was = this.lines[index];
    if (sameLine(was, line)) return;
    this.characters += lineLength(line) - lineLength(was);
    this.lines[index] = line;
    updateLine(this.nodes[index], line);
  }

  /** @param {Line[]} lines @param {1 | -1} sign */
  #count(lines, sign) {
    for (const line of lines) this.characters += sign * lineLength(line);
  }
}

/** @param {HTMLCollection} elements one below the other @param {number} y @returns {HTMLElement | null} */
function firstBelow(elements, y) {
  let [low, high] = [0, elements.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (elements[middle].getBoundingClientRect().bottom > y) high = middle;
    else low = middle + 1;
  }
  return /** @type {HTMLElement | undefined} */ (elements[low]) ?? null;
}

/** @param {HTMLElement[]} nodes @returns {HTMLElement[]} */
function blocksOf(nodes) {
  const blocks = [];
  for (let at = 0; at < nodes.length; at += BLOCK_LINES) {
    const block = document.createElement("div");
    block.className = "hopx-block";
    block.append(fragmentOf(nodes.slice(at, at + BLOCK_LINES)));
    estimateBlock(block);
    blocks.push(block);
  }
  return blocks;
}

/** @param {HTMLElement} block */
function estimateBlock(block) {
  block.style.containIntrinsicSize = `auto 0px auto ${block.childElementCount}lh`;
}

/** @param {HTMLElement} node */
function removeLine(node) {
  const block = node.parentElement;
  node.remove();
  if (block && !block.firstChild) block.remove();
}

/** @param {HTMLElement[]} nodes */
function fragmentOf(nodes) {
  const fragment = document.createDocumentFragment();
  for (const node of nodes) fragment.append(node);
  return fragment;
}
