/** Marks on text that was found, painted by the browser without touching the lines, where it can. */

const MARK_NAMES = ["hopx-match", "hopx-match-now"];

export class Marks {
  constructor() {
    /** @type {StaticRange[]} */
    this.ranges = [];
    /** @type {HTMLElement[]} */
    this.lines = [];
    /** @type {Range | null} where the current match is, when it is to be seen at all */
    this.current = null;
  }

  /**
   * @param {HTMLElement | undefined} line @param {number} start @param {number} end
   * @param {boolean} isCurrent
   */
  add(line, start, end, isCurrent) {
    if (!line) return;
    const range = rangeIn(line, start, end);
    if (isCurrent && range) this.current = liveRange(range);
    const marks = matchHighlight(MARK_NAMES[Number(isCurrent)]);
    if (!marks) this.addLine(line);
    else if (range) {
      marks.priority = Number(isCurrent);
      marks.add(range);
      this.ranges.push(range);
    }
  }

  /** @param {HTMLElement | undefined} line that is marked as a whole */
  addLine(line) {
    if (!line) return;
    line.classList.add("hopx-marked-line");
    this.lines.push(line);
  }

  clear() {
    for (const name of MARK_NAMES) {
      const marks = matchHighlight(name);
      for (const range of this.ranges) marks?.delete(range);
    }
    for (const line of this.lines) line.classList.remove("hopx-marked-line");
    this.ranges = [];
    this.lines = [];
    this.current = null;
  }
}

/**
 * A static one: a thousand live ranges would make every change of the lines slow.
 * @param {HTMLElement} node a line @param {number} start @param {number} end @returns {StaticRange | null}
 */
function rangeIn(node, start, end) {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  let position = 0;
  /** @type {{startContainer: Node, startOffset: number} | null} */
  let from = null;
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    if (text.parentElement?.tagName === "BUTTON") break;
    const length = /** @type {Text} */ (text).data.length;
    if (!from && start < position + length) from = { startContainer: text, startOffset: start - position };
    if (from && end <= position + length) {
      return new StaticRange({ ...from, endContainer: text, endOffset: end - position });
    }
    position += length;
  }
  return null;
}

/** @param {StaticRange} range @returns {Range} one whose place in the page can be asked for */
function liveRange(range) {
  const live = document.createRange();
  live.setStart(range.startContainer, range.startOffset);
  live.setEnd(range.endContainer, range.endOffset);
  return live;
}

/** @param {string} name @returns {Highlight | null} all marks of this kind in the page, of all viewers */
function matchHighlight(name) {
  if (typeof Highlight !== "function" || !CSS.highlights) return null;
  const marks = CSS.highlights.get(name) ?? new Highlight();
  CSS.highlights.set(name, marks);
  return marks;
}
