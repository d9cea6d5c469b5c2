// Users and groups of this machine: the files where NSS would ask them first, else getent and id.
// Answers are remembered for the life of one UserDatabase; make a new one for each reading of a configuration.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** One entry of the user database. */
export interface UserEntry {
  readonly name: string;
  readonly uid: number;
  /** Primary group. */
  readonly gid: number;
  readonly home: string;
}

/** What the agent asks about accounts; undefined means there is no such account. */
export interface UserDatabase {
  userByName(name: string): UserEntry | undefined;
  userById(uid: number): UserEntry | undefined;
  groupByName(name: string): number | undefined;
  hasGroup(gid: number): boolean;
  /** Primary group first, then every group that lists the user; no group twice. */
  groupsOf(user: UserEntry): readonly number[];
}

/** Where accounts are kept; replaced in tests. */
export interface AccountSource {
  /** A file's text; empty when it cannot be read. */
  file(path: string): string;
  /** The standard output of a command; undefined when it fails or does not exist. */
  command(name: string, args: readonly string[]): string | undefined;
}

/** A directory service that does not answer must not hold the agent for long. */
const LOOKUP_WAIT_MS = 5000;

const machineSource: AccountSource = {
  file(path) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  },
  command(name, args) {
    const run = spawnSync(name, args, {
      encoding: 'utf8',
      timeout: LOOKUP_WAIT_MS,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return run.status === 0 ? run.stdout : undefined;
  },
};

type Database = 'passwd' | 'group';

/** The machine's accounts. */
export function openUserDatabase(source: AccountSource = machineSource): UserDatabase {
  const order = memoize((database: Database) =>
    serviceOrder(source.file('/etc/nsswitch.conf'), database),
  );
  const local = memoize((database: Database) => rowsOf(source.file(`/etc/${database}`)));

  /** By name (column 0) or number (column 2). */
  const look = (database: Database, column: 0 | 2, value: string): string[] | undefined => {
    // getent takes more than one kind of key, and no name has these characters.
    if (value === '' || /[:\s]/.test(value) || value.startsWith('-')) return undefined;
    const inFile = (): string[] | undefined => local(database).find((row) => row[column] === value);
    const services = order(database);
    if (services.every((service) => service === 'files')) return inFile();
    const first = services[0] === 'files' ? inFile() : undefined;
    if (first !== undefined) return first;
    const answer = source.command('getent', [database, value]);
    const row = answer === undefined ? undefined : rowsOf(answer)[0];
    return row?.[column] === value ? row : inFile();
  };
  const find = memoize((question: string): string[] | undefined => {
    const [database, column, value] = JSON.parse(question) as [Database, 0 | 2, string];
    return look(database, column, value);
  });
  const user = (column: 0 | 2, value: string): UserEntry | undefined => {
    const row = find(JSON.stringify(['passwd', column, value]));
    if (row === undefined) return undefined;
    const [name = '', , uid, gid, , home = '/'] = row;
    return { name, uid: Number(uid), gid: Number(gid), home };
  };
  const groups = memoize((name: string): readonly number[] => {
    const services = order('group');
    if (!services.every((service) => service === 'files')) {
      const answer = source.command('id', ['-G', '--', name]);
      if (answer !== undefined) return answer.trim().split(/\s+/).map(Number);
    }
    return local('group')
      .filter((row) => (row[3] ?? '').split(',').includes(name))
      .map((row) => Number(row[2]));
  });

  return {
    userByName: (name) => user(0, name),
    userById: (uid) => user(2, String(uid)),
    groupByName(name) {
      const row = find(JSON.stringify(['group', 0, name]));
      return row === undefined ? undefined : Number(row[2]);
    },
    hasGroup: (gid) => find(JSON.stringify(['group', 2, String(gid)])) !== undefined,
    groupsOf: ({ name, gid }) => [...new Set([gid, ...groups(name)])],
  };
}

/** The services that NSS asks for a database, in order; the files alone when nothing is configured. */
function serviceOrder(text: string, database: Database): readonly string[] {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${database}:`));
  const services = (line ?? '')
    .slice(database.length + 1)
    .replace(/#.*|\[[^\]]*\]/g, '')
    .split(/\s+/)
    .filter((service) => service !== '');
  return services.length === 0 ? ['files'] : services;
}

function rowsOf(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

function memoize<Key extends string, Value>(compute: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    if (!known.has(key)) known.set(key, compute(key));
    return known.get(key) as Value;
  };
}
