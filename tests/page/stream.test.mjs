import assert from 'node:assert/strict';
import test from 'node:test';

import { Flow } from '../../page/static/flow.js';
import { Journal } from '../../page/static/journal.js';

const ALL = new Set(['status', 'protocol']);
const entry = (raw, kind = 'status') => ({ topic: 't', raw, kind });

test('the newest comes first, every word must occur, whatever its case', () => {
  const journal = new Journal();
  journal.add(entry('CP1 Charging'));
  journal.add(entry('CP2 Charging'));
  journal.add(entry('CP1 Available', 'protocol'));
  const found = (words, kinds = ALL) => journal.find({ words, kinds }).shown.map((each) => each.raw);
  assert.deepEqual(found(''), ['CP1 Available', 'CP2 Charging', 'CP1 Charging']);
  assert.deepEqual(found('cp1 charging'), ['CP1 Charging']);
  assert.deepEqual(found('cp1', new Set(['status'])), ['CP1 Charging']);
});

test('thousands of messages: what is kept and what is shown is bounded, all is counted', () => {
  const journal = new Journal(1000);
  for (let i = 1; i <= 10_000; i += 1) journal.add(entry(`n${i}`));
  const { shown, matches } = journal.find({ words: '', kinds: ALL }, 50);
  assert.equal(journal.total, 10_000);
  assert.ok(matches >= 1000 && matches <= 1200, String(matches));
  assert.deepEqual([shown.length, shown[0].raw], [50, 'n10000']);
});

test('a paused stream shows nothing newer', () => {
  const journal = new Journal();
  journal.add(entry('old'));
  const upTo = journal.total;
  journal.add(entry('new'));
  assert.deepEqual(journal.find({ words: '', kinds: ALL, upTo }).shown.map((each) => each.raw), ['old']);
});

test('the rate is of whole seconds, and old ones are forgotten', () => {
  const flow = new Flow();
  const start = 1_700_000_000_000;
  for (let i = 0; i < 50; i += 1) flow.count(start + i * 100, null); // 10 a second for 5 s
  assert.equal(flow.rate(start + 5000), 10);
  assert.equal(flow.history(start + 5000).reduce((a, b) => a + b), 50);
  assert.equal(flow.rate(start + 60_000), 0);
  assert.equal(flow.history(start + 3_600_000).reduce((a, b) => a + b), 0);
  assert.equal(flow.lag(start + 5000), null);
});

test('the lag is of the last minute, an early event shows as negative', () => {
  const flow = new Flow();
  const start = 1_700_000_000_000;
  for (let i = 1; i <= 100; i += 1) flow.count(start, start - i);
  assert.deepEqual(flow.lag(start), { p50: 51, p95: 96 });
  flow.count(start + 70_000, start + 70_500);
  assert.deepEqual(flow.lag(start + 70_000), { p50: -500, p95: -500 });
});
