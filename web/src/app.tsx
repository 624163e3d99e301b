// The frame of all views: tabs, zone, colours, refresh, filters, and the notes on the whole range.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useAlerts } from './alerts';
import { post, whenLoggedOut } from './api';
import { FilterBar } from './filters';
import * as show from './format';
import { FirstRun, Login } from './login';
import { type Refresh, type Theme, keep, usePrefs } from './prefs';
import { refreshAll, useClock, usePolled } from './poll';
import { autoRefresh, browserZone } from './time';
import type { Dashboard, Session } from './types';
import { Brand, Dialog, Icon, ProblemNote, Select } from './ui';
import { TABS, type State, type Tab, apiQuery, follow, go, link, useUrl } from './url';
import { Alerts } from './views/alerts';
import { Groups } from './views/groups';
import { Overview } from './views/overview';
import { Requests } from './views/requests';
import { latencyOf, metricOf } from './views/series';
import { Sql } from './views/sql';
import { Status } from './views/status';
import { AlertStrip } from './views/strip';
import { sortOf, topOf } from './views/top';

const NAMES: Record<Tab, string> = {
    overview: 'Overview',
    requests: 'Requests',
    users: 'Users',
    spaces: 'Spaces',
    models: 'Models',
    alerts: 'Alerts',
    status: 'Status',
    sql: 'SQL',
};

const REFRESHES = [
    ['auto', 'Refresh: auto'],
    ['5', 'Refresh: 5 s'],
    ['10', 'Refresh: 10 s'],
    ['30', 'Refresh: 30 s'],
    ['60', 'Refresh: 60 s'],
    ['off', 'Refresh: off'],
] as const;

const THEMES: Theme[] = ['system', 'light', 'dark'];
const THEME_ICONS = { system: 'system', light: 'sun', dark: 'moon' } as const;

const KEYS = [
    ['/', 'Add a filter'],
    ['t', 'Choose the range'],
    ['r', 'Refresh now'],
    ['?', 'This help'],
    ['← →', 'On a chart: move through time; with Shift ten at a time, Home and End to the edges'],
    ['↑ ↓', 'On the heatmap: move through the latencies of that time'],
    ['Enter', 'On a chart: open what the cursor is on'],
    ['Esc', 'Close a dialog'],
] as const;

/** When the displayed data was last confirmed, and whether the latest request failed. */
interface Loaded {
    at: number;
    failed: boolean;
}

function Freshness(props: { loaded: Loaded; seconds: number }) {
    const now = useClock();
    const { at, failed } = props.loaded;
    if (at === 0) return <span class="freshness off">{failed ? 'no data' : 'loading'}</span>;
    const age = now - at;
    const late = failed || (props.seconds > 0 && age > props.seconds * 2_000 + 3_000);
    if (late) {
        return (
            <span class="freshness stale" role="status">
                data {show.span(age)} old
            </span>
        );
    }
    return <span class={props.seconds > 0 ? 'freshness' : 'freshness off'}>{age < 2_000 ? 'just now' : `${show.span(age)} ago`}</span>;
}

function RefreshSelect({ value }: { value: Refresh }) {
    return (
        <Select
            label="How often to refresh"
            value={value}
            options={REFRESHES}
            onChange={(chosen) => keep('refresh', chosen as Refresh)}
        />
    );
}

function ThemeButton({ theme }: { theme: Theme }) {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system';
    return (
        <button
            type="button"
            class="icon"
            aria-label={`Colours: ${theme}; change to ${next}`}
            title={`Colours: ${theme}`}
            onClick={() => keep('theme', next)}
        >
            <Icon name={THEME_ICONS[theme]} />
        </button>
    );
}

function ZoneSelect({ state, zone, configured }: { state: State; zone: string; configured: string }) {
    const zones = [...new Set([configured, browserZone(), 'UTC', zone])];
    const mark = (name: string) => (name === configured ? ' (server)' : name === browserZone() ? ' (browser)' : '');
    return (
        <Select
            label="Time zone"
            value={zone}
            options={zones.map((name) => [name, name + mark(name)] as const)}
            onChange={(name) => go({ tz: name === configured && !state.tz ? '' : name }, 'replace')}
        />
    );
}

function useShortcuts(refresh: () => void, help: () => void) {
    useEffect(() => {
        const onKey = (event: KeyboardEvent) => {
            const target = event.target as HTMLElement;
            const typing = target.closest('input, textarea, select, dialog[open]') !== null;
            if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
            if (event.key === '?') help();
            else if (event.key === 'r') refresh();
            else if (event.key === 't' || event.key === '/') {
                event.preventDefault();
                window.dispatchEvent(new CustomEvent('shortcut', { detail: event.key }));
            }
        };
        document.addEventListener('keydown', onKey);
        return () => document.removeEventListener('keydown', onKey);
    });
}

