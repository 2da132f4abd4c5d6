/** What the notebook keeps of a table: put into what is saved, and renewed while something changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import { Keeper } from "../../hopx_magics/live/page/keeper.js";
import { Store } from "../../hopx_magics/live/page/store.js";
import { columnsOf, rowOf } from "./rows.js";

const WIDGET = "application/vnd.jupyter.widget-view+json";
const document = { hidden: false, addEventListener() {}, removeEventListener() {} };
Object.assign(globalThis, { document, window: globalThis });

/** The clock of the keeper, and what it does each second. */
const clock = { now: 1_000_000, look: () => {} };
Date.now = () => clock.now;
globalThis.setInterval = (look) => (clock.look = look);
globalThis.clearInterval = () => (clock.look = () => {});

/** A notebook as JupyterLab has it: a cell with an output for each of these widgets. */
function notebookWith(...models) {
  const saved = models.map((model) => ({ output_type: "display_data", data: { [WIDGET]: { model_id: model }, "text/html": "old" } }));
  const outputs = saved.map((output) => ({ toJSON: () => output }));
  const origins = [];
  const sharedModel = {
    updateOutputs(start, end, fresh, origin) {
      saved.splice(start, end - start, ...fresh);
      origins.push(origin);
    },
  };
  const cell = { type: "code", outputs: { length: outputs.length, get: (index) => outputs[index] }, sharedModel };
  const listeners = new Set();
  const saveState = { connect: (listener) => listeners.add(listener), disconnect: (listener) => listeners.delete(listener) };
  const model = { cells: [{ type: "markdown" }, cell], dirty: false };
  const save = () => listeners.forEach((listener) => listener(null, "started"));
  return { context: { saveState, model }, saved, origins, save, listeners };
}

function keeperOf(context, { isUsed = () => false, isShown = () => true } = {}) {
  const store = new Store();
  const told = [];
  let states = 0;
  const link = {
    send: (intent) => told.push(intent.do),
    ask: async (intent) => {
      told.push(intent.do);
      states += 1;
      const bundle = JSON.stringify({ "text/html": `state ${states}`, "text/plain": "plain" });
      return { answer: { model: "mine" }, buffers: [new DataView(Uint8Array.from(deflateSync(bundle)).buffer)] };
    },
  };
  const keeper = new Keeper({ model: { widget_manager: { context } }, link, store, isUsed, isShown });
  const pass = async (seconds) => {
    for (let second = 0; second < seconds; second += 1) {
      clock.now += 1000;
      clock.look();
      do await new Promise((resolve) => setImmediate(resolve));
      while (keeper.asking);
    }
  };
  return { store, told, pass, end: () => keeper.close() };
}

test("what is saved is the state of its moment, and nothing is drawn anew", async () => {
  const { context, saved, origins, save, listeners } = notebookWith("other", "mine");
  const { store, pass, end } = keeperOf(context);
  store.reset(columnsOf([rowOf({ status: "running" })]));
  await pass(6);
  assert.equal(saved[1].data["text/html"], "old", "before a minute only a save needs it");
  save();
  assert.deepEqual([saved[0].data["text/html"], saved[1].data["text/html"]], ["old", "state 1"]);
  assert.deepEqual([saved[1].data["text/plain"], saved[1].data[WIDGET].model_id], ["plain", "mine"]);
  assert.deepEqual(origins, ["silent-change"]);
  assert.equal(context.model.dirty, false, "it is being saved");
  save();
  assert.equal(origins.length, 1, "nothing is new");
  end();
  assert.equal(listeners.size, 0);
});

test("it is renewed each minute in which something changed, and when all has ended", async () => {
  const { context, saved } = notebookWith("mine");
  const { store, told, pass, end } = keeperOf(context);
  store.reset(columnsOf([rowOf({ status: "running" })]));
  await pass(61);
  assert.equal(saved[0].data["text/html"], "state 1");
  assert.equal(context.model.dirty, true, "so that it is saved");
  await pass(120);
  assert.deepEqual(told, ["static"], "nothing has changed");
  store.apply([[0, { status: "completed" }]], []);
  await pass(3);
  assert.equal(saved[0].data["text/html"], "state 2");
  end();
});

test("what was cleared away asks for nothing", async () => {
  for (const context of [notebookWith("mine").context, undefined]) {
    const { store, told, pass, end } = keeperOf(context, { isShown: () => false });
    store.reset(columnsOf([rowOf({ status: "completed" })]));
    await pass(90);
    assert.deepEqual(told, []);
    end();
  }
});

test("where the page can't do it the kernel does, when nobody is using the table", async () => {
  let used = true;
  const { store, told, pass, end } = keeperOf(undefined, { isUsed: () => used });
  store.reset(columnsOf([rowOf({ status: "running" })]));
  await pass(90);
  assert.deepEqual(told, []);
  used = false;
  await pass(200);
  assert.deepEqual(told, ["keep"]);
  store.apply([[0, { last: "more" }]], []);
  await pass(2);
  assert.deepEqual(told, ["keep", "keep"]);
  end();
});
