// The open sessions: one card each.

import { arrange, element, setText } from './dom.js';
import { energyHeard, energySoFar } from './fleet.js';
import { clock, connectorName, duration, figure, money } from './words.js';

const LIMIT = 60;
const WIDTH = 240;
const HEIGHT = 44;
const SVG = 'http://www.w3.org/2000/svg';

export class SessionCards {
  #list = document.getElementById('sessions');
  #more = document.getElementById('sessions-more');
  #empty = document.getElementById('sessions-empty');
  #known = new Map();

  show(fleet, now) {
    const newest = [...fleet.sessions.values()].sort((a, b) => (b.startTime ?? 0) - (a.startTime ?? 0));
    arrange(this.#list, this.#known, newest.slice(0, LIMIT), (session) => session.key, (session) => card(session, fleet));
    for (const row of this.#known.values()) row.refresh(now);
    setText(this.#more, newest.length > LIMIT ? `the newest ${LIMIT} of ${figure(newest.length)}` : '');
    this.#empty.hidden = newest.length > 0;
  }
}

function card(session, fleet) {
  const power = element('strong', { class: 'big' });
  const energy = element('dd');
  const cost = element('dd');
  const costName = element('dt', {}, 'Cost so far');
  const time = element('dd');
  const who = element('p', { class: 'quiet' });
  const heard = element('p', { class: 'quiet heard' });
  const line = document.createElementNS(SVG, 'polyline');
  const area = document.createElementNS(SVG, 'polygon');
  const curve = document.createElementNS(SVG, 'svg');
  curve.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  curve.setAttribute('preserveAspectRatio', 'none');
  curve.setAttribute('class', 'curve');
  curve.setAttribute('aria-hidden', 'true');
  curve.append(area, line);
  const node = element('li', { class: 'card session' },
    element('div', { class: 'card-head' },
      element('h3', {}, session.clientId),
      element('span', { class: 'quiet' }, connectorName(session))),
    element('p', { class: 'power' }, power, ' ', element('span', { class: 'quiet' }, 'kW')),
    curve,
    element('dl', { class: 'facts' },
      element('div', {}, element('dt', {}, 'Energy'), energy),
      element('div', {}, costName, cost),
      element('div', {}, element('dt', {}, 'Since start'), time)),
    element('div', { class: 'card-foot' }, who, heard));
  let drawn = '';
  return {
    node,
    refresh(now) {
      setText(power, session.power === null ? '–' : figure(session.power, 2));
      setText(energy, energyText(session));
      const estimate = fleet.costSoFar(session, now);
      setText(cost, estimate === null ? '–' : `≈ ${money(estimate.amount, estimate.currency)}`);
      cost.title = estimate === null ? 'no bill of this charge point has named its rate yet' : 'estimated at the rate of this charge point’s last bill';
      setText(time, session.startTime === null ? '–' : duration(now - session.startTime));
      setText(who, `session ${session.transactionId}${session.idTag === null ? '' : ` · ${session.idTag}`}`);
      setText(heard, session.heardAt === null ? '' : `as of ${clock(session.heardAt)}`);
      const points = curveOf(session.curve);
      if (points !== drawn) {
        drawn = points;
        line.setAttribute('points', points);
        area.setAttribute('points', points === '' ? '' : `${points} ${WIDTH},${HEIGHT} 0,${HEIGHT}`);
      }
    },
  };
}

function energyText(session) {
  const energy = energySoFar(session);
  if (energy !== null) return `${figure(energy, 3)} kWh`;
  const heard = energyHeard(session);
  // Its start was before this page; how much came before that, no message here has said.
  return heard === null || heard === 0 ? '–' : `≥ ${figure(heard, 3)} kWh`;
}

function curveOf(values) {
  if (values.length < 2) return '';
  const most = Math.max(...values, 0.001);
  const step = WIDTH / (values.length - 1);
  return values.map((value, i) => `${(i * step).toFixed(1)},${(HEIGHT - 2 - (Math.max(0, value) / most) * (HEIGHT - 6)).toFixed(1)}`).join(' ');
}
