// Builds the page into dist/: script, style sheet, icon, licences and HTML, each plain, gzip and brotli, and assets.rs,
// the list of them that the program includes. `--check` builds elsewhere and compares, `--watch` rebuilds at every change.

import { createHash } from 'node:crypto';
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const committed = join(root, 'dist');
const GZIP_BYTES_MAX = 100_000;

const TYPES = {
    css: 'text/css; charset=utf-8',
    html: 'text/html; charset=utf-8',
    js: 'text/javascript; charset=utf-8',
    svg: 'image/svg+xml',
    txt: 'text/plain; charset=utf-8',
};

const hashOf = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 12);

async function bundle(entry) {
    const result = await build({
        entryPoints: [join(root, 'src', entry)],
        bundle: true,
        minify: true,
        write: false,
        format: 'esm',
        target: ['chrome109', 'firefox115', 'safari16.4'],
        jsx: 'automatic',
        jsxImportSource: 'preact',
        legalComments: 'none',
        charset: 'utf8',
        logLevel: 'warning',
    });
    return Buffer.from(result.outputFiles[0].contents);
}

/** The licences of the bundled packages. */
function licences() {
    const of = (name) => {
        const folder = join(root, 'node_modules', name);
        const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
        return `${name} ${version}\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8').trim()}\n`;
    };
    return Buffer.from(['preact', 'uplot'].map(of).join('\n\n'));
}

/** The files of the page, by the path that each is served under. */
async function files() {
    const named = new Map();
    const add = (stem, extension, bytes) => {
        const name = `assets/${stem}-${hashOf(bytes)}.${extension}`;
        named.set(name, bytes);
        return name;
    };
    const names = {
        script: add('app', 'js', await bundle('main.tsx')),
        style: add('style', 'css', await bundle('style.css')),
        icon: add('icon', 'svg', readFileSync(join(root, 'src', 'icon.svg'))),
        licences: add('licences', 'txt', licences()),
    };
    const template = readFileSync(join(root, 'src', 'index.html'), 'utf8');
    const page = template.replace(/\{\{(\w+)\}\}/g, (_, name) => {
        if (!(name in names)) throw new Error(`index.html names ${name}, which is not built`);
        return names[name];
    });
    named.set('index.html', Buffer.from(page));
    return named;
}

const flat = (name) => name.replace('assets/', '');

function list(named) {
    const entries = [...named].map(([name, bytes]) => {
        const file = flat(name);
        const type = TYPES[file.split('.').pop()];
        return `    Asset {
        path: ${JSON.stringify(name)},
        content_type: ${JSON.stringify(type)},
        hash: ${JSON.stringify(hashOf(bytes))},
        plain: include_bytes!(${JSON.stringify(file)}),
        gzip: include_bytes!(${JSON.stringify(file + '.gz')}),
        brotli: include_bytes!(${JSON.stringify(file + '.br')}),
    },
`;
    });
    return `// Made by web/build.mjs; do not edit.

/// The path of the page itself.
const INDEX: &str = "index.html";

/// Every file of the page.
static ASSETS: &[Asset] = &[
${entries.join('')}];
`;
}

async function write(folder) {
    const named = await files();
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    let gzipBytes = 0;
    for (const [name, bytes] of named) {
        const gzip = gzipSync(bytes, { level: 9 });
        gzip[9] = 255; // The operating system, set to "unknown" so that builds are reproducible.
        gzipBytes += gzip.length;
        const brotli = brotliCompressSync(bytes, {
            params: {
                [constants.BROTLI_PARAM_QUALITY]: 11,
                [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
            },
        });
        writeFileSync(join(folder, flat(name)), bytes);
        writeFileSync(join(folder, flat(name) + '.gz'), gzip);
        writeFileSync(join(folder, flat(name) + '.br'), brotli);
    }
    writeFileSync(join(folder, 'assets.rs'), list(named));
    if (gzipBytes > GZIP_BYTES_MAX) throw new Error(`${gzipBytes} bytes of gzip are more than ${GZIP_BYTES_MAX}`);
    return gzipBytes;
}

/** A file's decompressed contents: other versions of a compressor may produce other bytes. */
function contents(folder, name) {
    const bytes = readFileSync(join(folder, name));
    if (name.endsWith('.gz')) return gunzipSync(bytes);
    if (name.endsWith('.br')) return brotliDecompressSync(bytes);
    return bytes;
}

async function check() {
    const fresh = mkdtempSync(join(tmpdir(), 'chatgauge-web-'));
    try {
        await write(fresh);
        const [made, kept] = [fresh, committed].map((folder) => readdirSync(folder).sort());
        const differs = made.join() !== kept.join()
            ? `${kept.join(' ')} are there, ${made.join(' ')} would be built`
            : made.find((name) => !contents(fresh, name).equals(contents(committed, name)));
        if (differs) throw new Error(`web/dist is not what web/src builds (${differs}); run \`npm run build\` in web/`);
        console.log('web/dist is what web/src builds');
    } finally {
        rmSync(fresh, { recursive: true });
    }
}

async function once() {
    console.log(`web/dist: ${await write(committed)} bytes of gzip`);
}

if (process.argv.includes('--check')) {
    await check();
} else {
    await once();
    if (process.argv.includes('--watch')) {
        let waiting;
        watch(join(root, 'src'), { recursive: true }, () => {
            clearTimeout(waiting);
            waiting = setTimeout(() => once().catch((error) => console.error(error.message)), 100);
        });
    }
}
