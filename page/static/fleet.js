// What the messages say about charge points and sessions: a fold. No DOM, no clock, no network.
//
// It never knows more than it heard: a value that no message gave stays null, and a cost so far is
// an estimate at a rate that a bill of the same charge point named before.

import { identifier, number, text } from './message.js';

const WH_PER_KWH = 1000;
const MS_PER_MINUTE = 60_000;
const MAX_CURVE = 60;

export class Fleet {
  constructor() {
    /** clientId → {clientId, lastHeard, connectors: Map(key → connector)} */
    this.chargePoints = new Map();
    /** clientId and transactionId → open session */
    this.sessions = new Map();
    this.completed = 0;
    /** currency → sum of the bills heard since the page was opened */
    this.billed = new Map();
    this.rates = new Map();
  }

  /** Fold one entry of `read` in; `now`: Unix ms. */
  apply(entry, now) {
    if (entry.clientId === null) return;
    const chargePoint = this.#chargePoint(entry.clientId);
    // What the broker had kept says nothing about now.
    if (!entry.retained) chargePoint.lastHeard = now;
    const rule = RULES[entry.type];
    if (entry.kind === 'protocol' || rule === undefined) return;
    // A session that the broker had kept a message of may be long over.
    if (entry.retained && !KEPT_RULES.has(entry.type)) return;
    rule.call(this, chargePoint, entry.body, entry);
  }

  /** The estimate of an open session's cost so far, {amount, currency}, or null. `now`: Unix ms. */
  costSoFar(session, now) {
    const rate = this.rates.get(rateKey(session.clientId, session.connectorKey)) ?? this.rates.get(rateKey(session.clientId, ''));
    const energy = energySoFar(session);
    if (rate === undefined || energy === null) return null;
    if (rate.timeRate !== 0 && session.startTime === null) return null;
    const minutes = session.startTime === null ? 0 : Math.max(0, now - session.startTime) / MS_PER_MINUTE;
    const amount = energy * rate.energyRate + minutes * rate.timeRate + rate.sessionFee;
    return { amount, currency: rate.currency };
  }

  /** Power of all open sessions in kW, or null where none gave one. */
  power() {
    let sum = null;
    for (const session of this.sessions.values()) {
      if (session.power !== null) sum = (sum ?? 0) + session.power;
    }
    return sum;
  }

  #chargePoint(clientId) {
    let chargePoint = this.chargePoints.get(clientId);
    if (chargePoint === undefined) {
      chargePoint = { clientId, lastHeard: null, own: null, connectors: new Map() };
      this.chargePoints.set(clientId, chargePoint);
    }
    return chargePoint;
  }

  connector(chargePoint, body) {
    const connectorId = identifier(body.connectorId);
    const evseId = identifier(body.evseId);
    if (connectorId === null && evseId === null) return null;
    const key = connectorKey(body);
    let connector = chargePoint.connectors.get(key);
    if (connector === undefined) {
      connector = { connectorId, evseId, status: null, errorCode: null, since: null, sessionKey: null };
      chargePoint.connectors.set(key, connector);
    }
    return connector;
  }

  session(chargePoint, body) {
    const transactionId = identifier(body.transactionId);
    if (transactionId === null) return null;
    const key = sessionKey(chargePoint.clientId, transactionId);
    let session = this.sessions.get(key);
    if (session === undefined) {
      session = {
        key,
        clientId: chargePoint.clientId,
        transactionId,
        connectorKey: connectorKey(body),
        connectorId: identifier(body.connectorId),
        evseId: identifier(body.evseId),
        idTag: null,
        meterStart: null,
        startTime: null,
        power: null,
        totalEnergy: null,
        firstHeardEnergy: null,
        heardAt: null,
        curve: [],
      };
      this.sessions.set(key, session);
    }
    const connector = this.connector(chargePoint, body);
    if (connector !== null) connector.sessionKey = key;
    return session;
  }
}

/** kWh since the session's start, or null where the start's or the present register is not known. */
export function energySoFar(session) {
  if (session.meterStart === null || session.totalEnergy === null) return null;
  const energy = session.totalEnergy - session.meterStart / WH_PER_KWH;
  // A register that counts from 0 in each session: what it started from is then not what was said.
  return energy < 0 ? null : energy;
}

/** kWh since this page first heard the register of a session whose start it missed, or null. */
export function energyHeard(session) {
  if (session.totalEnergy === null || session.firstHeardEnergy === null) return null;
  const energy = session.totalEnergy - session.firstHeardEnergy;
  return energy < 0 ? null : energy;
}

const KEPT_RULES = new Set(['status_changed', 'session_cost']);

const RULES = {
  started(chargePoint, body, entry) {
    const session = this.session(chargePoint, body);
    if (session === null) return;
    session.idTag = text(body.idTag);
    session.meterStart = number(body.meterStart);
    session.startTime = time(body.startTime) ?? entry.at;
    session.heardAt = entry.at;
  },

  meter_reading(chargePoint, body, entry) {
    const session = this.session(chargePoint, body);
    if (session === null) return;
    const power = number(body.currentPower);
    const energy = number(body.totalEnergy);
    if (energy !== null) {
      session.totalEnergy = energy;
      session.firstHeardEnergy ??= energy;
    }
    if (power !== null) {
      session.power = power;
      session.curve.push(power);
      if (session.curve.length > MAX_CURVE) session.curve.shift();
    }
    session.heardAt = time(body.timestamp) ?? entry.at;
  },

  completed(chargePoint, body) {
    const connector = this.connector(chargePoint, body);
    const key = sessionKey(chargePoint.clientId, identifier(body.transactionId));
    if (connector?.sessionKey === key) connector.sessionKey = null;
    this.sessions.delete(key);
    this.completed += 1;
  },

  session_cost(chargePoint, body, entry) {
    const currency = text(body.currency);
    const energyRate = number(body.energyRate);
    const amount = number(body.estimatedCost);
    if (currency === null) return;
    if (amount !== null && !entry.retained) this.billed.set(currency, (this.billed.get(currency) ?? 0) + amount);
    if (energyRate === null) return;
    const rate = { currency, energyRate, timeRate: number(body.timeRate) ?? 0, sessionFee: number(body.sessionFee) ?? 0 };
    this.rates.set(rateKey(chargePoint.clientId, connectorKey(body)), rate);
    this.rates.set(rateKey(chargePoint.clientId, ''), rate);
  },

  status_changed(chargePoint, body, entry) {
    const status = { status: text(body.status), errorCode: text(body.errorCode), since: entry.at };
    // OCPP 1.6 §4.9: connector 0 is the charge point itself.
    if (body.connectorId === 0 && identifier(body.evseId) === null) {
      chargePoint.own = status;
      return;
    }
    const connector = this.connector(chargePoint, body);
    if (connector === null) return;
    Object.assign(connector, status);
    if (identifier(body.transactionId) !== null || connector.sessionKey === null) return;
    // No transaction is open there: the end of the one that we still show passed unheard.
    this.sessions.delete(connector.sessionKey);
    connector.sessionKey = null;
  },
};

export function connectorKey(body) {
  return `${identifier(body.evseId) ?? ''}/${identifier(body.connectorId) ?? ''}`;
}

const sessionKey = (clientId, transactionId) => JSON.stringify([clientId, transactionId]);
const rateKey = (clientId, connector) => JSON.stringify([clientId, connector]);

function time(value) {
  const parsed = Date.parse(text(value) ?? '');
  return Number.isNaN(parsed) ? null : parsed;
}
