/** The live table of processes: what the notebook loads. */
import { Hub } from "./hub.js";
import { WatchView } from "./view.js";

function watchWidget() {
  /** @type {Hub} */
  let hub;
  return {
    /** @param {{model: any}} parts */
    initialize({ model }) {
      hub = new Hub(model);
      return () => hub.close();
    },
    /** @param {{el: HTMLElement}} parts */
    render({ el: host }) {
      const view = new WatchView(hub, host);
      hub.add(view);
      return () => hub.remove(view);
    },
  };
}

export default watchWidget;
