/** The viewers of output below lines: what a page loads when the first one is to be opened. */
import { el } from "./dom.js";
import { Store } from "./store.js";
import { newChartSettings } from "./metricstab.js";
import { Viewer } from "./viewer.js";

/** @import { Link, Told } from "./link.js" */

const TICK = 1000;

export class LineViewers {
  /** @param {Link} link */
  constructor(link) {
    this.link = link;
    this.store = new Store();
    this.charts = newChartSettings();
    /** @type {Map<HTMLElement, Viewer>} */
    this.viewers = new Map();
    this.store.onChange(() => this.#each((viewer) => viewer.rowChanged()));
    this.timer = window.setInterval(() => this.#each((viewer) => viewer.tick()), TICK);
  }

  /**
   * Opens or closes the viewer of a slot in a place.
   * @param {number} slot @param {HTMLElement} place @param {(open: boolean) => void} onChange
   */
  toggle(slot, place, onChange) {
    if (this.viewers.has(place)) this.close(place);
    else this.#open(slot, place, null, onChange);
  }

  /**
   * Shows a place of a slot's output, in the viewer that is open there, or in one that it opens.
   * @param {number} slot @param {HTMLElement} place @param {import("./foundbox.js").FoundPlace} found
   * @param {(open: boolean) => void} onChange
   */
  showPlace(slot, place, found, onChange) {
    const open = this.viewers.get(place);
    if (open && open.slot !== slot) this.close(place);
    const viewer = this.viewers.get(place) ?? this.#open(slot, place, found.stream, onChange);
    viewer.showPlace(found);
    viewer.focus();
  }

  /** @param {HTMLElement} place */
  close(place) {
    const viewer = this.viewers.get(place);
    viewer?.onClose(viewer);
  }

  /**
   * @param {number} slot @param {HTMLElement} place
   * @param {import("./messages.js").Stream | null} stream the one that is wanted
   * @param {(open: boolean) => void} onChange
   * @returns {Viewer}
   */
  #open(slot, place, stream, onChange) {
    // The kernel knows one viewer of a process in each page.
    for (const [other, viewer] of this.viewers) if (viewer.slot === slot) this.close(other);
    const close = () => {
      const viewer = this.viewers.get(place);
      this.viewers.delete(place);
      viewer?.destroy();
      viewer?.asker.tell({ do: "close" });
      place.replaceChildren();
      place.hidden = true;
      onChange(false);
    };
    const viewer = new Viewer({
      slot, link: this.link, store: this.store, now: () => this.link.now(), tab: stream ?? "stdout", pinned: true, wrapped: true,
      chosen: stream !== null, charts: this.charts, selected: null, onClose: close, onSettings: () => {},
    });
    viewer.pinButton.hidden = true;
    this.viewers.set(place, viewer);
    place.append(el("div", { class: "hopx-watch" }, el("div", { class: "hopx-viewers" }, viewer.element)));
    place.hidden = false;
    onChange(true);
    viewer.start();
    viewer.focus();
    return viewer;
  }

  /** @param {Told} message */
  receive(message) {
    if (message.kind === "changes") this.store.take(message);
    else if ((message.kind === "output" || message.kind === "displays" || message.kind === "curves") && message.to === this.link.page) {
      for (const viewer of this.viewers.values()) {
        if (viewer.slot !== message.slot) continue;
        if (message.kind === "output") viewer.receive(message);
        else if (message.kind === "displays") viewer.receiveDisplays(message);
        else viewer.receiveCurves(message);
      }
    }
  }

  /** @param {(viewer: Viewer) => void} visit */
  #each(visit) {
    for (const viewer of this.viewers.values()) visit(viewer);
  }
}

/** @param {Link} link */
function lineViewers(link) {
  return new LineViewers(link);
}

export default lineViewers;
