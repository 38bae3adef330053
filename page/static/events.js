// The stream: the newest message first, filtered, paused at will, each opened to its JSON.

import { arrange, element, setText } from './dom.js';
import { KINDS } from './message.js';
import { clock, dayAndTime, figure, sentence } from './words.js';

const STEP = 50;
const MOST = 500;
const TEXTS = /"(?:\\.|[^"\\])*"/g;

export class EventStream {
  #list = document.getElementById('events');
  #more = document.getElementById('events-more');
  #empty = document.getElementById('events-empty');
  #words = document.getElementById('event-filter');
  #pause = document.getElementById('pause');
  #kinds = new Map();
  #known = new Map();
  #journal;
  #older = document.getElementById('older');
  #upTo = Infinity;
  #limit = STEP;

  constructor(journal, changed) {
    this.#journal = journal;
    const box = document.getElementById('kinds');
    for (const [kind, name] of Object.entries(KINDS)) {
      const input = element('input', { type: 'checkbox', value: kind, checked: true });
      input.addEventListener('change', changed);
      box.append(element('label', { 'data-kind': kind }, input, ` ${name}`));
      this.#kinds.set(kind, input);
    }
    this.#words.addEventListener('input', changed);
    this.#pause.addEventListener('click', () => {
      this.#upTo = this.#upTo === Infinity ? journal.total : Infinity;
      const paused = this.#upTo !== Infinity;
      this.#pause.setAttribute('aria-pressed', String(paused));
      setText(this.#pause, paused ? 'Resume' : 'Pause');
      changed();
    });
    this.#older.addEventListener('click', () => {
      this.#limit = Math.min(this.#limit + STEP, MOST);
      changed();
    });
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, textarea, select')) return;
      if (event.key === '/') {
        event.preventDefault();
        this.#words.focus();
      } else if (event.key === 'p') {
        this.#pause.click();
      }
    });
  }

  show() {
    const kinds = new Set([...this.#kinds].filter(([, input]) => input.checked).map(([kind]) => kind));
    const { shown, matches } = this.#journal.find({ words: this.#words.value, kinds, upTo: this.#upTo }, this.#limit);
    arrange(this.#list, this.#known, shown, (entry) => entry.serial, row);
    const waiting = this.#upTo === Infinity ? 0 : this.#journal.total - this.#upTo;
    const many = matches > shown.length ? `the newest ${shown.length} of ${figure(matches)}` : `${figure(matches)} shown`;
    setText(this.#more, waiting > 0 ? `paused, ${figure(waiting)} newer` : many);
    this.#older.hidden = matches <= shown.length || this.#limit === MOST;
    this.#empty.hidden = shown.length > 0;
  }
}

function row(entry) {
  const summary = element('summary', {},
    element('time', { datetime: entry.at === null ? null : new Date(entry.at).toISOString(), title: entry.at === null ? null : dayAndTime(entry.at) },
      entry.at === null ? '–' : clock(entry.at)),
    element('span', { class: 'who' }, entry.clientId ?? entry.topic),
    element('span', { class: 'type' }, entry.type),
    element('span', { class: 'says' }, sentence(entry)));
  for (const code of entry.anomalies ?? []) summary.append(element('span', { class: 'chip', 'data-tone': 'waiting' }, code));
  if (entry.retained) summary.append(element('span', { class: 'chip', 'data-tone': 'off' }, 'kept by the broker'));
  const details = element('details', { 'data-kind': entry.kind }, summary);
  details.addEventListener('toggle', () => {
    if (details.open && details.children.length === 1) {
      // A scrolling box must be reachable by keyboard.
      details.append(element('p', { class: 'quiet topic' }, entry.topic), element('pre', { tabindex: 0, 'aria-label': 'the message' }, indented(entry.raw)));
    }
  });
  return { node: element('li', {}, details) };
}

function indented(raw) {
  // JSON.parse would round what a double can't hold: then the text as it came is the better one.
  if (/\d{16}/.test(raw.replace(TEXTS, '""'))) return raw;
  try {
    return JSON.stringify(JSON.parse(raw), null, 2);
  } catch {
    return raw;
  }
}
