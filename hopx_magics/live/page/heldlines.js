/** The lines below cells as the notebook's model has them: which there are, and putting into it how they are. */
import { replaceSilently } from "./notebook.js";

/** @import { HeldLine } from "./messages.js" */

const LONGEST_WORD = 200;

/**
 * @typedef {object} Shown a line as it is to be saved
 * @property {string} head
 * @property {string} below
 * @property {string} text
 * @property {boolean} ended
 */

export class HeldLines {
  /** @param {any} notebook */
  constructor(notebook) {
    this.notebook = notebook;
    /** Whether a line was last seen in a cell that isn't trusted, where no box can be drawn. */
    this.someUntrusted = false;
  }

  /** @returns {HeldLine[]} each line once */
  all() {
    /** @type {Map<string, HeldLine>} */
    const found = new Map();
    this.#each((line) => found.set(line.line, line));
    return [...found.values()];
  }

  /** @param {string} html @returns {boolean} whether an output of the notebook has it */
  has(html) {
    for (const cell of this.notebook.model.cells) {
      for (let index = 0; index < (cell.outputs?.length ?? 0); index += 1) {
        if (String(joined(cell.outputs.get(index).data?.["text/html"]) ?? "").includes(html)) return true;
      }
    }
    return false;
  }

  /**
   * Puts lines into the model; those that are there as they should be are left alone.
   * @param {(line: string, drawn: boolean) => Shown | null} shownOf null: leave it; `drawn`: whether a page can draw it
   */
  write(shownOf) {
    const { model } = this.notebook;
    const { dirty } = model;
    this.#each(({ line }, cell, index, output) => {
      const shown = shownOf(line, cell.trusted);
      if (shown) writeInto(cell, index, output, line, shown);
    });
    // Every page mends by itself: were it a change, each would ask whether to overwrite what the other has saved.
    if (model.dirty !== dirty) model.dirty = dirty;
  }

  /** @param {(line: HeldLine, cell: any, index: number, output: any) => void} visit */
  #each(visit) {
    this.someUntrusted = false;
    for (const cell of this.notebook.model.cells) {
      if (cell.type !== "code") continue;
      for (let index = 0; index < cell.outputs.length; index += 1) {
        const output = cell.outputs.get(index);
        const line = lineOf(output.metadata?.hopx);
        if (!line) continue;
        if (!cell.trusted) this.someUntrusted = true;
        visit(line, cell, index, output);
      }
    }
  }
}

/** @param {any} kept what the notebook keeps beside an output @returns {HeldLine | null} */
function lineOf(kept) {
  const line = kept?.run ?? kept?.sweep;
  if (typeof line !== "string" || line === "" || line.length > LONGEST_WORD) return null;
  return {
    line, sweep: kept.sweep !== undefined, connection: textOr(kept.connection), name: textOr(kept.name), ended: kept.ended === true,
  };
}

/** @param {unknown} value */
function textOr(value) {
  return typeof value === "string" ? value.slice(0, LONGEST_WORD) : null;
}

/** @param {any} cell @param {number} index @param {any} output @param {string} line @param {Shown} shown */
function writeInto(cell, index, output, line, { head, below, text, ended }) {
  const before = cell.sharedModel.outputs?.[index] ?? output.toJSON();
  const data = { "text/html": boxed(line, head, below), "text/plain": text };
  if (joined(before.data?.["text/html"]) === data["text/html"]) return;
  const hopx = { ...output.metadata.hopx, ended };
  const made = {
    output_type: "display_data", data: { ...before.data, ...data }, metadata: { ...before.metadata, hopx },
  };
  if (cell.trusted) replaceSilently(cell, index, made);
  else cell.outputs.set(index, made);
}

/** @param {unknown} text which a notebook may keep as a list of lines */
function joined(text) {
  return Array.isArray(text) ? text.join("") : text;
}

/**
 * Both parts of a line in their box, as `display/line.py` writes it.
 * @param {string} line @param {string} head @param {string} below
 */
export function boxed(line, head, below) {
  const name = line.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `<hopx-line line="${name.replaceAll("'", "&#x27;")}" style="display:block">${head}${below}</hopx-line>`;
}
