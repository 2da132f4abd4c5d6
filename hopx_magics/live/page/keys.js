/** The button and panel that list the keys of the table and its viewers. */
import { el } from "./dom.js";
import { Popup } from "./popup.js";

/** @type {[string, [string[], string][]][]} */
const KEYS = [
  ["In the table", [
    [["↑", "↓"], "go to another row; with Shift select, too"],
    [["Home", "End"], "go to the first or last row"],
    [["Enter"], "open the output"],
    [["Space"], "select or not; Ctrl+A all"],
    [["k"], "kill (asks first)"],
    [["r"], "launch again (asks first)"],
    [["←", "→"], "close or open a group"],
    [["/"], "search"],
    [["Esc"], "close an output, or clear the filters"],
  ]],
  ["In an output", [
    [["Ctrl+F", "/"], "find"],
    [["Home", "End"], "go to the beginning or the end"],
    [["Esc"], "close it"],
  ]],
];

export class KeyList {
  constructor() {
    this.popup = new Popup({ shape: "keys", title: "Keys (?)", fill: content });
    this.element = this.popup.element;
  }

  toggle() {
    this.popup.toggle();
  }

  close() {
    this.popup.close();
  }
}

function content() {
  return KEYS.map(([title, keys]) =>
    el("div", { class: "hopx-keys" }, el("div", { class: "hopx-keys-title" }, title), ...keys.map(([names, meaning]) =>
      el("div", { class: "hopx-key" }, el("span", {}, names.map((name) => el("kbd", {}, name))), el("span", {}, meaning)))));
}
