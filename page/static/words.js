// Figures, times and messages as people read them, in the browser's own language settings.

const plain = (digits) => new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const DIGITS = [plain(0), plain(1), plain(2), plain(3)];
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const SHORT_CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const MONEY = new Map();

export const figure = (value, digits = 0) => DIGITS[digits].format(value);
export const clock = (ms) => CLOCK.format(ms);
export const shortClock = (ms) => SHORT_CLOCK.format(ms);
export const dayAndTime = (ms) => DAY.format(ms);

export function money(amount, currency) {
  if (!MONEY.has(currency)) {
    let format = null;
    try {
      format = new Intl.NumberFormat(undefined, { style: 'currency', currency });
    } catch {
      // no code of ISO 4217: the figure and the code as they came
    }
    MONEY.set(currency, format);
  }
  const format = MONEY.get(currency);
  return format === null ? `${figure(amount, 2)} ${currency}` : format.format(amount);
}

export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, '0')} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** A lag in ms; below zero the clocks differ, and that is said rather than hidden. */
function lag(ms) {
  if (ms < -50) return `${duration(-ms)} early`;
  if (ms < 1000) return `${figure(Math.max(0, ms))} ms`;
  if (ms < 10_000) return `${figure(ms / 1000, 1)} s`;
  return duration(ms);
}

/** Two lags, the unit once where it is the same. */
export function lags({ p50, p95 }) {
  if (Math.min(p50, p95) >= 0 && Math.max(p50, p95) < 1000) return `${figure(p50)} / ${figure(p95)} ms`;
  return `${lag(p50)} / ${lag(p95)}`;
}

export function connectorName({ evseId, connectorId }) {
  const parts = [];
  if (evseId !== null) parts.push(`EVSE ${evseId}`);
  if (connectorId !== null) parts.push(`connector ${connectorId}`);
  return parts.length === 0 ? 'no connector named' : parts.join(' · ');
}

const unknown = (value) => (value === null || value === undefined ? 'unknown' : String(value));

const SENTENCES = {
  started: (b) => `session ${unknown(b.transactionId)} started by ${unknown(b.idTag)} at ${unknown(b.meterStart)} Wh`,
  completed: (b) => `session ${unknown(b.transactionId)} ${unknown(b.status)}: ${measure(b.energyUsed, 'kWh', 3)} in ${measure(b.duration, 'min', 1)}${b.reason ? `, ${b.reason}` : ''}`,
  session_cost: (b) => `session ${unknown(b.transactionId)} costs ${cost(b)} for ${measure(b.energyConsumed, 'kWh', 3)}`,
  status_changed: (b) => `${unknown(b.previousStatus)} → ${unknown(b.status)}${b.errorCode && b.errorCode !== 'NoError' ? `, ${b.errorCode}` : ''}`,
  meter_reading: (b) => `${measure(b.currentPower, 'kW', 2)}, register ${measure(b.totalEnergy, 'kWh', 3)}${b.transactionId === null || b.transactionId === undefined ? '' : `, session ${b.transactionId}`}`,
  invalid: (b) => `${b.direction === 'outbound' ? 'sent' : 'received'}: ${unknown(b.violation)}`,
  unreadable: () => 'not a message of this contract',
};

/** One line that says what a message says. */
export function sentence(entry) {
  const say = SENTENCES[entry.type];
  const { body } = entry;
  if (say !== undefined && (entry.kind !== 'protocol' || entry.type === 'invalid')) {
    const where = body.connectorId === undefined && body.evseId === undefined ? '' : `${connectorName({ evseId: body.evseId ?? null, connectorId: body.connectorId ?? null })}: `;
    return where + say(body);
  }
  if (body.errorCode !== undefined) return `${body.errorCode}: ${unknown(body.errorDescription)}`;
  return body.direction === 'outbound' ? 'to the charge point' : 'from the charge point';
}

function measure(value, unit, digits) {
  return typeof value === 'number' ? `${figure(value, digits)} ${unit}` : `unknown ${unit}`;
}

function cost(body) {
  return typeof body.estimatedCost === 'number' ? money(body.estimatedCost, unknown(body.currency)) : 'an unknown sum';
}
