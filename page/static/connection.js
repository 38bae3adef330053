// The broker's websocket listener through mqtt.js: subscribes, reconnects, says how it stands.

const RECONNECT_MS = 2000;
const CONNECT_TIMEOUT_MS = 10_000;
// CONNACK reasons (MQTT 5 §3.2.2.2) that mean "say who you are": to try again would not help.
const BAD_CREDENTIALS = 0x86;
const NOT_AUTHORIZED = 0x87;
const REFUSALS = new Set([BAD_CREDENTIALS, NOT_AUTHORIZED]);

export class Connection {
  #client = null;

  /**
   * @param {string} url ws:// or wss://
   * @param {string[]} topics
   * @param {{onState: (state: 'connecting'|'live'|'lost'|'refused'|'failed', detail?: string) => void,
   *          onMessage: (topic: string, payload: Uint8Array, packet: {retain: boolean, properties?: object}) => void}} listeners
   */
  constructor(url, topics, listeners) {
    this.url = url;
    this.topics = topics;
    this.listeners = listeners;
  }

  open(credentials = {}) {
    const { onState, onMessage } = this.listeners;
    this.#client?.end(true);
    onState('connecting');
    let client;
    try {
      // MQTT 5 for its properties: the eventId of a frame holds the time it was received at. A clean
      // session: nothing is left at the broker by a tab that was closed.
      client = window.mqtt.connect(this.url, {
        ...credentials,
        protocolVersion: 5,
        clean: true,
        reconnectPeriod: RECONNECT_MS,
        connectTimeout: CONNECT_TIMEOUT_MS,
        resubscribe: false,
      });
    } catch (error) {
      onState('failed', `${this.url} can't be used: ${error.message}`);
      return;
    }
    this.#client = client;
    client.on('connect', () => {
      client.subscribe(this.topics, { qos: 1 }, (error, granted = []) => {
        const refused = granted.filter((each) => each.qos > 2).map((each) => each.topic);
        if (error && refused.length === 0) onState('failed', `the broker refuses the subscription: ${error.message}`);
        else if (refused.length === this.topics.length) onState('failed', `the broker refuses the subscription to ${refused.join(' and ')}`);
        else onState('live');
      });
    });
    client.on('message', (topic, payload, packet) => onMessage(topic, payload, packet));
    client.on('close', () => {
      if (client === this.#client) onState('lost');
    });
    client.on('error', (error) => {
      if (!REFUSALS.has(error.code)) return; // "close" follows, and the next attempt
      this.#client = null;
      client.end(true);
      onState('refused');
    });
  }
}
