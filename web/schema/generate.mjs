// Writes openapi.d.ts, the types of the API, from the OpenAPI document; `--check` compares with what is committed.
//
// The document is the snapshot that tests/it/api compares with the server's. The generator has packages of its own,
// because it needs the JavaScript API of TypeScript 5, which version 7 lacks.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';

const here = dirname(fileURLToPath(import.meta.url));
const snapshot = join(here, '../../tests/it/api/snapshots/openapi.snap');
const generated = join(here, 'openapi.d.ts');

// A snapshot begins with a header between two lines of dashes.
const [, , document] = readFileSync(snapshot, 'utf8').split(/^---$/m);
const HEAD = '// Made by web/schema/generate.mjs; do not edit.\n\n';
const text = HEAD + astToString(await openapiTS(JSON.parse(document)));

if (process.argv.includes('--check')) {
    if (readFileSync(generated, 'utf8') !== text) {
        console.error('web/schema/openapi.d.ts is not of this OpenAPI document; run: npm --prefix web/schema run generate');
        process.exit(1);
    }
} else {
    writeFileSync(generated, text);
}
