// `[inet_http_server]` and `[unix_http_server]`: where the agent listens (spec config 7.1, 7.2). Pure.
// Sections are matched by the beginning of their name, no colon needed, as Supervisor does.
import { readPath } from '../../common/fields.js';
import type { IniSection } from '../../common/ini.js';
import type { SectionReader } from '../../common/sections.js';
import { trimBlanks } from '../../common/text.js';
import { nameAfterColon, type ParseContext } from './context.js';
import { INET_SERVER, UNIX_SERVER } from './schema.js';
import type { Credentials, InetServerConfig, ServerConfig, UnixServerConfig } from './types.js';

/** TCP servers, then unix servers. */
export function parseServers(context: ParseContext): ServerConfig[] {
  return [
    ...context.sectionsWith('inet_http_server').flatMap((section) => parseInet(context, section)),
    ...context.sectionsWith('unix_http_server').flatMap((section) => parseUnix(context, section)),
  ];
}

function parseInet(context: ParseContext, section: IniSection): InetServerConfig[] {
  const reader = context.reader(section, INET_SERVER);
  const credentials = parseCredentials(reader);
  const address = reader.get('port');
  if (address === undefined) {
    if (reader.raw('port') === undefined) {
      reader.fail(
        'port',
        `section [${section.name}] has no port value`,
        'add port = 127.0.0.1:9001',
      );
    }
    return [];
  }
  const insecureRemote = reader.get('insecure_remote');
  const name = nameAfterColon(section.name);
  return [{ family: 'inet', section: section.name, name, credentials, insecureRemote, ...address }];
}

function parseUnix(context: ParseContext, section: IniSection): UnixServerConfig[] {
  const reader = context.reader(section, UNIX_SERVER);
  const file = reader.get('file', [context.envNames, context.hereNames]);
  if (file === undefined && reader.raw('file') === undefined) {
    reader.fail('file', `section [${section.name}] has no file value`, 'add file = /path/to.sock');
  }
  const credentials = parseCredentials(reader);
  const owner = reader.get('chown');
  const mode = reader.get('chmod');
  if (file === undefined) return [];
  return [
    {
      family: 'unix',
      section: section.name,
      name: nameAfterColon(section.name),
      credentials,
      file: readPath(trimBlanks(file), context.world),
      mode,
      owner,
    },
  ];
}

function parseCredentials(
  reader: SectionReader<Pick<typeof INET_SERVER, 'username' | 'password'>>,
): Credentials | undefined {
  const username = reader.get('username');
  const password = reader.get('password');
  if (username !== undefined && password !== undefined) return { username, password };
  const missing = (['username', 'password'] as const).find((key) => reader.raw(key) === undefined);
  if (!reader.failed && (username !== undefined || password !== undefined)) {
    reader.fail(
      undefined,
      `Section [${reader.section.name}] contains incomplete authentication: If a username or a ` +
        'password is specified, both the username and password must be specified',
      `add ${missing}`,
    );
  }
  return undefined;
}
