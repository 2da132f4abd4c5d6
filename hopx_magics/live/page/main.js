/** The live table of processes: what the notebook loads. */
import { Page } from "./page.js";
import { WatchView } from "./view.js";

function watchWidget() {
  /** @type {Page} */
  let page;
  return {
    /** @param {{model: import("./link.js").Model}} parts */
    initialize({ model }) {
      page = new Page(model);
      return () => page.close();
    },
    /** @param {{el: HTMLElement}} parts */
    render({ el: host }) {
      const view = new WatchView(page, host);
      page.add(view);
      return () => page.remove(view);
    },
  };
}

export default watchWidget;
