// The text of dist/bin/NAME: a file that sh and node both understand. sh picks node's flags and environment,
// node checks its own version and runs the bundle of dist/lib with V8's code cache, when that fits.

/**
 * The launcher of one program.
 *
 * NODE_EXTRA_CA_CERTS: Node 20 reads that file at every start (60-100 ms), so it is put away for programs that
 * call no public HTTPS, and put back before any of our code runs: children inherit what the user had set.
 */
export function launcher({ name, nodeFlags, extraCaCerts }) {
  const putAway = `':' //; if [ -n "$NODE_EXTRA_CA_CERTS" ]; then export FLEETVISOR_NODE_EXTRA_CA_CERTS="$NODE_EXTRA_CA_CERTS"; unset NODE_EXTRA_CA_CERTS; fi\n`;
  const flags = nodeFlags.map((flag) => ` ${flag}`).join('');
  return `#!/bin/sh
':' // Starts dist/lib/${name}.js. Written by tools/build.mjs. Lines that begin with a colon are for sh.
${extraCaCerts ? '' : putAway}':' //; command -v node >/dev/null || { echo '${name}: node is not on PATH; install Node 20.19 or newer' >&2; exit 127; }
':' //; exec node${flags} "$0" "$@"
${nodePart.replaceAll('NAME', name)}`;
}

// Kept to the oldest JavaScript, so that an old node says that it is old instead of failing on syntax.
const nodePart = `'use strict';
var version = process.versions.node.split('.').map(Number);
if (version[0] < 20 || (version[0] === 20 && version[1] < 19)) {
  console.error('NAME: node ' + process.versions.node + ' (' + process.execPath + ') is too old; install Node 20.19 or newer');
  process.exit(1);
}
if (process.env.FLEETVISOR_NODE_EXTRA_CA_CERTS !== undefined) {
  process.env.NODE_EXTRA_CA_CERTS = process.env.FLEETVISOR_NODE_EXTRA_CA_CERTS;
  delete process.env.FLEETVISOR_NODE_EXTRA_CA_CERTS;
}
var fs = require('fs');
var vm = require('vm');
var lib = require('path').join(__dirname, '..', 'lib', 'NAME');
var writeCache = process.env.FLEETVISOR_WRITE_CODE_CACHE !== undefined;
var cache;
try {
  if (!writeCache) cache = fs.readFileSync(lib + '.cache');
} catch (error) {
  cache = undefined;
}
var script = new vm.Script(
  '(function (exports, require, module, __filename, __dirname, launcherUrl) {' +
    fs.readFileSync(lib + '.js', 'utf8') +
    '\\n})',
  { filename: lib + '.js', cachedData: cache },
);
// Written at the end, when the functions that a start needs are compiled.
if (writeCache) {
  process.on('exit', function () {
    fs.writeFileSync(lib + '.cache.tmp', script.createCachedData());
    fs.renameSync(lib + '.cache.tmp', lib + '.cache');
  });
}
script.runInThisContext()(
  module.exports,
  require,
  module,
  lib + '.js',
  __dirname,
  require('url').pathToFileURL(__filename).href,
);
`;
