// A log file that the agent appends to, with Supervisor's rotation (spec process 12) and room for readers.
// Invariants: always in append mode; a failing disk costs bytes, which are counted, and never throws from `append`;
// stream positions grow for ever: the live file covers [base, end) of everything ever logged here.
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  renameSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';

export interface LogFileOptions {
  readonly path: string;
  /** Rotate when the file has reached this many bytes; 0 or less: never. */
  readonly bytesMax: number;
  /** Old files to keep; 0: truncate in place. */
  readonly backups: number;
  /** Mode of a new file, before the umask. */
  readonly mode: number;
  /**
   * Told when writing begins to fail and, with undefined, when it works again: of a trouble that keeps coming back
   * only the first, second, fourth, eighth … time.
   */
  readonly onTrouble?: (error: Error | undefined) => void;
}

/** One log file and its rotation. `append` before `open`, or after a failed one, tries to open. */
export class LogFile {
  readonly path: string;
  /** Bytes that the disk refused since the start. */
  lostBytes = 0;
  readonly #options: LogFileOptions;
  #fd: number | undefined;
  /** Only regular files are rotated and truncated: never a terminal, a pipe or a device. */
  #regular = true;
  #base = 0;
  #end = 0;
  #generation = 0;
  #rotateAt: number;
  #isFailing = false;
  #troubles = 0;
  readonly #listeners = new Set<() => void>();

  constructor(options: LogFileOptions) {
    this.path = options.path;
    this.#options = options;
    this.#rotateAt = options.bytesMax;
  }

  /** Stream position of the live file's first byte. */
  get base(): number {
    return this.#base;
  }

  /** Stream position after the live file's last byte. */
  get end(): number {
    return this.#end;
  }

  /** Grows whenever the path stands for another file than before, or for an emptied one. */
  get generation(): number {
    return this.#generation;
  }

  /** Opens for appending, creating the file. Throws the system's error (e.g. ENOENT: no such directory). */
  open(): void {
    if (this.#fd !== undefined) return;
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOCTTY;
    this.#fd = openSync(this.path, flags, this.#options.mode);
    const stat = fstatSync(this.#fd);
    this.#regular = stat.isFile();
    this.#sizeIs(this.#regular ? stat.size : 0);
  }

  /** Looks at a file that is not open, so that a reader starts from its real size. */
  refresh(): void {
    if (this.#fd !== undefined) return;
    try {
      const stat = statSync(this.path);
      this.#sizeIs(stat.isFile() ? stat.size : 0);
    } catch {
      this.#sizeIs(0);
    }
  }

  /** Appends all of `data`; false when some of it was lost. */
  append(data: Uint8Array): boolean {
    let written = 0;
    try {
      this.open();
      while (written < data.length)
        written += writeSync(this.#fd as number, data, written, data.length - written);
      if (this.#isFailing) this.#trouble(undefined);
    } catch (error) {
      this.lostBytes += data.length - written;
      if (!this.#isFailing) this.#trouble(error as Error);
    }
    this.#end += written;
    if (this.#regular && this.#rotateAt > 0 && this.#end - this.#base >= this.#rotateAt)
      this.#rotate();
    for (const listener of this.#listeners) listener();
    return written === data.length;
  }

  /** Opens the path afresh: somebody has moved the file away (SIGUSR2). Throws as `open` does. */
  reopen(): void {
    if (this.#fd === undefined) return;
    this.close();
    this.#newFile();
    this.open();
    this.#notify();
  }

  /** Empties the live file, open or not; backups, devices and what a link points at through `lstat` stay in place. */
  clear(): void {
    if (this.#fd !== undefined) {
      if (!this.#regular) return;
      ftruncateSync(this.#fd, 0);
    } else {
      if (!statSync(this.path).isFile()) return;
      truncateSync(this.path, 0);
    }
    this.#newFile();
    this.#notify();
  }

  /** Whether the path exists at all. */
  exists(): boolean {
    try {
      lstatSync(this.path);
      return true;
    } catch {
      return false;
    }
  }

  /** Closes the file; `append` would open it again. Idempotent. */
  close(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** Calls back after each append, rotation and clearing; returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #trouble(error: Error | undefined): void {
    this.#isFailing = error !== undefined;
    if (this.#isFailing) this.#troubles += 1;
    if (Number.isInteger(Math.log2(this.#troubles))) this.#options.onTrouble?.(error);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #newFile(): void {
    this.#base = this.#end;
    this.#generation += 1;
    this.#rotateAt = this.#options.bytesMax;
  }

  /** The live file has this size now; a smaller one than we knew is another file. */
  #sizeIs(size: number): void {
    if (size < this.#end - this.#base) this.#newFile();
    this.#end = this.#base + size;
  }

  #rotate(): void {
    // Somebody may have truncated the file (logrotate's copytruncate): the real size decides.
    const size = fstatSync(this.#fd as number).size;
    if (size < this.#options.bytesMax) return this.#sizeIs(size);
    try {
      if (this.#options.backups > 0) {
        for (let i = this.#options.backups - 1; i >= 1; i--)
          renameIfThere(`${this.path}.${i}`, `${this.path}.${i + 1}`);
        renameIfThere(this.path, `${this.path}.1`);
        this.close();
        this.#newFile();
        this.open();
      } else {
        ftruncateSync(this.#fd as number, 0);
        this.#newFile();
      }
    } catch {
      // Not possible now (permissions, full disk): do not push the backups off the end by trying at each write.
      this.#rotateAt = this.#end - this.#base + this.#options.bytesMax;
    }
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
