// Unpack Chromium and what it needs from the npm package @sparticuz/chromium, without running a line of that package:
// `node local/browser.js FOLDER`, as `make setup` does. Its own start would unpack into the temporary folder, under a fixed name.
'use strict';
const { createReadStream, createWriteStream, mkdirSync, rmSync, renameSync, writeFileSync } = require('node:fs');
const { execFileSync } = require('node:child_process');
const { join, resolve } = require('node:path');
const { pipeline } = require('node:stream/promises');
const { createBrotliDecompress } = require('node:zlib');

const packed = join(__dirname, '..', 'node_modules', '@sparticuz', 'chromium', 'bin');
const folder = resolve(process.argv[2]);

async function unpack(name, to, mode) {
  await pipeline(createReadStream(join(packed, `${name}.br`)), createBrotliDecompress(), createWriteStream(to, { mode }));
}

async function unpackTar(name, to) {
  const archive = join(to, name);
  mkdirSync(to, { recursive: true });
  await unpack(name, archive, 0o644);
  execFileSync('tar', ['-xf', archive, '-C', to]);
  rmSync(archive);
}

(async () => {
  // Beside its place, and moved when it is whole: a setup that was interrupted leaves no half of a browser.
  const fresh = `${folder}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  await Promise.all([
    unpack('chromium', join(fresh, 'chromium'), 0o755),
    unpackTar('al2023.tar', fresh),
    unpackTar('fonts.tar', fresh),
  ]);
  // Without fonts of its own a page has no text on a bare machine.
  const fonts = ['<?xml version="1.0"?>', '<!DOCTYPE fontconfig SYSTEM "fonts.dtd">', '<fontconfig>',
    `<dir>${join(folder, 'fonts')}</dir>`, `<cachedir>${join(folder, 'cache')}</cachedir>`, '</fontconfig>'];
  writeFileSync(join(fresh, 'fonts.conf'), `${fonts.join('\n')}\n`);
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
})();
