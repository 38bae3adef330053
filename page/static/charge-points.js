// Charge points and their connectors.

import { arrange, element, setText } from './dom.js';
import { clock, connectorName, dayAndTime, duration, figure, shortClock } from './words.js';

const LIMIT = 120;
// OCPP 1.6 §7.7 and OCPP 2.x ConnectorStatusEnumType → how it is coloured; the text is always there.
const TONES = {
  Available: 'free',
  Preparing: 'busy',
  Occupied: 'busy',
  Charging: 'charging',
  SuspendedEV: 'waiting',
  SuspendedEVSE: 'waiting',
  Finishing: 'busy',
  Reserved: 'waiting',
  Unavailable: 'off',
  Faulted: 'fault',
};

export class ChargePointCards {
  #list = document.getElementById('charge-points');
  #more = document.getElementById('charge-points-more');
  #empty = document.getElementById('charge-points-empty');
  #filter = document.getElementById('charge-point-filter');
  #known = new Map();

  constructor(changed) {
    this.#filter.addEventListener('input', changed);
  }

  show(fleet, now) {
    const wanted = this.#filter.value.trim().toLowerCase();
    const all = [...fleet.chargePoints.values()].filter((each) => wanted === '' || matches(each, wanted));
    all.sort((a, b) => NATURAL.compare(a.clientId, b.clientId));
    arrange(this.#list, this.#known, all.slice(0, LIMIT), (each) => each.clientId, card);
    for (const row of this.#known.values()) row.refresh(now);
    setText(this.#more, all.length > LIMIT ? `${LIMIT} of ${figure(all.length)}; filter to see others` : '');
    setText(this.#empty, fleet.chargePoints.size === 0 ? 'Waiting for the first message …' : 'No charge point matches.');
    this.#empty.hidden = all.length > 0;
  }
}

const NATURAL = new Intl.Collator(undefined, { numeric: true });

function matches(chargePoint, wanted) {
  if (chargePoint.clientId.toLowerCase().includes(wanted)) return true;
  return [...chargePoint.connectors.values()].some((connector) => connector.status?.toLowerCase().includes(wanted));
}

function card(chargePoint) {
  const heard = element('p', { class: 'quiet heard' });
  const own = element('span', { class: 'quiet' });
  const connectors = element('ul', { class: 'connectors' });
  const known = new Map();
  const node = element('li', { class: 'card' }, element('div', { class: 'card-head' }, element('h3', {}, chargePoint.clientId), own), connectors, heard);
  return {
    node,
    refresh(now) {
      setText(own, chargePoint.own === null ? '' : statusText(chargePoint.own));
      const sorted = [...chargePoint.connectors].sort(([a], [b]) => NATURAL.compare(a, b));
      arrange(connectors, known, sorted, ([key]) => key, connectorRow);
      const seconds = chargePoint.lastHeard === null ? null : Math.max(0, now - chargePoint.lastHeard);
      setText(heard, seconds === null ? 'not heard yet, kept status' : seconds < 5000 ? 'heard just now' : `heard ${duration(seconds)} ago`);
      heard.title = chargePoint.lastHeard === null ? '' : clock(chargePoint.lastHeard);
    },
  };
}

function connectorRow([, connector]) {
  const chip = element('span', { class: 'chip' });
  const since = element('span', { class: 'quiet' });
  const node = element('li', {}, element('span', { class: 'connector-name' }, connectorName(connector)), chip, since);
  return {
    node,
    update([, { status, errorCode, since: at }]) {
      setText(chip, status === null ? 'no status yet' : statusText({ status, errorCode }));
      chip.dataset.tone = errorCode !== null && errorCode !== 'NoError' ? 'fault' : (Object.hasOwn(TONES, status) ? TONES[status] : 'off');
      setText(since, at === null ? '' : shortClock(at));
      since.title = at === null ? '' : dayAndTime(at);
    },
  };
}

function statusText({ status, errorCode }) {
  const error = errorCode === null || errorCode === 'NoError' ? '' : ` · ${errorCode}`;
  return `${status ?? 'no status yet'}${error}`;
}
