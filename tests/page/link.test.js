/** The wire between page and kernel. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Link } from "../../hopx_magics/live/page/link.js";

globalThis.window = globalThis;

/** A front end's model: keeps what is sent, and hands over what the kernel would say. */
class Model {
  sent = [];
  number = 0;

  on(_, listener) {
    this.say = (message, buffers) => {
      this.number += 1;
      listener({ number: this.number, now: Date.now() / 1000, ...message }, buffers);
    };
  }

  off() {}

  send(content) {
    this.sent.push(content);
  }
}

function linked() {
  const model = new Model();
  return { model, link: new Link(model) };
}

test("an answer goes to who has asked, and to no other page", async () => {
  const { model, link } = linked();
  const answered = link.ask({ do: "kill", slot: 3 });
  const [{ request, page, ...intent }] = model.sent;
  assert.deepEqual(intent, { do: "kill", slot: 3 });
  assert.equal(page, link.page);
  model.say({ kind: "accepted", request });
  model.say({ kind: "done", request: request + 1, error: null, answer: { result: "unknown id" } });
  model.say({ kind: "done", request, error: null, answer: { result: "killed" } }, ["bytes"]);
  assert.deepEqual(await answered, { answer: { result: "killed" }, buffers: ["bytes"] });
});

test("a refusal is an error", async () => {
  const { model, link } = linked();
  const answered = link.ask({ do: "details", slot: 3 });
  model.say({ kind: "done", request: model.sent[0].request, error: "this process is no longer listed" });
  await assert.rejects(answered, /no longer listed/);
});

test("what has got no answer is asked again under its number", () => {
  const { model, link } = linked();
  link.ask({ do: "details", slot: 3 }).catch(() => {});
  link.send({ do: "ping" });
  link.askAgain();
  assert.deepEqual(model.sent[2], model.sent[0]);
  assert.equal(model.sent.length, 3);
  link.close();
});

test("a gap in the numbers is noticed", () => {
  const { model, link } = linked();
  let missed = 0;
  link.onMissed = () => (missed += 1);
  model.number = 41;
  model.say({ kind: "beat" });
  model.say({ kind: "beat" });
  assert.equal(missed, 0);
  model.number += 1;
  model.say({ kind: "beat" });
  assert.equal(missed, 1);
});

test("a call is answered, with how many messages did not come", () => {
  const { model, link } = linked();
  const other = linked();
  other.model.say({ kind: "beat" });
  model.say({ kind: "beat" });
  other.model.number += 3;
  model.say({ kind: "call", call: 7 });
  other.model.say({ kind: "call", call: 8 });
  const [{ request, page, ...answer }] = model.sent;
  assert.equal(page, link.page);
  assert.deepEqual([answer.do, answer.call], ["here", 7]);
  assert.equal(other.model.sent[0].missed, answer.missed + 3, "of all widgets in the page");
});

test("of several moments of the kernel's clock the least late counts", () => {
  const { model, link } = linked();
  for (const late of [5, 2, 9]) model.say({ kind: "beat", now: Date.now() / 1000 + 100 - late });
  assert.ok(Math.abs(link.now() - Date.now() / 1000 - 98) < 1);
});

test("a model that can send no more is said to be broken", () => {
  const { model, link } = linked();
  let broken = false;
  link.onBroken = () => (broken = true);
  model.send = () => {
    throw new Error("disposed");
  };
  link.send({ do: "ping" });
  assert.ok(broken);
});
