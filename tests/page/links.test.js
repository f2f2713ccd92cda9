// Links are asked for once, and again before they run out.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Links } from "../../recording/page/links.js";

function asked(life) {
  const clock = { now: 1_000_000 }, indexes = [];
  const ask = async (index) => {
    indexes.push(index);
    return { url: `u${indexes.length}`, expiresAt: new Date(clock.now + life).toISOString() };
  };
  return { clock, indexes, links: new Links(ask, () => clock.now) };
}

test("a link is asked for once, also by two at the same time", async () => {
  const { links, indexes } = asked(300_000);
  const [one, two] = await Promise.all([links.get(0), links.get(0)]);
  assert.equal(one, two);
  assert.equal(await links.get(0), one);
  await links.get(3);
  assert.deepEqual(indexes, [0, 3]);
});

test("it is renewed 30 seconds before it runs out, a short one after half of its life", async () => {
  for (const [life, kept] of [[300_000, 269_000], [2_000, 900]]) {
    const { clock, links, indexes } = asked(life);
    await links.get(0);
    clock.now += kept;
    await links.get(0);
    assert.equal(indexes.length, 1);
    clock.now += 2_000;
    assert.equal(links.has(0), false);
    await links.get(0);
    assert.equal(indexes.length, 2);
  }
});

test("a clock that is ahead doesn't ask for a link at every seek", async () => {
  const { links, indexes } = asked(-120_000);
  await links.get(0);
  await links.get(0);
  assert.deepEqual(indexes, [0]);
});

test("what failed and what storage refused is asked for again", async () => {
  let fails = true;
  const links = new Links(async () => {
    if (fails) throw new Error("503");
    return { expiresAt: new Date(Date.now() + 300_000).toISOString() };
  });
  await assert.rejects(links.get(0), /503/);
  fails = false;
  const first = await links.get(0);
  links.forget(0);
  assert.notEqual(await links.get(0), first);
});
