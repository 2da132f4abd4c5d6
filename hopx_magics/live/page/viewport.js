/**
 * The lines that can be seen, as elements. A line's element stays with its row while the row can be seen, so that
 * focus, hover and marked text stay; elements of lines that left serve those that came.
 */
import { GroupLine, ROW_HEIGHT, RowLine } from "./rows.js";
import { isGroup, itemKey } from "./order.js";

const BEYOND = 4;

/** @typedef {RowLine | GroupLine} AnyLine */

export class Viewport {
  /**
   * @param {HTMLElement} body
   * @param {(line: AnyLine, item: import("./order.js").Item, index: number) => void} paint
   */
  constructor(body, paint) {
    this.body = body;
    this.paint = paint;
    /** @type {Map<number | string, AnyLine>} */
    this.lines = new Map();
    /** @type {import("./columns.js").Column[]} */
    this.columns = [];
    this.length = -1;
  }

  /** @param {import("./columns.js").Column[]} columns @returns {boolean} whether the lines have to be made anew */
  setColumns(columns) {
    const keys = (/** @type {import("./columns.js").Column[]} */ list) => list.map(({ key }) => key).join();
    if (keys(columns) === keys(this.columns)) return false;
    this.columns = columns;
    this.lines.clear();
    this.body.replaceChildren();
    return true;
  }

  /** @param {number} length of all lines, seen or not */
  setLength(length) {
    if (length === this.length) return;
    this.length = length;
    this.body.style.height = `${length * ROW_HEIGHT}px`;
  }

  /**
   * @param {import("./order.js").Item[]} items @param {number} top @param {number} height in pixels
   */
  render(items, top, height) {
    const inUse = placesInUse();
    this.setLength(items.length);
    const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - BEYOND);
    const end = Math.min(items.length, Math.ceil((top + height) / ROW_HEIGHT) + BEYOND);
    const wanted = new Set(items.slice(first, end).map(itemKey));
    const { kept, free } = this.#sortOut(wanted, inUse);
    /** @type {AnyLine[]} */
    const shown = [];
    for (let index = first; index < end; index += 1) {
      const line = this.#lineFor(items[index], free);
      this.paint(line, items[index], index);
      shown.push(line);
    }
    for (const line of [...free.values()].flat()) line.element.remove();
    this.#paintKept(kept, items);
    this.#arrange(shown, inUse);
  }

  /** @param {number | string} key @returns {HTMLElement | undefined} */
  elementOf(key) {
    return this.lines.get(key)?.element;
  }

  /** @param {Set<number | string>} wanted @param {Node[]} inUse */
  #sortOut(wanted, inUse) {
    /** @type {Map<boolean, AnyLine[]>} by whether they are of groups */
    const free = new Map([[false, []], [true, []]]);
    /** @type {AnyLine[]} */
    const kept = [];
    for (const [key, line] of this.lines) {
      if (wanted.has(key)) continue;
      if (isInUse(line.element, inUse)) kept.push(line);
      else {
        this.lines.delete(key);
        free.get(typeof key === "string")?.push(line);
      }
    }
    return { kept, free };
  }

  /** @param {import("./order.js").Item} item @param {Map<boolean, AnyLine[]>} free */
  #lineFor(item, free) {
    const key = itemKey(item);
    let line = this.lines.get(key);
    if (line) return line;
    line = free.get(isGroup(item))?.pop() ?? (isGroup(item) ? new GroupLine() : new RowLine(this.columns));
    this.lines.set(key, line);
    return line;
  }

  /**
   * Out of sight, but with the focus or marked text in it: it moves with its row, and goes only with it.
   * @param {AnyLine[]} kept @param {import("./order.js").Item[]} items
   */
  #paintKept(kept, items) {
    for (const line of kept) {
      const index = items.findIndex((item) => itemKey(item) === line.key);
      if (index >= 0) this.paint(line, items[index], index);
      else {
        this.lines.delete(line.key);
        line.element.remove();
      }
    }
  }

  /**
   * Brings the elements into the order in which they are seen, for screen readers, moving as few as possible;
   * moving one would take the focus and the marked text from it.
   * @param {AnyLine[]} shown @param {Node[]} inUse
   */
  #arrange(shown, inUse) {
    let cursor = this.body.firstElementChild;
    for (const { element } of shown) {
      if (element !== cursor && cursor?.nextElementSibling === element && !isInUse(cursor, inUse)) {
        this.body.append(cursor);
        cursor = element;
      }
      if (element === cursor) cursor = element.nextElementSibling;
      else if (!element.isConnected || !isInUse(element, inUse)) this.body.insertBefore(element, cursor);
    }
  }
}

/**
 * Where the focus and the beginning of marked text are. Asked once for all rows: between two changes of the page each
 * question for the focus makes the browser lay it out anew.
 * @returns {Node[]}
 */
function placesInUse() {
  const marked = document.getSelection();
  return [document.activeElement, marked && !marked.isCollapsed ? marked.anchorNode : null].filter((place) => place !== null);
}

/** @param {Element} element @param {Node[]} places */
function isInUse(element, places) {
  return places.some((place) => element.contains(place));
}
