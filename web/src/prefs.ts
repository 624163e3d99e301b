// Preferences of the reader, which no link contains: colours and refresh interval.

import { useEffect, useState } from 'preact/hooks';

export type Theme = 'system' | 'light' | 'dark';
export type Refresh = 'auto' | 'off' | '5' | '10' | '30' | '60';

const listeners = new Set<() => void>();

function read(key: string): string | null {
    try {
        return localStorage.getItem(`chatgauge.${key}`);
    } catch {
        // Storage can be forbidden; then the defaults are used.
        return null;
    }
}

export function keep(key: string, value: string): void {
    try {
        localStorage.setItem(`chatgauge.${key}`, value);
    } catch {
        // As above: the value lasts until the page is closed.
    }
    memory.set(key, value);
    for (const listener of listeners) listener();
}

const memory = new Map<string, string>();
export const kept = (key: string): string | null => memory.get(key) ?? read(key);

export function theme(): Theme {
    const value = kept('theme');
    return value === 'light' || value === 'dark' ? value : 'system';
}

export function refresh(): Refresh {
    const value = kept('refresh');
    return value === 'off' || value === '5' || value === '10' || value === '30' || value === '60' ? value : 'auto';
}

export function applyTheme(): void {
    const value = theme();
    if (value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
}

/** Renders again when a preference changes. */
export function usePrefs(): { theme: Theme; refresh: Refresh } {
    const [value, set] = useState({ theme: theme(), refresh: refresh() });
    useEffect(() => {
        const listener = () => set({ theme: theme(), refresh: refresh() });
        listeners.add(listener);
        return () => void listeners.delete(listener);
    }, []);
    return value;
}

/** The colours in use, `light` or `dark`: canvases are redrawn when this changes. */
export function useColours(): string {
    const { theme: chosen } = usePrefs();
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    const [system, set] = useState(dark.matches);
    useEffect(() => {
        const listener = (event: MediaQueryListEvent) => set(event.matches);
        dark.addEventListener('change', listener);
        return () => dark.removeEventListener('change', listener);
    }, []);
    return chosen === 'system' ? (system ? 'dark' : 'light') : chosen;
}
