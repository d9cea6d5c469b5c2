// Lines for the machine's syslog, sent through the keeper: Node has no unix datagrams (design 4, spec process 12).
// Invariants: nothing waits for syslog; what it does not take is dropped and counted; the queue before the first
// connection is bounded.

/** Sends one datagram; rejects when the receiver is away or behind. */
export type SendDatagram = (data: Uint8Array) => Promise<void>;

/** Facility `user`, priority `info`. */
const PRIORITY = 8 + 6;
/** What Supervisor's lines begin with. */
const IDENT = 'supervisord';
const QUEUE_MAX = 1_000;
/** Longer lines are cut: a datagram has its limit. */
const LINE_BYTES_MAX = 8_192;

/** Collects lines until `connect`, then sends them at once. */
export class Syslog {
  /** Lines that were not taken. */
  lostLines = 0;
  #send: SendDatagram | undefined;
  #waiting: Buffer[] = [];

  /** `undefined`: the way is gone, lines wait again. */
  connect(send: SendDatagram | undefined): void {
    this.#send = send;
    if (send === undefined) return;
    for (const line of this.#waiting.splice(0)) this.#deliver(line);
  }

  /** One message a line; empty lines are none. */
  write(text: string): void {
    for (const line of text.split('\n')) {
      if (line === '') continue;
      this.#deliver(
        Buffer.from(`<${PRIORITY}>${IDENT}: ${line}`, 'utf8').subarray(0, LINE_BYTES_MAX),
      );
    }
  }

  #deliver(line: Buffer): void {
    if (this.#send !== undefined) {
      this.#send(line).catch(() => (this.lostLines += 1));
      return;
    }
    if (this.#waiting.length >= QUEUE_MAX) {
      this.#waiting.shift();
      this.lostLines += 1;
    }
    this.#waiting.push(line);
  }
}
