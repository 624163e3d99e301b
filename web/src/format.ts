// Formats numbers and instants. Everything on the page uses these functions, so a figure looks the same everywhere.

import type { Num } from './types';

/** Shown in place of an unknown figure. */
export const NONE = '–';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const significant = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

type Format = (value: Num | undefined) => string;

const known =
    (format: (value: number) => string): Format =>
    (value) =>
        value === null || value === undefined || !Number.isFinite(value) ? NONE : format(value);

export const count: Format = known((value) => whole.format(value));

const STEPS: [number, string][] = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e4, 'k'],
];

/** Few digits: 31.2 M. */
export const compact: Format = known((value) => {
    const step = STEPS.find(([size]) => Math.abs(value) >= size);
    if (!step) return whole.format(value);
    const unit = step[1] === 'k' ? 1e3 : step[0];
    return `${significant.format(value / unit)} ${step[1]}`;
});

const digits = new Intl.NumberFormat('en', { maximumSignificantDigits: 12 });

/** All digits of a number, for comparing it with another. */
export const precise: Format = known((value) => digits.format(value));

export const rate: Format = known((value) =>
    value >= 100 ? whole.format(value) : value >= 10 ? oneDigit.format(value) : significant.format(value),
);

export const percent: Format = known((value) =>
    value !== 0 && Math.abs(value) < 0.1 ? `${significant.format(value)} %` : `${oneDigit.format(value)} %`,
);

/** Milliseconds as ms, s or min. */
export const duration: Format = known((value) => {
    if (value < 0) return `-${duration(-value)}`;
    if (value < 10) return `${significant.format(value)} ms`;
    if (value < 1_000) return `${whole.format(value)} ms`;
    if (value < 100_000) return `${(value / 1_000).toFixed(value < 10_000 ? 2 : 1)} s`;
    const seconds = Math.round(value / 1_000);
    if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
});

/** A round duration on an axis, in few characters. */
export function durationMark(value: number): string {
    if (value === 0) return '0';
    if (Math.abs(value) < 1_000) return `${significant.format(value)} ms`;
    if (Math.abs(value) < 120_000) return `${significant.format(value / 1_000)} s`;
    return Math.abs(value) < 7_200_000
        ? `${significant.format(value / 60_000)} min`
        : `${significant.format(value / 3_600_000)} h`;
}

/** A number on an axis. */
export const mark = (value: number): string => (Math.abs(value) < 1e4 ? significant.format(value) : compact(value));

export const moneyMark = (value: number): string => `$${mark(value)}`;

export const money: Format = known((value) => {
    if (value === 0) return '$0';
    if (Math.abs(value) < 1) return `$${significant.format(value)}`;
    if (Math.abs(value) < 10_000) {
        return `$${value.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
    }
    return `$${compact(value)}`;
});

const BYTES = ['B', 'kB', 'MB', 'GB', 'TB'];

export const bytes: Format = known((value) => {
    let [amount, unit] = [value, 0];
    while (amount >= 1_000 && unit < BYTES.length - 1) {
        amount /= 1_000;
        unit += 1;
    }
    return `${unit === 0 ? whole.format(amount) : significant.format(amount)} ${BYTES[unit]}`;
});

/** A length of time in its largest unit: 42 s, 3 min, 5 h, 2 d. */
export function span(ms: number): string {
    const seconds = Math.max(0, Math.round(ms / 1_000));
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3_600) return `${Math.round(seconds / 60)} min`;
    if (seconds < 2 * 86_400) return `${Math.round(seconds / 3_600)} h`;
    return `${Math.round(seconds / 86_400)} d`;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    const key = zone + JSON.stringify(options);
    let made = formatters.get(key);
    if (!made) {
        made = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone, hourCycle: 'h23' });
        formatters.set(key, made);
    }
    return made;
}

const CLOCK = { hour: '2-digit', minute: '2-digit' } as const;
const DAY = { day: 'numeric', month: 'short' } as const;

export const clock = (at: number, zone: string): string => formatter(zone, CLOCK).format(at);
export const clockSeconds = (at: number, zone: string): string =>
    formatter(zone, { ...CLOCK, second: '2-digit' }).format(at);
export const day = (at: number, zone: string): string => formatter(zone, DAY).format(at);
export const month = (at: number, zone: string): string =>
    formatter(zone, { month: 'short', year: 'numeric' }).format(at);
export const weekday = (at: number, zone: string): string =>
    formatter(zone, { weekday: 'short', ...DAY }).format(at);

const year = (at: number, zone: string): string => formatter(zone, { year: 'numeric' }).format(at);

/** Day and time. */
export const instant = (at: number, zone: string): string => `${day(at, zone)}, ${clock(at, zone)}`;

/** Day and time, with the year when it is not this one. */
export const dated = (at: number, zone: string): string =>
    year(at, zone) === year(Date.now(), zone)
        ? instant(at, zone)
        : `${day(at, zone)} ${year(at, zone)}, ${clock(at, zone)}`;

/** Day and time; the time alone when it is today. */
export const since = (at: number, zone: string): string =>
    Date.now() - at < 86_400_000 && day(at, zone) === day(Date.now(), zone) ? clock(at, zone) : dated(at, zone);

/** Day and time to the millisecond, with the year. */
export function exactInstant(at: number, zone: string): string {
    const date = formatter(zone, { ...DAY, year: 'numeric' }).format(at);
    return `${date}, ${clockSeconds(at, zone)}.${String(Math.abs(at % 1_000)).padStart(3, '0')}`;
}

/** The start of a bucket, as fine as its width needs. */
export function bucketName(at: number, aggregation: string | undefined, zone: string): string {
    if (aggregation === 'monthly') return month(at, zone);
    if (aggregation === 'daily' || aggregation === 'weekly') return weekday(at, zone);
    return instant(at, zone);
}

const BUCKETS: Record<string, string> = {
    minute: 'minute',
    '15m': '15 min',
    hourly: 'hour',
    daily: 'day',
    weekly: 'week',
    monthly: 'month',
};

export const bucketWidth = (aggregation: string | undefined): string => BUCKETS[aggregation ?? ''] ?? 'bucket';

const WORDS: Record<string, string> = {
    rate_limit: 'rate limit',
    content_filter: 'content filter',
    time_to_first_token: 'time to first token',
    error_type: 'error type',
};

/** A code of the API in words. */
export const words = (code: string): string => WORDS[code] ?? code.replaceAll('_', ' ');
