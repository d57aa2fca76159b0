import { connect } from 'node:net';

/** A connection that speaks RESP2: replies in their order, and the pushed messages of a subscriber. */
export class Wire {
  static async open(port, onPush) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Wire(socket, onPush);
  }

  received = 0;
  #rest = '';
  #waiting = [];

  constructor(socket, onPush) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.received += chunk.length;
      this.#rest += chunk.toString('latin1');
      for (let found; (found = parse(this.#rest, 0)) !== undefined;) {
        this.#rest = this.#rest.slice(found.end);
        if (Array.isArray(found.value) && found.value[0] === 'message') onPush(found.value[2]);
        else this.#waiting.shift()?.(found.value);
      }
    });
  }

  /** Commands in one write; the reply of the last. */
  send(...commands) {
    this.socket.write(commands.map(encode).join(''), 'latin1');
    return new Promise((resolve) => {
      for (let i = 1; i < commands.length; i++) this.#waiting.push(() => undefined);
      this.#waiting.push(resolve);
    });
  }
}

function encode(words) {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

/** A reply and where it ends; `undefined`: it is not whole yet. */
function parse(text, at) {
  const end = text.indexOf('\r\n', at);
  if (end < 0) return undefined;
  const line = text.slice(at + 1, end);
  const next = end + 2;
  switch (text[at]) {
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, end: next };
      return text.length < next + length + 2
        ? undefined
        : { value: text.slice(next, next + length), end: next + length + 2 };
    }
    case '*': {
      const value = [];
      let from = next;
      for (let i = 0; i < Number(line); i++) {
        const part = parse(text, from);
        if (!part) return undefined;
        value.push(part.value);
        from = part.end;
      }
      return { value: Number(line) < 0 ? null : value, end: from };
    }
    case ':':
      return { value: Number(line), end: next };
    case '-':
      throw new Error(line);
    default:
      return { value: line, end: next };
  }
}
