// Makes the screenshots of the documents from simulated traffic. Only with SCREENSHOTS=1, because they differ from run to run.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, Server, browser, loaded, open } from './harness.mjs';

const skip = process.env.SCREENSHOTS ? false : 'SCREENSHOTS is not set';
const folder = join(ROOT, 'docs', 'images');
let chrome;
let server;

before(async () => {
    if (skip) return;
    mkdirSync(folder, { recursive: true });
    chrome = await browser();
    server = await Server.start({ command: 'demo', args: ['--requests', '300000', '--per-second', '0.2'] });
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

const PICTURES = [
    ['overview-light', '?from=now-7d&to=now&compare=week', { width: 1280, height: 860 }, 'light'],
    ['overview-dark', '?from=now-7d&to=now&compare=week', { width: 1280, height: 860 }, 'dark'],
    ['overview-phone', '', { width: 390, height: 780 }, 'dark'],
];

for (const [name, path, viewport, colorScheme] of PICTURES) {
    test(name, { skip }, async () => {
        const page = await open(chrome, server, { path, viewport, colorScheme });
        await loaded(page);
        await page.waitForLoadState('networkidle');
        await page.screenshot({ path: join(folder, `${name}.png`) });
        page.assertClean();
        await page.context().close();
    });
}
