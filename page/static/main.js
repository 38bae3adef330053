// Wires the broker to what is shown. Messages are folded as they come; the page is drawn at most
// four times a second, so that thousands of messages cost no more drawing than ten.

import { ChargePointCards } from './charge-points.js';
import { Connection } from './connection.js';
import { setText } from './dom.js';
import { EventStream } from './events.js';
import { Figures } from './figures.js';
import { Fleet } from './fleet.js';
import { Flow } from './flow.js';
import { Journal } from './journal.js';
import { isRepetition, read } from './message.js';
import { SessionCards } from './sessions.js';
import { clock, shortClock } from './words.js';

const DRAW_MS = 250;
const TICK_MS = 1000;

const fleet = new Fleet();
const flow = new Flow();
const journal = new Journal();
const figures = new Figures();
const sessions = new SessionCards();
let due = false;

const chargePoints = new ChargePointCards(draw);
const events = new EventStream(journal, draw);

function draw() {
  const now = Date.now();
  figures.show(fleet, flow, now);
  sessions.show(fleet, now);
  chargePoints.show(fleet, now);
  events.show();
}

function drawSoon() {
  if (due) return;
  due = true;
  setTimeout(() => {
    due = false;
    draw();
  }, DRAW_MS);
}

function receive(topic, payload, packet) {
  const now = Date.now();
  const entry = read(topic, payload, packet);
  if (isRepetition(entry)) return;
  // Whole seconds are too coarse for a lag, and what was kept is late by nature.
  flow.count(now, entry.precise && !entry.retained ? entry.at : null);
  fleet.apply(entry, now);
  journal.add(entry);
  drawSoon();
}

const pill = document.getElementById('connection');
const notice = document.getElementById('notice');
const signIn = document.getElementById('sign-in');
const STATES = {
  connecting: 'connecting …',
  live: 'live',
  lost: 'reconnecting …',
  refused: 'sign in',
  failed: 'not connected',
};
let lostAt = null;

function show(state, detail = '') {
  pill.dataset.state = state;
  setText(pill, STATES[state]);
  signIn.hidden = state !== 'refused';
  if (state === 'refused') signIn.elements.username.focus();
  if (state === 'lost') lostAt ??= Date.now();
  if (state === 'live' && lostAt !== null) {
    // A clean session: the broker kept nothing for us meanwhile.
    detail = `The connection was lost from ${clock(lostAt)} to ${clock(Date.now())}; messages of that time are missing here.`;
    lostAt = null;
  }
  if (state === 'live' || detail !== '') {
    setText(notice, detail);
    notice.hidden = detail === '';
  }
}

async function start() {
  const opened = document.getElementById('opened');
  opened.dateTime = new Date().toISOString();
  setText(opened, shortClock(Date.now()));
  draw();
  setInterval(draw, TICK_MS);
  const answer = await fetch('config.json');
  if (!answer.ok) throw new Error(`config.json: ${answer.status}`);
  const { mqttUrl, topics } = await answer.json();
  setText(document.getElementById('broker'), mqttUrl);
  const connection = new Connection(mqttUrl, topics, { onState: show, onMessage: receive });
  signIn.addEventListener('submit', (event) => {
    event.preventDefault();
    const { username, password } = signIn.elements;
    connection.open({ username: username.value, password: password.value });
  });
  connection.open();
}

start().catch((error) => show('failed', `The page's server does not answer: ${error.message}`));
