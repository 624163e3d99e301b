// The login form, and the first steps with an empty server.

import { useState } from 'preact/hooks';
import { Problem, post } from './api';
import type { Session } from './types';
import { Brand, CopyButton, ProblemNote } from './ui';

export function Login(props: { ended: boolean; onDone: () => void }) {
    const [token, setToken] = useState('');
    const [problem, setProblem] = useState<Problem | null>(null);
    const [busy, setBusy] = useState(false);
    const submit = async (event: Event) => {
        event.preventDefault();
        setBusy(true);
        setProblem(null);
        try {
            await post('api/session', { token: token.trim() });
            setToken('');
            props.onDone();
        } catch (error) {
            if (error instanceof Problem) setProblem(error);
        }
        setBusy(false);
    };
    return (
        <main class="gate">
            <form onSubmit={submit}>
                <h1 class="brand">
                    <Brand />
                    chatgauge
                </h1>
                {props.ended && <p class="note warn">The session has ended. Log in to go on where you were.</p>}
                <label class="field">
                    <span>Admin token</span>
                    <input
                        type="password"
                        name="token"
                        autocomplete="current-password"
                        required
                        autofocus
                        value={token}
                        onInput={(event) => setToken(event.currentTarget.value)}
                    />
                </label>
                {problem && (
                    <ProblemNote
                        problem={
                            problem.status === 401
                                ? new Problem(401, 'This is not the admin token', 'It is in CHATGAUGE_ADMIN_TOKEN, or in the file beside the database that ends in .token.')
                                : problem
                        }
                    />
                )}
                <button class="primary" type="submit" disabled={busy}>
                    {busy ? 'Logging in…' : 'Log in'}
                </button>
                <p class="muted">The token stays out of the page: the browser keeps a cookie that scripts cannot read.</p>
            </form>
        </main>
    );
}

export function FirstRun({ session }: { session: Session }) {
    const origin = new URL('.', document.baseURI).href.replace(/\/$/, '');
    const header = session.open ? '' : ` \\\n    -H "Authorization: Bearer $CHATGAUGE_ADMIN_TOKEN"`;
    const curl = `curl -s ${origin}/api/requests${header} \\
    -H 'Content-Type: application/json' \\
    -d '{"user":"alice","space":"sales","provider":"openai","model":"gpt-5",
         "total_latency_ms":1200,"context_latency_ms":80,"llm_latency_ms":1100,
         "prompt_tokens":900,"completion_tokens":150}'`;
    return (
        <section class="panel" id="first-run">
            <div class="panel-head">
                <h1>Waiting for the first request</h1>
            </div>
            <div class="stack">
                <p>
                    Nothing is stored yet. Send one small record for each AI request of your app. This one line is enough to
                    see something here:
                </p>
                <pre tabIndex={0} aria-label="Command">
                    {curl}
                </pre>
                <p class="row">
                    <CopyButton class="primary" text={() => curl} label="Copy" />
                    <span class="muted" role="status">
                        This page shows it by itself, a few seconds after it is stored.
                    </span>
                </p>
                <p class="muted">
                    Every field is optional. There is no field for what people write. To look around first, run{' '}
                    <code>chatgauge demo</code>: it makes up a month of traffic in a file of its own.
                </p>
            </div>
        </section>
    );
}