/** Notes on the whole range: it is empty, or retention has deleted requests that it needs. */
function RangeNotes({ data, zone }: { data: Dashboard; zone: string }) {
    const last = data.last_request_at;
    return (
        <>
            {last && (
                <div class="note">
                    <span class="grow">
                        No requests here. The newest request of all came {show.span(Date.now() - Date.parse(last))} ago.
                    </span>
                    <button
                        type="button"
                        onClick={() =>
                            go({
                                from: new Date(Date.parse(last) - 3_600_000).toISOString(),
                                to: new Date(Date.parse(last) + 60_000).toISOString(),
                                filters: {},
                            })
                        }
                    >
                        Show it
                    </button>
                </div>
            )}
            {data.complete_from && (
                <p class="note">
                    Retention has deleted single requests that part of this range needs: figures are complete from{' '}
                    {show.instant(Date.parse(data.complete_from), zone)} on.
                </p>
            )}
            {data.previous?.complete_from && (
                <p class="note">
                    Retention has deleted single requests that part of the earlier range needs: its figures are complete from{' '}
                    {show.instant(Date.parse(data.previous.complete_from), zone)} on, so changes are not exact.
                </p>
            )}
        </>
    );
}

function Page({ session, onLogOut }: { session: Session; onLogOut: () => void }) {
    const state = useUrl();
    const prefs = usePrefs();
    const zone = state.tz || session.time_zone;
    const seconds =
        prefs.refresh === 'off' ? 0 : prefs.refresh === 'auto' ? autoRefresh(state.from, state.to) : Number(prefs.refresh);
    const [help, setHelp] = useState(false);
    const [, setRenders] = useState(0);
    const loaded = useRef<Loaded>({ at: 0, failed: false });
    const main = useRef<HTMLElement>(null);
    const tabs = useRef<HTMLElement>(null);
    const isOverview = state.tab === 'overview';
    const { sort, stat } = sortOf(state);
    const polled = usePolled<Dashboard>(
        isOverview
            ? `api/metrics/dashboard?${apiQuery(state, zone, {
                  compare: state.compare,
                  latency: metricOf(latencyOf(state)),
                  top: topOf(state),
                  sort,
                  stat,
              })}`
            : '',
        seconds,
    );
    const alerts = useAlerts(state, zone, seconds);
    if (isOverview) loaded.current = { at: polled.at, failed: polled.error !== null };
    /** The other views poll by themselves and report the outcome here. */
    const onResult = (result: Loaded) => {
        const { at, failed } = loaded.current;
        if (at === result.at && failed === result.failed) return;
        loaded.current = { at: result.at, failed: result.failed };
        queueMicrotask(() => setRenders((n) => n + 1));
    };
    // Refresh the figures together with the alerts. The first change is the state at the start, which needs a refresh
    // only if an incident began after the figures.
    useEffect(() => {
        const known = Date.parse(polled.data?.as_of ?? '');
        const newer = alerts.open.some((incident) => Date.parse(incident.triggered_at) > known);
        if (isOverview && (alerts.changes > 1 || newer)) polled.refresh();
    }, [alerts.changes]);
    useShortcuts(refreshAll, () => setHelp(true));
    // On a phone the tabs scroll sideways; scroll to the current one.
    useLayoutEffect(() => {
        const current = tabs.current?.querySelector<HTMLElement>('[aria-current]');
        if (current && tabs.current) tabs.current.scrollLeft = current.offsetLeft - 24;
    }, [state.tab]);
    useEffect(() => {
        document.title = `${alerts.loud > 0 ? `(${alerts.loud}) ` : ''}${NAMES[state.tab]} · chatgauge`;
    }, [state.tab, alerts.loud]);
    const data = polled.data;
    const firstRun = isOverview && data !== null && data.last_request_at === null;
    const shared = { state, zone, seconds, onResult };
    const { spans, costBudget } = alerts;
    // Redrawn only when its data changes, not while a request is in flight.
    const overview = useMemo(
        () => <Overview state={state} zone={zone} data={data} spans={spans} budget={costBudget} old={polled.old} />,
        [state, zone, data, spans, costBudget, polled.old],
    );
    return (
        <>
            <a
                class="skip"
                href="#main"
                onClick={(event) => {
                    event.preventDefault();
                    main.current?.focus();
                }}
            >
                Skip to the figures
            </a>
            <header class="top">
                <div class="bar">
                    <a class="brand" href={link({ tab: 'overview' })} onClick={(event) => follow(event, { tab: 'overview' })}>
                        <Brand />
                        chatgauge
                    </a>
                    <nav class="tabs" aria-label="Views" ref={tabs}>
                        {TABS.map((tab) => (
                            <a
                                key={tab}
                                href={link({ tab })}
                                {...(tab === state.tab ? { 'aria-current': 'page' as const } : {})}
                                onClick={(event) => follow(event, { tab })}
                            >
                                {NAMES[tab]}
                                {tab === 'alerts' && alerts.loud > 0 && (
                                    <span class="badge">
                                        {alerts.loud}
                                        <span class="visually-hidden"> open</span>
                                    </span>
                                )}
                            </a>
                        ))}
                    </nav>
                    {state.tab !== 'sql' && <Freshness loaded={loaded.current} seconds={seconds} />}
                    <button type="button" class="icon" aria-label="Refresh now (r)" title="Refresh now (r)" onClick={refreshAll}>
                        <Icon name="refresh" />
                    </button>
                    <span class="row wide-only">
                        <RefreshSelect value={prefs.refresh} />
                        <ZoneSelect state={state} zone={zone} configured={session.time_zone} />
                        <ThemeButton theme={prefs.theme} />
                    </span>
                    <button
                        type="button"
                        class="icon"
                        aria-label="Settings and help (?)"
                        title="Settings and help (?)"
                        onClick={() => setHelp(true)}
                    >
                        <Icon name="help" />
                    </button>
                    {!session.open && (
                        <button type="button" class="plain wide-only" onClick={onLogOut}>
                            Log out
                        </button>
                    )}
                </div>
                {state.tab !== 'status' && state.tab !== 'sql' && (
                    <FilterBar
                        state={state}
                        zone={zone}
                        resolved={data}
                        filterable={state.tab !== 'alerts'}
                        comparable={state.tab !== 'requests' && state.tab !== 'alerts'}
                    />
                )}
            </header>
            <main id="main" ref={main} tabIndex={-1} aria-label={NAMES[state.tab]}>
                <AlertStrip alerts={alerts} zone={zone} />
                {isOverview && (
                    <>
                        <h1 class="visually-hidden">Overview</h1>
                        {polled.error && <ProblemNote problem={polled.error} onRetry={polled.refresh} />}
                        {data && !firstRun && <RangeNotes data={data} zone={zone} />}
                        {firstRun ? (
                            <FirstRun session={session} />
                        ) : (
                            overview
                        )}
                    </>
                )}
                {state.tab === 'requests' && <Requests {...shared} />}
                {state.tab === 'users' && <Groups key="users" {...shared} by="user" title="Users" />}
                {state.tab === 'spaces' && <Groups key="spaces" {...shared} by="space" title="Spaces" />}
                {state.tab === 'models' && <Groups key="models" {...shared} by="model" title="Models" />}
                {state.tab === 'alerts' && <Alerts {...shared} alerts={alerts} />}
                {state.tab === 'status' && <Status {...shared} />}
                {state.tab === 'sql' && <Sql state={state} />}
            </main>
            <footer class="foot">
                <span>chatgauge {session.version}</span>
                <a href="api/openapi.json">API</a>
                <a href={document.body.dataset.licences ?? ''}>Licences</a>
                <span>Times in {zone}</span>
            </footer>
            <Dialog title="Settings and help" open={help} onClose={() => setHelp(false)}>
                <div class="stack">
                    <div class="row">
                        <RefreshSelect value={prefs.refresh} />
                        <ZoneSelect state={state} zone={zone} configured={session.time_zone} />
                        <ThemeButton theme={prefs.theme} />
                        {!session.open && (
                            <button type="button" onClick={onLogOut}>
                                Log out
                            </button>
                        )}
                    </div>
                    <p>
                        Drag over a chart to zoom into a stretch of time; the browser's back button goes back. Click a name to
                        filter by it. The address has everything that is seen, so a link shows the same to others.
                    </p>
                    <dl class="facts keys">
                        {KEYS.map(([key, what]) => (
                            <div key={key}>
                                <dt>
                                    <kbd>{key}</kbd>
                                </dt>
                                <dd>{what}</dd>
                            </div>
                        ))}
                    </dl>
                </div>
            </Dialog>
        </>
    );
}

export function App({ first }: { first: Session }) {
    const [session, setSession] = useState(first);
    const [ended, setEnded] = useState(false);
    useEffect(() => {
        whenLoggedOut(() => {
            setEnded(true);
            setSession((before) => ({ ...before, logged_in: false }));
        });
    }, []);
    if (!session.logged_in) {
        return (
            <Login
                ended={ended}
                onDone={() => {
                    setEnded(false);
                    setSession({ ...session, logged_in: true });
                }}
            />
        );
    }
    const logOut = () => {
        post('api/session', undefined, 'DELETE').finally(() => {
            setEnded(false);
            setSession({ ...session, logged_in: false });
        });
    };
    return <Page session={session} onLogOut={logOut} />;
}
