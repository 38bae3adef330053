import assert from 'node:assert/strict';
import test from 'node:test';

import { isRepetition, read } from '../../page/static/message.js';

const bytes = (value) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const status = (over = {}) => ({
  timestamp: '2023-12-07T10:15:30Z',
  clientId: 'CP1',
  eventType: 'status_changed',
  eventId: 'status_changed_1701944130123456789',
  payload: { connectorId: 1, status: 'Charging', previousStatus: 'Available', transactionId: null, errorCode: 'NoError' },
  ...over,
});

test('an event says when it happened to the microsecond, by its eventId', () => {
  const entry = read('csms/connectors/CP1/status_changed', bytes(status()));
  assert.deepEqual([entry.kind, entry.type, entry.clientId], ['status', 'status_changed', 'CP1']);
  assert.equal(entry.at, 1701944130123.456);
  assert.equal(entry.precise, true);
  assert.equal(entry.body.status, 'Charging');
});

test('a frame says when it was received by its eventId property', () => {
  const frame = { timestamp: '2023-12-07T10:15:30Z', clientId: 'CP1', messageType: 'Heartbeat', requestId: '1', direction: 'inbound', payload: {} };
  const packet = { properties: { userProperties: { eventId: 'abc:1701944130500000000' } } };
  const entry = read('ocpp/messages/CP1/Heartbeat', bytes(frame), packet);
  assert.deepEqual([entry.kind, entry.type, entry.at, entry.precise], ['protocol', 'Heartbeat', 1701944130500, true]);
  const plain = read('ocpp/messages/CP1/Heartbeat', bytes(frame));
  assert.deepEqual([plain.at, plain.precise], [1701944130000, false]);
});

test('what is no message of the contract is kept as it came', () => {
  const strange = ['', 'no json', '[]', 'null', '7', '{"clientId":7}', '{"clientId":"CP1"}', '{"clientId":"CP1","eventType":"constructor","payload":{}}'];
  for (const raw of strange) {
    const entry = read('csms/x', bytes(raw));
    assert.deepEqual([entry.kind, entry.raw], ['unreadable', raw]);
  }
  assert.equal(read('csms/x', new Uint8Array([0xff, 0xfe])).kind, 'unreadable');
});

test('an event without a readable time has none', () => {
  const entry = read('t', bytes(status({ timestamp: 'yesterday', eventId: null })));
  assert.deepEqual([entry.at, entry.precise], [null, false]);
});

test('a status on the topic that keeps it is a repetition, unless the broker had kept it', () => {
  const kept = 'csms/connectors/CP1/1/status';
  assert.equal(isRepetition(read(kept, bytes(status()))), true);
  assert.equal(isRepetition(read(kept, bytes(status()), { retain: true })), false);
  assert.equal(isRepetition(read('csms/connectors/CP1/status_changed', bytes(status()))), false);
});

test('anomalies are texts, whatever came', () => {
  assert.deepEqual(read('t', bytes(status({ anomalies: ['missing_stop', 7, null] }))).anomalies, ['missing_stop']);
  assert.deepEqual(read('t', bytes(status({ anomalies: 'missing_stop' }))).anomalies, []);
});
