// An MQTT message → what it says. Pure; nothing that arrives is trusted to have the right shape.

/** The kinds that the stream can be filtered by, in the order they are shown. */
export const KINDS = {
  session: 'Sessions',
  cost: 'Costs',
  status: 'Status',
  reading: 'Readings',
  protocol: 'OCPP',
  unreadable: 'Unreadable',
};

const KIND_OF_EVENT = {
  started: 'session',
  completed: 'session',
  session_cost: 'cost',
  status_changed: 'status',
  meter_reading: 'reading',
};

// eventId: <eventType>_<ns>; of a frame, which has it as a property: <connectionId>:<ns>.
const NANOSECONDS = /[_:](\d{19})$/;

export const text = (value) => (typeof value === 'string' ? value : null);
export const number = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
/** A transactionId or a connector number: OCPP 1.6 has integers, OCPP 2.x strings for the former. */
export const identifier = (value) => text(value) ?? number(value);

/**
 * @param {string} topic as received
 * @param {Uint8Array|string} payload UTF-8 JSON
 * @param {{retain?: boolean, properties?: {userProperties?: object}}} packet the MQTT 5 packet;
 *   what the broker had kept (`retain`) says nothing about the lag
 * @returns {{kind, type, clientId, at: ?number, precise: boolean, body, topic, raw, retained}}
 *   `at`: when it happened, Unix ms, to the microsecond where `precise`; null: not said
 */
export function read(topic, payload, packet = {}) {
  const retained = packet.retain === true;
  const raw = typeof payload === 'string' ? payload : new TextDecoder().decode(payload);
  const entry = { topic, raw, retained, kind: 'unreadable', type: 'unreadable', clientId: null, at: null, precise: false, body: {} };
  let message;
  try {
    message = JSON.parse(raw);
  } catch {
    return entry;
  }
  if (!isObject(message) || text(message.clientId) === null) return entry;
  entry.clientId = message.clientId;
  const time = Date.parse(text(message.timestamp) ?? '');
  if (!Number.isNaN(time)) entry.at = time;
  const kind = Object.hasOwn(KIND_OF_EVENT, message.eventType) ? KIND_OF_EVENT[message.eventType] : null;
  if (kind !== null && isObject(message.payload)) {
    setPrecise(entry, message.eventId);
    return Object.assign(entry, { kind, type: message.eventType, body: message.payload, anomalies: anomaliesOf(message) });
  }
  if (text(message.messageType) !== null || text(message.violation) !== null) {
    setPrecise(entry, packet.properties?.userProperties?.eventId);
    return Object.assign(entry, { kind: 'protocol', type: text(message.messageType) ?? 'invalid', body: message });
  }
  return entry;
}

/** Whether this is a connector's last status on the topic that keeps it: it came before as an event. */
export function isRepetition(entry) {
  return entry.kind === 'status' && !entry.retained && entry.topic.endsWith('/status');
}

function setPrecise(entry, eventId) {
  const nanoseconds = NANOSECONDS.exec(text(eventId) ?? '');
  if (nanoseconds === null) return;
  entry.at = Number(BigInt(nanoseconds[1]) / 1000n) / 1000;
  entry.precise = true;
}

function anomaliesOf(message) {
  return Array.isArray(message.anomalies) ? message.anomalies.filter((code) => typeof code === 'string') : [];
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
