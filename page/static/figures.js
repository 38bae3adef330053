// The figures at the top: counts, power, bills, lag, and the last minute's message rate.

import { setText } from './dom.js';
import { figure, lags, money } from './words.js';

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 36;
const BAR = 4;

const field = (name) => document.getElementById(`figure-${name}`);

export class Figures {
  #bars = [];

  constructor() {
    const chart = document.getElementById('rate-bars');
    for (let i = 0; i < 59; i += 1) {
      const bar = document.createElementNS(SVG, 'rect');
      bar.setAttribute('x', String(i * BAR));
      bar.setAttribute('width', '3');
      chart.append(bar);
      this.#bars.push(bar);
    }
  }

  show(fleet, flow, now) {
    setText(field('charge-points'), figure(fleet.chargePoints.size));
    setText(field('sessions'), figure(fleet.sessions.size));
    const power = fleet.power();
    setText(field('power'), power === null ? '–' : `${figure(power, 1)} kW`);
    const bills = [...fleet.billed].map(([currency, sum]) => money(sum, currency));
    setText(field('billed'), bills.length === 0 ? '–' : bills.join(' + '));
    const late = flow.lag(now);
    setText(field('lag'), late === null ? '–' : lags(late));
    const rate = flow.rate(now);
    setText(field('rate'), figure(rate, rate < 10 && rate > 0 ? 1 : 0));
    const history = flow.history(now);
    const most = Math.max(...history, 1);
    history.forEach((count, i) => {
      const height = count === 0 ? 1 : Math.max(2, (count / most) * HEIGHT);
      this.#bars[i].setAttribute('height', height.toFixed(1));
      this.#bars[i].setAttribute('y', (HEIGHT - height).toFixed(1));
    });
  }
}
