// Ranges as they are written in the address: `now-24h`, `now-7d/d`, or instants.

export interface Preset {
    from: string;
    to: string;
    label: string;
}

export const PRESETS: Preset[] = [
    { from: 'now-15m', to: 'now', label: 'Last 15 minutes' },
    { from: 'now-1h', to: 'now', label: 'Last hour' },
    { from: 'now-6h', to: 'now', label: 'Last 6 hours' },
    { from: 'now-24h', to: 'now', label: 'Last 24 hours' },
    { from: 'now/d', to: 'now', label: 'Today' },
    { from: 'now-1d/d', to: 'now/d', label: 'Yesterday' },
    { from: 'now-7d', to: 'now', label: 'Last 7 days' },
    { from: 'now-7d/d', to: 'now/d', label: 'Last 7 whole days' },
    { from: 'now-30d', to: 'now', label: 'Last 30 days' },
    { from: 'now-30d/d', to: 'now/d', label: 'Last 30 whole days' },
    { from: 'now/M', to: 'now', label: 'This month' },
    { from: 'now-90d', to: 'now', label: 'Last 90 days' },
    { from: 'now-12M', to: 'now', label: 'Last 12 months' },
];

export const DEFAULT_FROM = 'now-24h';
export const DEFAULT_TO = 'now';

export const isRelative = (text: string): boolean => text.startsWith('now');

const MINUTE = 60_000;
const WIDTHS: Record<string, number> = {
    s: 1_000,
    m: MINUTE,
    h: 60 * MINUTE,
    d: 1_440 * MINUTE,
    w: 10_080 * MINUTE,
    M: 43_200 * MINUTE,
    y: 525_600 * MINUTE,
};

/** Approximate length of a range in milliseconds: enough to choose the refresh interval. */
export function roughWidth(from: string, to: string): number {
    const at = (text: string): number => {
        if (!isRelative(text)) return Date.parse(text);
        let moment = Date.now();
        for (const [, sign, amount, unit] of text.matchAll(/([+-])(\d+)([smhdwMy])/g)) {
            moment += (sign === '-' ? -1 : 1) * Number(amount) * (WIDTHS[unit ?? 'm'] ?? MINUTE);
        }
        return moment;
    };
    const width = at(to) - at(from);
    return Number.isFinite(width) ? width : 0;
}

/** Seconds between two refreshes when the reader chose "auto". */
export function autoRefresh(from: string, to: string): number {
    const width = roughWidth(from, to);
    if (width <= 15 * MINUTE) return 5;
    return width > 2 * 1_440 * MINUTE ? 60 : 10;
}

const fields = new Map<string, Intl.DateTimeFormat>();

function fieldFormat(zone: string): Intl.DateTimeFormat {
    const known = fields.get(zone);
    if (known) return known;
    const two = '2-digit' as const;
    const time = { hour: two, minute: two, hourCycle: 'h23' } as const;
    const made = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, year: 'numeric', month: two, day: two, ...time });
    fields.set(zone, made);
    return made;
}

/** An instant as the text of a `datetime-local` field in a zone. */
export const toField = (at: number, zone: string): string => fieldFormat(zone).format(at).replace(' ', 'T');

/** The instant of a `datetime-local` field's text in a zone. */
export function fromField(text: string, zone: string): number {
    const wanted = Date.parse(`${text}:00Z`);
    let [guess, before] = [wanted, wanted];
    // The zone's offset depends on the instant; two corrections suffice.
    for (let round = 0; round < 3; round += 1) {
        const shown = Date.parse(`${toField(guess, zone)}:00Z`);
        if (shown === wanted) return guess;
        before = guess;
        guess += wanted - shown;
    }
    // Clocks skip this time: the later guess is after the gap.
    return Math.max(guess, before);
}

/** The end of the local day that begins at an instant; days have 23 to 25 hours. */
export function endOfDay(start: number, zone: string): number {
    // Noon of the next day exists in every zone, whatever the clocks do at midnight.
    const tomorrow = toField(start + 36 * 60 * MINUTE, zone).slice(0, 10);
    return fromField(`${tomorrow}T00:00`, zone);
}

/** Whether the browser knows a zone of this name. */
export function isZone(name: string): boolean {
    try {
        new Intl.DateTimeFormat('en', { timeZone: name });
        return true;
    } catch {
        return false;
    }
}

const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
export const browserZone = (): string => ownZone;
