/** The line above the table: chips, search, grouping, freshness, bell, columns. */
import { ColumnMenu } from "./columnmenu.js";
import { GROUPS, nameIn } from "./columns.js";
import { drawing, el, setAttribute, setText } from "./dom.js";
import { formatCount, ICONS, STATUSES } from "./format.js";
import { KeyList } from "./keys.js";

/** @import { Status } from "./messages.js" */

/**
 * @typedef {object} ToolbarHooks
 * @property {(status: Status) => void} onChip
 * @property {(text: string) => void} onSearch
 * @property {() => void} onOutputs
 * @property {(grouping: string) => void} onGroup
 * @property {() => void} onBell
 * @property {() => void} onLeave out of the search, into the table
 * @property {() => {key: string, label: string, wanted: boolean, crowdedOut: boolean}[]} choices
 * @property {() => string} noteOfChoices what else there is to say of the columns
 * @property {(key: string, wanted: boolean) => void} onChoose
 * @property {() => void} onResetColumns
 */

export class Toolbar {
  /** @param {ToolbarHooks} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    /** @type {Map<Status, HTMLButtonElement>} */
    this.chips = new Map();
    this.chipBox = el("div", { class: "hopx-chips", role: "group", "aria-label": "Filter by status" });
    this.search = el("input", {
      type: "search", class: "hopx-search", "aria-label": "Search processes", placeholder: "Search  /", title: "Names, ids and last lines; lr=0.1 and loss<0.3 for what they were given and have printed", spellcheck: "false",
      autocomplete: "off", oninput: () => hooks.onSearch(this.search.value.trim()),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onSearchKey(event),
    });
    this.outputs = el("button", {
      type: "button", class: "hopx-chip hopx-outputs", "aria-pressed": "false", title: "Search outputs, too", onclick: () => hooks.onOutputs(),
    }, "outputs, too");
    this.found = el("span", { class: "hopx-found", role: "status" });
    /** @type {string[]} */
    this.groups = [];
    this.group = this.#buildGroup();
    this.setGroups([], "none");
    this.freshness = el("span", { class: "hopx-fresh", "data-state": "connecting" });
    this.bell = el("button", { type: "button", class: "hopx-toolbar-button hopx-bell", "aria-pressed": "false", onclick: () => hooks.onBell() },
      drawing("bell"));
    this.keys = new KeyList();
    this.menu = new ColumnMenu({ choices: hooks.choices, note: hooks.noteOfChoices, onChoose: hooks.onChoose, onReset: hooks.onResetColumns });
    this.element = el("div", { class: "hopx-toolbar" }, this.chipBox, this.search, this.outputs, this.found, this.group,
      el("div", { class: "hopx-toolbar-end" }, this.freshness, this.bell, this.keys.element, this.menu.element));
  }

  #buildGroup() {
    const select = el("select", { class: "hopx-select", "aria-label": "Group by", title: "Group by" });
    select.addEventListener("change", () => this.hooks.onGroup(select.value));
    return select;
  }

  /** By what rows can be grouped. @param {string[]} groups beside what all rows have @param {string} grouping as it is */
  setGroups(groups, grouping) {
    const all = ["none", ...GROUPS, ...new Set([...groups, ...(grouping.includes(".") ? [grouping] : [])])];
    if (all.join("\n") !== this.groups.join("\n")) {
      this.groups = all;
      this.group.replaceChildren(...all.map((one) => el("option", { value: one }, groupingInWords(one))));
    }
    if (document.activeElement !== this.group) this.group.value = grouping;
  }

  /** @param {boolean} wanted @param {string} said of what was found in outputs */
  setOutputs(wanted, said) {
    setAttribute(this.outputs, "aria-pressed", String(wanted));
    setText(this.found, said);
  }

  close() {
    this.menu.close();
    this.keys.close();
  }

  /** @param {Record<Status, number>} counts @param {Set<Status>} filtered */
  setCounts(counts, filtered) {
    STATUSES.forEach((status) => {
      const wanted = counts[status] > 0 || filtered.has(status);
      if (wanted) this.#showChip(status, counts[status], filtered.has(status));
      else this.#hideChip(status);
    });
  }

  /** @param {import("./freshness.js").Sentence} freshness */
  setFreshness({ state, text, title }) {
    setAttribute(this.freshness, "data-state", state);
    setText(this.freshness, text);
    setAttribute(this.freshness, "title", title.includes(text) ? title : `${text}\n${title}`.trim());
  }

  /** @param {{on: boolean, state: string, title: string}} face */
  setBell({ on, state, title }) {
    setAttribute(this.bell, "aria-pressed", String(on));
    setAttribute(this.bell, "data-state", state);
    setAttribute(this.bell, "title", title);
    setAttribute(this.bell, "aria-label", state === "on" || state === "off" ? "Notify me when a process ends" : title);
  }

  /** Shows what was remembered; never while somebody types. @param {string} search @param {string} grouping */
  setInputs(search, grouping) {
    if (document.activeElement !== this.search) this.search.value = search;
    this.setGroups(this.groups.slice(1 + GROUPS.length), grouping);
  }

  /** @param {Status} status @param {number} count @param {boolean} pressed */
  #showChip(status, count, pressed) {
    let chip = this.chips.get(status);
    if (!chip) {
      chip = this.#buildChip(status);
      this.chips.set(status, chip);
      const later = STATUSES.slice(STATUSES.indexOf(status) + 1).find((other) => this.chips.has(other));
      this.chipBox.insertBefore(chip, (later && this.chips.get(later)) ?? null);
    }
    setAttribute(chip, "aria-pressed", String(pressed));
    setText(/** @type {Element} */ (chip.lastElementChild), formatCount(count));
  }

  /** @param {Status} status */
  #buildChip(status) {
    return el(
      "button",
      {
        type: "button", class: "hopx-chip", "data-status": status, title: `Only ${status}; again: all`,
        onclick: () => this.hooks.onChip(status),
      },
      el("span", { class: "hopx-icon", "aria-hidden": "true" }, ICONS[status]), el("span", { class: "hopx-word" }, status),
      el("span", { class: "hopx-count" }, "0"),
    );
  }

  /** @param {Status} status a chip that somebody stands on stays until they leave it */
  #hideChip(status) {
    const chip = this.chips.get(status);
    if (!chip) return;
    if (chip === document.activeElement) {
      this.#showChip(status, 0, false);
      return;
    }
    chip.remove();
    this.chips.delete(status);
  }

  /** @param {KeyboardEvent} event */
  #onSearchKey(event) {
    if (event.key === "Escape" && this.search.value) {
      this.search.value = "";
      this.hooks.onSearch("");
    } else if (["Escape", "Enter", "ArrowDown"].includes(event.key)) this.hooks.onLeave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** @param {string} grouping */
function groupingInWords(grouping) {
  return grouping === "none" ? "No groups" : `By ${grouping.includes(".") ? nameIn(grouping) : grouping}`;
}
