// The Spawner port over the keeper's socket. Notices reach `onNotice` in the keeper's order, never from inside a call.
// Invariants: after `lost` nothing more is told and every call fails at once; reconnecting is the owner's business.
import { connect, type Socket } from 'node:net';
import type {
  ChildRecord,
  SignalOutcome,
  SignalTarget,
  Spawner,
  SpawnNotice,
  SpawnRequest,
} from '../spawner.js';
import { decodeError, errnoName, errnoOf, KeeperError } from './errors.js';
import {
  decodeChild,
  decodeInfo,
  decodeNotice,
  encodeForSpawn,
  encodeSpawn,
  type KeeperInfo,
} from './messages.js';
import {
  Field,
  type Frame,
  FrameReader,
  FrameWriter,
  KeeperErrorCode,
  Message,
  ProtocolError,
  textField,
  VERSION_MAX,
  VERSION_MIN,
} from './protocol.js';
import {
  datagramRequest,
  decodeDatagram,
  listenRequest,
  type Datagram,
  type SocketAddress,
  type SocketOwner,
} from './sockets.js';

/** Requests and bytes that may wait for the keeper; beyond, the connection is given up as lost. */
const PENDING_MAX = 65_536;
const UNSENT_BYTES_MAX = 64 * 1024 * 1024;
const CONNECT_WAIT_MS = 5_000;

export interface KeeperOptions {
  readonly socketPath: string;
  /** Called once for each notice, in order; must not throw. */
  onNotice(notice: SpawnNotice): void;
  onDatagram?(datagram: Datagram): void;
  /** How long connecting and the greeting may take, in milliseconds. Default 5,000. */
  readonly connectWaitMs?: number;
}

interface Pending {
  readonly spawn: number | undefined;
  readonly rows: Frame[];
  resolve(reply: Frame, rows: readonly Frame[]): void;
  reject(error: KeeperError): void;
}

/**
 * Connects and greets. Rejects with a KeeperError when nobody listens, or versions have nothing in common.
 * The caller then lists: exits that happened before are told by the list, later ones by notices.
 */
