// The entry: colours first, then who is there.

import { render } from 'preact';
import { get } from './api';
import { App } from './app';
import { applyTheme, usePrefs } from './prefs';
import type { Session } from './types';

applyTheme();

function Themed({ first }: { first: Session }) {
    usePrefs();
    applyTheme();
    return <App first={first} />;
}

async function start(): Promise<void> {
    const root = document.getElementById('app');
    if (!root) return;
    for (;;) {
        try {
            const session = await get<Session>('api/session');
            render(<Themed first={session} />, root);
            return;
        } catch {
            root.textContent = 'The server cannot be reached. Trying again…';
            await new Promise((resolve) => window.setTimeout(resolve, 5_000));
            root.textContent = '';
        }
    }
}

void start();
