// The entry: applies the colours, loads the session and renders the page.

import { Component, type ComponentChildren, render } from 'preact';
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

/** Shows an error instead of an empty page when rendering fails. */
class Safe extends Component<{ children: ComponentChildren }, { broken: string }> {
    override state = { broken: '' };
    override componentDidCatch(error: unknown): void {
        console.error(error);
        this.setState({ broken: String(error) });
    }
    override render(): ComponentChildren {
        if (!this.state.broken) return this.props.children;
        return (
            <main class="gate">
                <div class="stack">
                    <p class="note bad" role="alert">
                        The page could not be drawn: {this.state.broken}
                    </p>
                    <a class="button primary" href="./">
                        Start over
                    </a>
                </div>
            </main>
        );
    }
}

async function start(): Promise<void> {
    const root = document.getElementById('app');
    if (!root) return;
    for (;;) {
        try {
            const session = await get<Session>('api/session');
            render(
                <Safe>
                    <Themed first={session} />
                </Safe>,
                root,
            );
            return;
        } catch {
            root.textContent = 'The server cannot be reached. Trying again…';
            await new Promise((resolve) => window.setTimeout(resolve, 5_000));
            root.textContent = '';
        }
    }
}

void start();