export async function connectKeeper(options: KeeperOptions): Promise<KeeperClient> {
  const socket = connect(options.socketPath);
  const timer = setTimeout(() => {
    socket.destroy(new Error(`no answer within ${options.connectWaitMs ?? CONNECT_WAIT_MS} ms`));
  }, options.connectWaitMs ?? CONNECT_WAIT_MS);
  const client = new KeeperClient(socket, options);
  try {
    await client.greet();
    return client;
  } catch (error) {
    socket.destroy();
    const reason = error instanceof Error ? error.message : String(error);
    const code = error instanceof KeeperError ? error.code : 0;
    const name = error instanceof KeeperError ? error.errorName : undefined;
    throw new KeeperError(
      `cannot reach the keeper at ${options.socketPath}: ${reason}`,
      code,
      name,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** One connection to the keeper; made by `connectKeeper`. */
export class KeeperClient implements Spawner {
  readonly #socket: Socket;
  readonly #options: KeeperOptions;
  readonly #reader = new FrameReader();
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #info: KeeperInfo | undefined;
  #ended = false;
  #cause: string | undefined;
  #displaced = false;

  constructor(socket: Socket, options: KeeperOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#cause ??= error.message;
    });
    socket.on('close', () => {
      this.#lose(this.#cause ?? 'the keeper closed the connection');
    });
  }

  /** What the keeper said of itself. */
  get info(): KeeperInfo {
    if (this.#info === undefined)
      throw new KeeperError('the keeper has not greeted yet', 0, undefined);
    return this.#info;
  }

  /** Sends hello; called once, by connectKeeper. */
  async greet(): Promise<void> {
    const writer = new FrameWriter()
      .number(Field.versionMin, VERSION_MIN)
      .number(Field.versionMax, VERSION_MAX);
    await this.#call(Message.hello, writer);
  }

  spawn(request: SpawnRequest): void {
    if (this.#ended) {
      this.#failLater(request.spawn, 'EIO');
      return;
    }
    const id = this.#takeId();
    let frame: Buffer;
    try {
      frame = encodeSpawn(request, id, request.cwd ?? currentDirectory());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#failLater(request.spawn, 'E2BIG');
      return;
    }
    const fail = (error: KeeperError): void => {
      // A lost connection leaves the outcome to the list of the next one.
      if (error.code !== 0) this.#fail(request.spawn, error.errorName ?? 'EIO');
    };
    this.#send(id, frame, {
      spawn: request.spawn,
      rows: [],
      resolve: () => undefined,
      reject: fail,
    });
  }

  async signal(spawn: number, signal: number, target: SignalTarget): Promise<SignalOutcome> {
    const targets = { process: 0, group: 1, tree: 2 } as const;
    const writer = new FrameWriter()
      .number(Field.spawn, spawn)
      .number(Field.signal, signal)
      .number(Field.target, targets[target]);
    try {
      await this.#call(Message.signal, writer);
      return 'delivered';
    } catch (error) {
      if (!(error instanceof KeeperError)) throw error;
      if (error.code === KeeperErrorCode.noSuch) return 'gone';
      return { errorName: error.errorName ?? 'EIO' };
    }
  }

  async list(): Promise<readonly ChildRecord[]> {
    const rows = await this.#listRows();
    return rows
      .filter((row) => row.type === Message.child)
      .map((row) => decodeChild(row, this.info.pid))
      .sort((a, b) => a.spawn - b.spawn);
  }

  /** Names of the sockets that the keeper holds. */
  async listSockets(): Promise<readonly string[]> {
    const rows = await this.#listRows();
    return rows
      .filter((row) => row.type === Message.socket)
      .map((row) => textField(row, Field.name) ?? '');
  }

  acknowledgeExit(spawn: number): void {
    this.#tell(Message.ackExit, spawn);
  }

  releaseOutput(spawn: number): void {
    this.#tell(Message.releaseOutput, spawn);
  }

  releaseSpill(spawn: number): void {
    this.#tell(Message.releaseSpill, spawn);
  }

  /** Opens a listening socket under `name`, for children's `socket` streams. Rejects with a KeeperError. */
  async listen(name: string, address: SocketAddress, backlog?: number): Promise<void> {
    await this.#call(Message.listen, listenRequest(name, address, backlog));
  }

  /** Opens a unix datagram socket under `name`: bound to `path` when receiving, else connected to it. */
  async openDatagram(
    name: string,
    path: string,
    receive: false | { mode?: number; owner?: SocketOwner },
  ): Promise<void> {
    await this.#call(Message.dgramOpen, datagramRequest(name, path, receive));
  }

  /** Sends one datagram. Rejects with a KeeperError (`EAGAIN`: the receiver is behind, nothing was sent). */
  async sendDatagram(name: string, data: Uint8Array): Promise<void> {
    const writer = new FrameWriter().text(Field.name, name).bytes(Field.data, data);
    await this.#call(Message.dgramSend, writer);
  }

  /** Closes a held socket; children that have it keep it. */
  async closeSocket(name: string): Promise<void> {
    await this.#call(Message.closeSocket, new FrameWriter().text(Field.name, name));
  }

  async shutdown(): Promise<void> {
    await this.#call(Message.shutdown, new FrameWriter());
    await this.close();
  }

  async close(): Promise<void> {
    this.#ended = true;
    if (this.#socket.closed) return;
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => {
        resolve();
      });
      this.#socket.destroy();
    });
  }

  async #listRows(): Promise<readonly Frame[]> {
    return await new Promise((resolve, reject) => {
      const id = this.#takeId();
      const frame = new FrameWriter().finish(Message.list, id);
      const done = (_reply: Frame, rows: readonly Frame[]): void => {
        resolve(rows);
      };
      this.#send(id, frame, { spawn: undefined, rows: [], resolve: done, reject });
    });
  }

  async #call(type: number, writer: FrameWriter): Promise<Frame> {
    return await new Promise((resolve, reject) => {
      const id = this.#takeId();
      this.#send(id, writer.finish(type, id), { spawn: undefined, rows: [], resolve, reject });
    });
  }

  // For requests whose refusal has no consequence: a repeat after a crash finds nothing to do.
  #tell(type: number, spawn: number): void {
    const id = this.#takeId();
    const ignore = (): undefined => undefined;
    const frame = encodeForSpawn(type, id, spawn);
    this.#send(id, frame, { spawn: undefined, rows: [], resolve: ignore, reject: ignore });
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    return id;
  }

  #send(id: number, frame: Buffer, pending: Pending): void {
    if (this.#ended) {
      pending.reject(new KeeperError('the connection to the keeper is closed', 0, 'EIO'));
      return;
    }
    this.#pending.set(id, pending);
    this.#socket.write(frame);
    if (this.#pending.size > PENDING_MAX || this.#socket.writableLength > UNSENT_BYTES_MAX) {
      this.#socket.destroy(new Error('the keeper takes no more requests'));
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#handle(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#socket.destroy(error);
    }
  }

  #handle(frame: Frame): void {
    if (this.#ended) return;
    if (frame.id === 0) {
      this.#handleNotice(frame);
      return;
    }
    const pending = this.#pending.get(frame.id);
    if (pending === undefined) return;
    if (frame.type === Message.child || frame.type === Message.socket) {
      pending.rows.push(frame);
      return;
    }
    // Decoded while it is still pending: a welcome that makes no sense rejects instead of being waited for.
    if (frame.type === Message.welcome) this.#info = decodeInfo(frame);
    this.#pending.delete(frame.id);
    if (frame.type === Message.error) pending.reject(decodeError(frame));
    else pending.resolve(frame, pending.rows);
  }

  #handleNotice(frame: Frame): void {
    if (frame.type === Message.displaced) {
      this.#displaced = true;
      this.#cause = 'another agent took over the keeper';
    } else if (frame.type === Message.dgram) {
      this.#options.onDatagram?.(decodeDatagram(frame));
    } else {
      const notice = decodeNotice(frame, this.info.pid, errnoName);
      if (notice !== undefined) this.#options.onNotice(notice);
    }
  }

  #lose(reason: string): void {
    const known = this.#info !== undefined && !this.#ended;
    this.#ended = true;
    for (const pending of this.#pending.values()) pending.reject(new KeeperError(reason, 0, 'EIO'));
    this.#pending.clear();
    if (!known) return;
    const lost = { kind: 'lost', reason } as const;
    this.#options.onNotice(this.#displaced ? { ...lost, displaced: true } : lost);
  }

  #fail(spawn: number, errorName: string): void {
    const errno = errnoOf(errorName);
    this.#options.onNotice({ kind: 'spawn-failed', spawn, stage: 'keeper', errno, errorName });
  }

  #failLater(spawn: number, errorName: string): void {
    queueMicrotask(() => {
      this.#fail(spawn, errorName);
    });
  }
}

// A child without a directory gets the agent's, as under supervisord; the keeper's own is the root.
function currentDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return '/'; // the agent's directory was removed
  }
}
