// A panel: a figure with a heading, a sentence that says what it shows, and the same figures as a table.

import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';
import * as show from './format';
import type { Num } from './types';

export interface TwinColumn {
    name: string;
    values: Num[];
    format: (value: Num | undefined) => string;
}

export interface Twin {
    /** Heading of the column of row labels. */
    head: string;
    rows: { key: string; label: string }[];
    columns: TwinColumn[];
}

export function TwinTable({ twin, caption }: { twin: Twin; caption: string }) {
    return (
        <div class="scroll twin" tabIndex={0} role="region" aria-label={`${caption}, table`}>
            <table class="data">
                <caption class="visually-hidden">{caption}</caption>
                <thead>
                    <tr>
                        <th scope="col">{twin.head}</th>
                        {twin.columns.map((column) => (
                            <th key={column.name} scope="col" class="num">
                                {column.name}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {twin.rows.map((row, i) => (
                        <tr key={row.key}>
                            <th scope="row">
                                <data value={row.key}>{row.label}</data>
                            </th>
                            {twin.columns.map((column) => {
                                const value = column.values[i] ?? null;
                                return (
                                    <td key={column.name} class="num">
                                        {value === null ? (
                                            <span class="muted">{show.NONE}</span>
                                        ) : (
                                            <data value={String(value)}>{column.format(value)}</data>
                                        )}
                                    </td>
                                );
                            })}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

export function Panel(props: {
    title: string;
    id: string;
    sentence: string;
    wide?: boolean;
    tools?: ComponentChildren;
    /** Address of the same figures as CSV. */
    csv?: string;
    twin?: () => Twin;
    /** Stays visible beside the table. */
    before?: ComponentChildren;
    children: ComponentChildren;
}) {
    const [asTable, setAsTable] = useState(false);
    const heading = useId();
    return (
        <figure class={props.wide ? 'panel wide' : 'panel'} id={props.id} aria-labelledby={heading}>
            <div class="panel-head">
                <h2 id={heading} class="grow">
                    {props.title}
                </h2>
                {props.tools}
                <span class="panel-tools">
                    {props.twin && (
                        <button
                            type="button"
                            class="plain"
                            aria-pressed={asTable}
                            aria-label={`${props.title}: ${asTable ? 'chart' : 'table'}`}
                            onClick={() => setAsTable(!asTable)}
                        >
                            {asTable ? 'Chart' : 'Table'}
                        </button>
                    )}
                    {props.csv && (
                        <a class="button plain" href={props.csv} download aria-label={`${props.title}: CSV`}>
                            CSV
                        </a>
                    )}
                </span>
            </div>
            <p class="sentence">{props.sentence}</p>
            {props.before}
            {asTable && props.twin ? <TwinTable twin={props.twin()} caption={props.title} /> : props.children}
        </figure>
    );
}

/** Shown in place of a panel while its figures load. */
export function PanelSkeleton({ title, wide }: { title: string; wide?: boolean }) {
    return (
        <div class={wide ? 'panel wide' : 'panel'} aria-busy="true">
            <div class="panel-head">
                <h2>{title}</h2>
            </div>
            <p class="sentence">&nbsp;</p>
            <div class="legend" />
            <div class="skeleton chart" />
        </div>
    );
}
