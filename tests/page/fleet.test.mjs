import assert from 'node:assert/strict';
import test from 'node:test';

import { Fleet, energyHeard, energySoFar } from '../../page/static/fleet.js';
import { read } from '../../page/static/message.js';

const NOW = Date.parse('2023-12-07T11:15:30Z');
const START = '2023-12-07T10:15:30Z';

function apply(fleet, eventType, payload, packet = {}, clientId = 'CP1') {
  const event = { timestamp: START, clientId, eventType, eventId: `${eventType}_1701944130123456789`, payload };
  fleet.apply(read('t', JSON.stringify(event), packet), NOW);
}

const started = { transactionId: 7, connectorId: 1, idTag: 'user123', meterStart: 1000, startTime: START, status: 'started' };
const reading = { transactionId: 7, connectorId: 1, timestamp: START, measurands: {}, currentPower: 7.2, totalEnergy: 12.5 };
const completed = { transactionId: 7, connectorId: 1, idTag: 'user123', status: 'completed' };
const cost = { transactionId: 7, connectorId: 1, estimatedCost: 2.88, currency: 'USD', energyRate: 0.12, timeRate: 0.0 };
const status = { connectorId: 1, status: 'Charging', previousStatus: 'Available', transactionId: 7, errorCode: 'NoError' };
const only = (fleet) => [...fleet.sessions.values()][0];

test('a session: started, measured, completed', () => {
  const fleet = new Fleet();
  apply(fleet, 'started', started);
  assert.equal(energySoFar(only(fleet)), null);
  apply(fleet, 'meter_reading', reading);
  assert.equal(energySoFar(only(fleet)), 11.5);
  assert.equal(fleet.power(), 7.2);
  apply(fleet, 'completed', completed);
  assert.deepEqual([fleet.sessions.size, fleet.completed, fleet.power()], [0, 1, null]);
});

test('a cost so far needs a rate that a bill of this charge point named', () => {
  const fleet = new Fleet();
  apply(fleet, 'started', started);
  apply(fleet, 'meter_reading', reading);
  assert.equal(fleet.costSoFar(only(fleet), NOW), null);
  apply(fleet, 'session_cost', { ...cost, transactionId: 6 }, {}, 'CP2');
  assert.equal(fleet.costSoFar(only(fleet), NOW), null);
  apply(fleet, 'session_cost', { ...cost, transactionId: 6, timeRate: 0.01, sessionFee: 1 });
  const estimate = fleet.costSoFar(only(fleet), NOW);
  assert.equal(estimate.currency, 'USD');
  assert.ok(Math.abs(estimate.amount - (11.5 * 0.12 + 60 * 0.01 + 1)) < 1e-9);
});

test('the rate of the connector itself comes before that of another', () => {
  const fleet = new Fleet();
  apply(fleet, 'started', started);
  apply(fleet, 'meter_reading', reading);
  apply(fleet, 'session_cost', cost);
  apply(fleet, 'session_cost', { ...cost, connectorId: 2, energyRate: 9 });
  assert.ok(Math.abs(fleet.costSoFar(only(fleet), NOW).amount - 11.5 * 0.12) < 1e-9);
});

test('a session whose start was not heard has no energy, only what was heard', () => {
  const fleet = new Fleet();
  apply(fleet, 'meter_reading', reading);
  apply(fleet, 'meter_reading', { ...reading, totalEnergy: 14 });
  apply(fleet, 'session_cost', cost);
  assert.equal(energySoFar(only(fleet)), null);
  assert.equal(energyHeard(only(fleet)), 1.5);
  assert.equal(fleet.costSoFar(only(fleet), NOW), null);
});

test('a register that counts from 0 gives no energy rather than a negative one', () => {
  const fleet = new Fleet();
  apply(fleet, 'started', { ...started, meterStart: 50_000 });
  apply(fleet, 'meter_reading', { ...reading, totalEnergy: 1 });
  assert.equal(energySoFar(only(fleet)), null);
});

test('a status without a transaction ends the session whose end was not heard', () => {
  const fleet = new Fleet();
  apply(fleet, 'started', started);
  apply(fleet, 'started', { ...started, transactionId: 8, connectorId: 2 });
  apply(fleet, 'status_changed', status);
  assert.equal(fleet.sessions.size, 2);
  apply(fleet, 'status_changed', { ...status, status: 'Available', transactionId: null });
  assert.deepEqual([...fleet.sessions.values()].map((session) => session.transactionId), [8]);
});

test('connector 0 is the charge point itself', () => {
  const fleet = new Fleet();
  apply(fleet, 'status_changed', { ...status, connectorId: 0, transactionId: null, status: 'Unavailable' });
  const chargePoint = fleet.chargePoints.get('CP1');
  assert.deepEqual([chargePoint.own.status, chargePoint.connectors.size], ['Unavailable', 0]);
});

test('an EVSE of OCPP 2.x is a place of its own, its ids are texts', () => {
  const fleet = new Fleet();
  apply(fleet, 'started', { ...started, transactionId: 'b0e2', evseId: 2 });
  apply(fleet, 'started', { ...started, transactionId: '7' });
  apply(fleet, 'started', started);
  assert.equal(fleet.sessions.size, 3);
  assert.equal(fleet.chargePoints.get('CP1').connectors.size, 2);
});

test('what the broker had kept gives statuses and rates, no session, no bill and no sign of life', () => {
  const fleet = new Fleet();
  for (const [type, payload] of [['started', started], ['meter_reading', reading], ['session_cost', cost], ['status_changed', status]]) {
    apply(fleet, type, payload, { retain: true });
  }
  assert.deepEqual([fleet.sessions.size, fleet.billed.size, fleet.rates.size], [0, 0, 2]);
  const chargePoint = fleet.chargePoints.get('CP1');
  assert.equal(chargePoint.lastHeard, null);
  assert.equal([...chargePoint.connectors.values()][0].status, 'Charging');
});

test('bills are summed by currency', () => {
  const fleet = new Fleet();
  apply(fleet, 'session_cost', cost);
  apply(fleet, 'session_cost', { ...cost, estimatedCost: 1 });
  apply(fleet, 'session_cost', { ...cost, currency: 'EUR' });
  assert.deepEqual([...fleet.billed], [['USD', 3.88], ['EUR', 2.88]]);
});

test('values of the wrong type are as good as none', () => {
  const fleet = new Fleet();
  const wrong = { transactionId: {}, connectorId: [], idTag: 7, meterStart: '1', startTime: 5, currentPower: 'x', totalEnergy: null, status: 3, currency: 1 };
  for (const type of ['started', 'completed', 'meter_reading', 'status_changed', 'session_cost']) apply(fleet, type, wrong);
  apply(fleet, 'started', { ...wrong, transactionId: 1 });
  apply(fleet, 'meter_reading', { ...wrong, transactionId: 1 });
  const session = only(fleet);
  assert.deepEqual([session.idTag, session.meterStart, session.power, session.totalEnergy], [null, null, null, null]);
});

test('the curve of a long session is bounded', () => {
  const fleet = new Fleet();
  for (let i = 0; i < 1000; i += 1) apply(fleet, 'meter_reading', { ...reading, currentPower: i });
  assert.equal(only(fleet).curve.length, 60);
  assert.equal(only(fleet).curve.at(-1), 999);
});
