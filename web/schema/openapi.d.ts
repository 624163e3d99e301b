// Made by web/schema/generate.mjs; do not edit.

export interface paths {
    "/api/alerts/backtest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Replay a rule over the stored history */
        post: operations["alerts_backtest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/channels/{name}/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Send a test message through a channel, once */
        post: operations["alerts_channel_test"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/explain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Why a rule did or did not fire: its last evaluations for one group */
        get: operations["alerts_explain"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/incidents": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Incidents, newest first */
        get: operations["alerts_incidents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/incidents/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One incident with its history and its notifications */
        get: operations["alerts_incident"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/incidents/{id}/ack": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Acknowledge an incident: no more reminders until it ends */
        post: operations["alerts_ack"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/incidents/{id}/close": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** End an incident by hand */
        post: operations["alerts_close"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/rules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Every rule with its state, and every channel */
        get: operations["alerts_rules"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/silences": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List silences */
        get: operations["alerts_silences"];
        put?: never;
        /** Keep messages back for a while */
        post: operations["alerts_silence"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/alerts/silences/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** End a silence now */
        delete: operations["alerts_unsilence"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The audit trail, newest first */
        get: operations["audit_trail"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/dimensions/{name}/values": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Values of a dimension, busiest first */
        get: operations["dimension_values"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List keys */
        get: operations["keys_list"];
        put?: never;
        /** Make a key */
        post: operations["keys_create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revoke a key */
        delete: operations["keys_revoke"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/metrics/alerts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Incidents since an instant, newest first */
        get: operations["metrics_alerts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/metrics/breakdown": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The leading groups of one dimension */
        get: operations["metrics_breakdown"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/metrics/current": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The numbers of this moment
         * @description Request rates over the last minute, hour and 24 hours; the rest over the rolling window.
         */
        get: operations["metrics_current"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/metrics/dashboard": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Everything that a dashboard shows, of one moment
         * @description The parts are read from one snapshot, so they agree. Lists of a series have one value for each of
         *     `timestamps`. The `ETag` is that of the figures: while they stay the same the response is 304, although
         *     the moment moves on.
         */
        get: operations["metrics_dashboard"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/metrics/heatmap": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The distribution of a latency over time */
        get: operations["metrics_heatmap"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/metrics/historical": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One metric over time
         * @description Empty buckets are present. The first bucket of an unaligned range carries its aligned start but counts
         *     only from `start`.
         */
        get: operations["metrics_historical"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/metrics/simulate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Make up traffic */
        post: operations["metrics_simulate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The OpenAPI document of these routes */
        get: operations["openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/requests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Stored requests, newest first */
        get: operations["requests_list"];
        put?: never;
        /**
         * Send records
         * @description One object, an array of objects, or one object on each line. Every record gets its own verdict; a bad
         *     one never costs the others. The response is sent when the accepted ones are on disk.
         */
        post: operations["requests_ingest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/requests/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One stored request */
        get: operations["requests_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether a browser is logged in */
        get: operations["session_get"];
        put?: never;
        /** Log in with the admin token */
        post: operations["session_create"];
        /** Log out */
        delete: operations["session_delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/sql": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Run a statement given in the query string */
        get: operations["sql_get"];
        put?: never;
        /** Run a statement given in the body */
        post: operations["sql_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The state of every part */
        get: operations["status"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Requests as they arrive, alerts as they change
         * @description Events are `request` (data: as in `/api/requests`; id: order of arrival) and `gap`, when requests were
         *     dropped because too many arrived at once. Send `Last-Event-ID` to go on where a stream broke off. With
         *     `topic=alerts` the stream begins with `alerts` (data: as in `/api/metrics/alerts?state=open`), and each
         *     incident that begins, changes or ends is an `alert`.
         */
        get: operations["stream"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/telemetry/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the server accepts telemetry and responds to queries */
        get: operations["telemetry_health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the process is alive */
        get: operations["healthz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/ingest/litellm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Send LiteLLM's log payloads
         * @description An array of payloads, one on each line, or a single one. Of each only identifiers, numbers and times are read;
         *     messages and responses are skipped. An invalid payload never costs the others.
         */
        post: operations["litellm_ingest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Metrics for Prometheus */
        get: operations["prometheus_metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether a record can be committed now */
        get: operations["readyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/traces": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Send OpenTelemetry traces
         * @description Any path that ends in `/v1/traces` is the same route. Spans of model calls become records, the others
         *     tell how long the context took to assemble; attributes with content are skipped unread. Metrics and
         *     logs, at `/v1/metrics` and `/v1/logs`, are accepted and discarded. The key may also come as `x-api-key` or as the
         *     password of basic authentication. The response is sent when the records are on disk.
         */
        post: operations["traces_ingest"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description Note for an acknowledgement. */
        AckBody: {
            /** @description For the history. */
            note?: string | null;
        };
        /** @description Incidents, and counts of the open ones. */
        AlertsBody: {
            /** @description Newest first. */
            alerts: components["schemas"]["IncidentBody"][];
            /**
             * Format: date-time
             * @description When this was so.
             */
            as_of: string;
            /** @description Open incidents that are not silenced, regardless of the filter. */
            open: number;
            /** @description Open incidents that are silenced, regardless of the filter. */
            silenced: number;
        };
        /** @description How alerting itself is doing. */
        AlertsStatusBody: {
            /** @description Whether rules are evaluated. */
            enabled: boolean;
            /**
             * Format: int64
             * @description Evaluations since the start.
             */
            evaluations_total: number;
            /**
             * Format: int64
             * @description Evaluations that could not be written down.
             */
            failed_evaluations_total: number;
            /** @description Rules that fire; `null` while the file cannot be read. */
            firing_rules: number | null;
            /** @description Rules that cannot be evaluated for want of a number, or are disabled; `null` while the file cannot be read. */
            inactive_rules: number | null;
            /**
             * Format: date-time
             * @description The last evaluation.
             */
            last_evaluated_at: string | null;
            /**
             * Format: int64
             * @description Evaluations skipped because the previous one was still running.
             */
            missed_evaluations_total: number;
            /**
             * Format: int64
             * @description Messages given up since the start.
             */
            outbox_dead_total: number;
            /**
             * Format: int64
             * @description Messages that wait; `null` while the file cannot be read.
             */
            outbox_pending: number | null;
        };
        /** @description Lines of the audit trail. */
        AuditBody: {
            /** @description Newest first. */
            entries: components["schemas"]["AuditEntryBody"][];
            /** @description Value of `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description One line of the audit trail. */
        AuditEntryBody: {
            /** @description The action. */
            action: string;
            /** @description `admin`, `key:<id>`, `open`, `unknown`, `system` or `cli`. */
            actor: string;
            /**
             * Format: date-time
             * @description When.
             */
            at: string;
            /** @description More. */
            detail: string | null;
            /** @description Target of the action. */
            target: string | null;
        };
        /** @description The backtest to run. */
        BacktestBody: {
            /** @description End of the range, exclusive. Default: now. */
            end?: components["schemas"]["Instant"];
            /** @description The id of a rule, or a whole rule with the keys of the configuration file. */
            rule: unknown;
            /** @description Start of the range, inclusive, in the forms of other routes. Default: `now-7d`. */
            start?: components["schemas"]["Instant"];
        };
        /** @description An incident in a backtest. */
        BacktestIncidentBody: {
            /**
             * Format: date-time
             * @description End of the incident; null if it is still open at the end of the range.
             */
            ended_at: string | null;
            /**
             * Format: int64
             * @description Number of these requests that count as events, such as errors.
             */
            events: number;
            /** @description Values by dimension. */
            group: {
                [key: string]: string;
            };
            /**
             * Format: double
             * @description The most extreme value.
             */
            peak_value: number | null;
            /** @description The budget period. */
            period: string | null;
            /** @description Reason of the end. */
            reason: string | null;
            /**
             * Format: int64
             * @description Number of requests behind the value when it fired.
             */
            samples: number;
            /**
             * Format: date-time
             * @description Start of the incident.
             */
            triggered_at: string;
            /**
             * Format: double
             * @description The value when it fired.
             */
            triggered_value: number | null;
        };
        /** @description A backtest in numbers. */
        BacktestSummaryBody: {
            /** @description Incidents on fewer than 25 requests. */
            fewer_than_25_samples: number;
            /** @description Number of incidents. */
            incidents: number;
            /** @description Incidents longer than 5 minutes; open ones last until the end of the range. */
            longer_than_5_min: number;
            /** @description Incidents still open at the end of the range. */
            open_at_end: number;
        };
        /** @description What a rule would have done. */
        BacktestedBody: {
            /**
             * Format: double
             * @description Duration of the backtest.
             */
            elapsed_ms: number;
            /**
             * Format: date-time
             * @description End of the range, exclusive.
             */
            end: string;
            /**
             * Format: int64
             * @description Number of evaluations.
             */
            evaluations: number;
            /** @description Whether all figures come from raw rows; otherwise some come from rollups. */
            exact: boolean;
            /** @description Incidents, in order of their start. */
            incidents: components["schemas"]["BacktestIncidentBody"][];
            /** @description The rule. */
            rule: components["schemas"]["RuleDefinitionBody"];
            /**
             * Format: date-time
             * @description Start of the range, inclusive.
             */
            start: string;
            /** @description The incidents in numbers. */
            summary: components["schemas"]["BacktestSummaryBody"];
        };
        /** @description Scheduled backups. */
        BackupStatus: {
            /**
             * Format: date-time
             * @description Time at which the schedule's next backup is due.
             */
            due_at?: string | null;
            /**
             * Format: int64
             * @description Failed attempts since the last success.
             */
            failures: number;
            /**
             * Format: int64
             * @description Failed attempts since the start.
             */
            failures_total: number;
            /**
             * Format: int64
             * @description Backups of this database dated more than an hour after the server's clock; rotation neither counts nor deletes them.
             */
            future_files: number;
            /** @description Whether a backup is running. */
            is_running: boolean;
            /**
             * Format: int64
             * @description Size of the last backup.
             */
            last_bytes?: number | null;
            /**
             * Format: int64
             * @description Time to copy and verify the last backup; `null` if an earlier run of the server made it.
             */
            last_duration_ms?: number | null;
            /** @description Why the last attempt failed; `null` after a success. */
            last_error?: string | null;
            /**
             * Format: date-time
             * @description The last failed attempt.
             */
            last_failure_at?: string | null;
            /** @description The file of the last backup. */
            last_file?: string | null;
            /**
             * Format: date-time
             * @description Time of the snapshot in the last backup, which an earlier run of the server may have made.
             */
            last_success_at?: string | null;
            /** @description The one with the latest date. */
            latest_future_file?: string | null;
            /**
             * Format: date-time
             * @description Time of the next attempt; after a failure, later than `due_at`.
             */
            next_at?: string | null;
            /** @description Why old backups could not be deleted; `null` if they were deleted. */
            prune_error?: string | null;
        };
        /** @description The leading groups of one dimension; `total` aggregates the rows and `other`. */
        BreakdownBody: {
            /** @description The dimension. */
            by: string;
            /**
             * Format: date-time
             * @description The first instant from which the result is complete, when it is not `start`.
             */
            complete_from?: string;
            /**
             * Format: date-time
             * @description First instant after, resolved.
             */
            end: string;
            /** @description Percentiles are exact, not within 1 %. */
            exact: boolean;
            /** @description The metric. */
            metric: string;
            /** @description All other groups together. */
            other: components["schemas"]["RowBody"];
            /** @description The leading groups. */
            rows: components["schemas"]["RowBody"][];
            /**
             * Format: date-time
             * @description First instant inside, resolved.
             */
            start: string;
            /** @description The statistic, for latencies. */
            stat: string;
            /** @description All groups together; by error type, all errors. */
            total: components["schemas"]["RowBody"];
            /** @description Unit of the values. */
            unit: string;
        };
        /** @description Hits and misses of the app's own response cache over the window. */
        Cache: {
            /**
             * Format: double
             * @description Percent of all requests; null over nothing.
             */
            hit_rate_percent: number | null;
            /**
             * Format: int64
             * @description Requests that it served.
             */
            hits: number;
            /**
             * Format: int64
             * @description All others.
             */
            misses: number;
        };
        /** @description The hot cache. */
        CacheStatus: {
            /**
             * Format: int64
             * @description Memory in use.
             */
            bytes: number;
            /**
             * Format: int64
             * @description Groups held.
             */
            groups: number;
            /**
             * Format: int64
             * @description Cache hits.
             */
            hits_total: number;
            /**
             * Format: int64
             * @description Maximum memory.
             */
            max_bytes: number;
            /**
             * Format: int64
             * @description Cache misses.
             */
            misses_total: number;
        };
        /** @description A channel and its counters. */
        ChannelBody: {
            /**
             * Format: int64
             * @description Messages given up and still stored.
             */
            dead: number;
            /**
             * Format: int64
             * @description Messages given up since startup.
             */
            dead_total: number;
            /**
             * Format: int64
             * @description Failed attempts since startup that may be retried.
             */
            failed_attempts_total: number;
            /** @description The last error, until the next success. */
            last_error: string | null;
            /**
             * Format: date-time
             * @description Time of the last delivery since startup.
             */
            last_sent_at: string | null;
            /** @description Name in the rules. */
            name: string;
            /**
             * Format: int64
             * @description Messages in the queue.
             */
            pending: number;
            /**
             * Format: int64
             * @description Messages delivered since startup.
             */
            sent_total: number;
            /** @description ok, failing, or disabled (the receiver returned 410). */
            state: string;
            /** @description Scheme, host and port, without secrets. */
            target: string;
            /** @description log, webhook, slack, alertmanager or email. */
            type: string;
            /**
             * Format: int64
             * @description Messages kept because the channel is no longer configured; they are sent once it is configured again.
             */
            undeliverable: number;
        };
        /** @description Response of the receiver. */
        ChannelTestBody: {
            /** @description The channel. */
            channel: string;
            /** @description Whether it accepted the message. */
            delivered: boolean;
            /**
             * Format: double
             * @description Time it took.
             */
            elapsed_ms: number;
            /** @description Error of the attempt. */
            error: string | null;
            /**
             * Format: int32
             * @description Status of its response.
             */
            status: number | null;
        };
        /** @description The clocks of senders against the server's. */
        ClockSkewStatus: {
            /**
             * Format: int64
             * @description Median time by which those were ahead; `null` if there are none.
             */
            ahead_median_ms?: number | null;
            /**
             * Format: int64
             * @description Those dated more than 5 minutes ahead of the server's clock.
             */
            ahead_records: number;
            /**
             * Format: int64
             * @description Records received from other machines in the last hour; at most the latest 1,000.
             */
            records: number;
        };
        /** @description The server's clock compared with the last stored time and the time that has passed since. */
        ClockStatus: {
            /**
             * Format: int64
             * @description How far the clock is ahead; negative if it is behind; 0 within a second.
             */
            ahead_ms: number;
            /**
             * Format: date-time
             * @description The time that ages are relative to: never ahead of the time that has passed, until the clock has been ahead for a day.
             */
            retention_at: string;
            /**
             * Format: int64
             * @description Minimum time for which nothing is deleted because of its age, because the clock was more than an hour past the stored
             *     time at the start; 0 if retention by age is active.
             */
            retention_paused_ms: number;
        };
        /** @description Why somebody ends an incident. */
        CloseBody: {
            /** @description For the history and the message. */
            comment?: string | null;
        };
        /** @description The in-process collector. */
        CollectorStatus: {
            /**
             * Format: int64
             * @description Requests that were started by id and never ended.
             */
            abandoned_total: number;
            /**
             * Format: int64
             * @description Records dropped because the queue was full.
             */
            dropped_total: number;
            /**
             * Format: int64
             * @description Requests in flight.
             */
            in_flight: number;
            /**
             * Format: int64
             * @description Finished requests in the queue.
             */
            queue_records: number;
        };
        /** @description The compactor. */
        CompactorStatus: {
            /**
             * Format: int64
             * @description Raw rows rolled up.
             */
            compacted_total: number;
            /**
             * Format: int64
             * @description Runs that failed and were rolled back.
             */
            failed_runs_total: number;
            /**
             * Format: int64
             * @description Age of the oldest raw row after the watermark; `null` while the file cannot be read.
             */
            lag_ms?: number | null;
            /**
             * Format: int64
             * @description Raw rows after the watermark; `null` while the file cannot be read.
             */
            lag_records?: number | null;
            /**
             * Format: int64
             * @description The last raw row that the rollups include; `null` while the file cannot be read.
             */
            watermark_seq?: number | null;
        };
        /** @description The figures. */
        ContentBody: {
            /** @description Width of the buckets. */
            aggregation?: string;
            /**
             * Format: date-time
             * @description The first instant from which the result is complete, when it is not `start`.
             */
            complete_from?: string;
            /** @description Cost by local day. */
            cost?: components["schemas"]["DayBody"][];
            /** @description Errors by type over time: every type, the most frequent first. */
            errors?: components["schemas"]["ErrorSeries"][];
            /** @description Percentiles are exact, not within 1 %. */
            exact: boolean;
            /** @description Requests by latency over time. */
            heatmap?: components["schemas"]["HeatmapPartBody"];
            /**
             * Format: date-time
             * @description Start of the bucket that has not ended yet.
             */
            incomplete_from: string | null;
            /**
             * Format: date-time
             * @description When the range has no requests: the start of the newest one of the file; null when there is none.
             */
            last_request_at?: string | null;
            /** @description The four latencies over time. */
            latency?: components["schemas"]["LatenciesBody"];
            /** @description The present. */
            now: components["schemas"]["NowBody"];
            /** @description Requests over time. */
            requests?: components["schemas"]["RequestSeriesBody"];
            /** @description How the latency divides. */
            share?: components["schemas"]["ShareBody"];
            /** @description The figures of the whole range. */
            tiles?: components["schemas"]["TilesBody"];
            /** @description Starts of the buckets. */
            timestamps?: string[];
            /** @description Tokens over time. */
            tokens?: components["schemas"]["TokensBody"];
            /** @description The leading groups. */
            top?: components["schemas"]["TopBody"];
            /** @description The zone that buckets and days are cut in. */
            tz: string;
        };
        /** @description A new key with its secret. */
        CreatedKeyBody: {
            /** @description The key without its secret. */
            key: components["schemas"]["KeyBody"];
            /** @description The key itself: shown this once, kept nowhere. */
            token: string;
        };
        /** @description The numbers of this moment. */
        CurrentBody: {
            /**
             * Format: date-time
             * @description When.
             */
            as_of: string;
            /** @description The app's own response cache. */
            cache: components["schemas"]["Cache"];
            /**
             * Format: date-time
             * @description The first instant from which all figures are complete, when retention has deleted rows that one needs.
             */
            complete_from?: string;
            /**
             * Format: double
             * @description Sum of the known costs in US dollars; null when none is known.
             */
            cost_usd: number | null;
            /** @description Errors. */
            errors: components["schemas"]["Errors"];
            /** @description Percentiles are exact, not within 1 %. */
            exact: boolean;
            /**
             * Format: int64
             * @description Requests that the in-process collector saw start and not end.
             */
            in_flight: number;
            /** @description Latencies over every request with that latency known, whatever its outcome. */
            latency: components["schemas"]["Latencies"];
            /** @description Requests by their start. */
            request_rate: components["schemas"]["RequestRate"];
            /**
             * Format: int64
             * @description Requests in the window.
             */
            requests: number;
            /** @description Sums over known values. */
            token_usage: components["schemas"]["TokenUsage"];
            /** @description The rolling window of everything but the request rates. */
            window: string;
        };
        /** @description Everything that a dashboard shows; parts that were not requested are absent. */
        DashboardBody: components["schemas"]["StampBody"] & components["schemas"]["ContentBody"];
        /** @description One bucket. */
        DataPoint: {
            /**
             * Format: int64
             * @description Requests that the value is based on.
             */
            count: number;
            /** @description The bucket has not ended yet. */
            incomplete?: boolean;
            /**
             * Format: date-time
             * @description Start of the bucket.
             */
            timestamp: string;
            /**
             * Format: double
             * @description The value; null for an average, rate or percentile over nothing.
             */
            value: number | null;
        };
        /** @description One local day, or the part of it that lies in the range. */
        DayBody: {
            /**
             * Format: double
             * @description Cost; null when of no request it is known.
             */
            cost_usd: number | null;
            /**
             * Format: date
             * @description The date in the zone.
             */
            date: string;
            /** @description The day has not ended yet. */
            incomplete: boolean;
            /**
             * Format: int64
             * @description Requests.
             */
            requests: number;
            /**
             * Format: date-time
             * @description Its start.
             */
            timestamp: string;
            /**
             * Format: int64
             * @description Tokens.
             */
            tokens: number;
        };
        /** @description A message about an incident. */
        DeliveryBody: {
            /**
             * Format: date-time
             * @description End of the last attempt.
             */
            attempted_at: string | null;
            /**
             * Format: int32
             * @description Attempts so far.
             */
            attempts: number;
            /** @description The channel. */
            channel: string;
            /**
             * Format: date-time
             * @description When it was written.
             */
            created_at: string;
            /** @description Error of the last attempt. */
            error: string | null;
            /** @description The same for every attempt; `webhook-id` unless it was sent together with others. */
            id: string;
            /** @description `firing`, `resolved`, `reminder`, `flapping` or `fired_and_resolved`. */
            kind: string;
            /** @description The message that it was sent in: `webhook-id`. */
            message_id: string | null;
            /**
             * Format: date-time
             * @description The next attempt is not before.
             */
            next_attempt_at: string | null;
            /**
             * @description queued, sent, dead (no more attempts), superseded (replaced by a later message) or undeliverable (the channel is no
             *     longer configured; it is sent once the channel is configured again).
             */
            state: string;
            /**
             * Format: int32
             * @description Status of the last response.
             */
            status: number | null;
        };
        /** @description One value. */
        DimensionValueBody: {
            /** @description Its name; a pseudonym for users. */
            name: string;
            /**
             * Format: int64
             * @description Requests of the last 30 days; null if it is not among the 10,000 busiest values.
             */
            requests: number | null;
        };
        /** @description Values of a dimension, busiest first. */
        DimensionValuesBody: {
            /** @description The dimension. */
            dimension: string;
            /** @description Its values. */
            values: components["schemas"]["DimensionValueBody"][];
        };
        /** @description Distinct values of the interned dimensions. */
        DimensionsStatus: {
            /**
             * Format: int64
             * @description Operations, error codes and finish reasons together.
             */
            labels: number;
            /**
             * Format: int64
             * @description Pairs of provider and model.
             */
            models: number;
            /**
             * Format: int64
             * @description Records with a value grouped as `(other)` because of a cardinality limit.
             */
            overflowed_total: number;
            /**
             * Format: int64
             * @description Spaces.
             */
            spaces: number;
            /**
             * Format: int64
             * @description Users.
             */
            users: number;
        };
        /** @description Errors of one type over time. */
        ErrorSeries: {
            /** @description Errors in each bucket. */
            count: number[];
            /** @description The type. */
            error_type: string;
        };
        /** @description Errors over the window. */
        Errors: {
            /** @description Number of each type; every type is present. */
            by_type: {
                [key: string]: number;
            };
            /**
             * Format: double
             * @description Percent of all requests; null over nothing.
             */
            rate_percent: number | null;
            /**
             * Format: int64
             * @description Number of all types.
             */
            total: number;
        };
        /** @description One evaluation. */
        EvaluationBody: {
            /**
             * Format: date-time
             * @description When.
             */
            at: string;
            /** @description violation, between, clear, insufficient, failed or closed. */
            decision: string;
            /** @description The same in words. */
            detail: string;
            /**
             * Format: int64
             * @description Samples that count against the objective.
             */
            events: number;
            /** @description Messages were kept back. */
            muted: boolean;
            /**
             * Format: int64
             * @description Requests behind the value.
             */
            samples: number;
            /**
             * Format: double
             * @description The threshold that the value was compared with, in its unit.
             */
            threshold: number;
            /**
             * Format: double
             * @description The value.
             */
            value: number | null;
        };
        /** @description The last evaluations of a rule for one group. */
        ExplainBody: {
            /**
             * Format: int32
             * @description As many end it.
             */
            clear_consecutive: number;
            /**
             * Format: int32
             * @description Clear evaluations in a row, while an incident is open.
             */
            clears: number;
            /**
             * Format: int32
             * @description As many fire.
             */
            consecutive: number;
            /** @description At most 20 since the start, oldest first. */
            evaluations: components["schemas"]["EvaluationBody"][];
            /** @description Dimension to value. */
            group: {
                [key: string]: string;
            };
            /** @description The open incident. */
            incident_id: string | null;
            /** @description The budget's period. */
            period: string | null;
            /** @description Id of the rule. */
            rule: string;
            /**
             * Format: date-time
             * @description Until when messages are kept back.
             */
            silenced_until: string | null;
            /** @description State of the group. */
            state: string;
            /** @description Why it is inactive. */
            state_detail: string | null;
            /**
             * Format: int32
             * @description Violations in a row.
             */
            violations: number;
        };
        /** @description The pass-through gateway; counters since the start. */
        GatewayStatus: {
            /**
             * Format: double
             * @description Total time from sending requests upstream to the heads of their responses, in seconds.
             */
            first_byte_seconds_total: number;
            /**
             * Format: int64
             * @description Upstream responses whose head arrived.
             */
            first_bytes_total: number;
            /**
             * Format: double
             * @description Total time that the gateway itself added until then, in seconds.
             */
            overhead_seconds_total: number;
            /**
             * Format: int64
             * @description Requests that were proxied but not recorded: all paths except the four.
             */
            passed_through_total: number;
            /**
             * Format: int64
             * @description Recorded requests.
             */
            recorded_total: number;
            /**
             * Format: int64
             * @description Rejected requests: unknown upstream, too large, or too many in flight.
             */
            refused_total: number;
            /**
             * Format: int64
             * @description Responses whose head was sent.
             */
            responses_total: number;
        };
        /** @description Whether the server accepts telemetry and responds to queries, in short. */
        HealthBody: {
            /**
             * Format: int64
             * @description Memory of the hot cache.
             */
            cache_bytes: number;
            /**
             * Format: double
             * @description 99th percentile of the time of a transaction of the last minutes.
             */
            commit_p99_ms: number | null;
            /**
             * Format: int64
             * @description Age of the oldest record that is not rolled up; `null` while the file cannot be read.
             */
            compaction_lag_ms: number | null;
            /**
             * Format: int64
             * @description Records dropped by the collector or refused because the queue was full, since the start.
             */
            dropped_total: number;
            /**
             * Format: date-time
             * @description End of the last transaction that succeeded.
             */
            last_commit_at: string | null;
            /** @description Reasons for the degraded state, as text. */
            problems: string[];
            /**
             * Format: int64
             * @description Maximum number of waiting records.
             */
            queue_max_records: number;
            /**
             * Format: int64
             * @description Records that wait for the writer.
             */
            queue_records: number;
            /** @description `ok` or `degraded`. */
            status: string;
            /**
             * Format: int64
             * @description The database file and its log.
             */
            storage_bytes: number;
        };
        /** @description Counts of requests by latency over time. */
        HeatmapBody: {
            /** @description Width of the columns. */
            aggregation: string;
            /** @description Upper bounds of the rows; a row counts values above the previous bound. */
            bounds_ms: number[];
            /** @description One list for each column, one count for each bound. */
            counts: number[][];
            /**
             * Format: date-time
             * @description First instant after, resolved.
             */
            end: string;
            /**
             * Format: date-time
             * @description First instant inside, resolved.
             */
            start: string;
            /** @description Starts of the columns. */
            timestamps: string[];
            /** @description The latency. */
            type: string;
            /** @description The zone that the columns are cut in. */
            tz: string;
        };
        /** @description Requests by latency over time. */
        HeatmapPartBody: {
            /** @description Upper bounds of the rows; a row counts values above the previous bound. */
            bounds_ms: number[];
            /** @description One list for each bucket, one number for each bound. */
            counts: number[][];
            /** @description The latency. */
            type: string;
        };
        /** @description One metric over time. */
        HistoricalBody: {
            /** @description Width of the buckets. */
            aggregation: string;
            /**
             * Format: date-time
             * @description When retention has deleted rows of part of the range: the first instant from which
             *     the result is complete.
             */
            complete_from?: string;
            /** @description One for each bucket, without `group_by`. */
            data_points?: components["schemas"]["DataPoint"][];
            /**
             * Format: date-time
             * @description First instant after, resolved.
             */
            end: string;
            /** @description Percentiles are exact, not within 1 %. */
            exact: boolean;
            /** @description The range before, with `compare=previous`. */
            previous?: components["schemas"]["PreviousBody"];
            /**
             * @description One for each group that has requests, largest first, with `group_by`; beyond `limit`, the others
             *     together are `(other)`.
             */
            series?: components["schemas"]["SeriesBody"][];
            /**
             * Format: date-time
             * @description First instant inside, resolved.
             */
            start: string;
            /** @description The statistic, for latencies. */
            stat: string;
            /** @description The metric. */
            type: string;
            /** @description The zone that the buckets are cut in. */
            tz: string;
            /** @description Unit of the values: requests (a bucket), ms, tokens, percent or usd. */
            unit: string;
        };
        /** @description Something that happened to an incident. */
        HistoryBody: {
            /** @description `monitor`, or who did it. */
            actor: string;
            /**
             * Format: date-time
             * @description When.
             */
            at: string;
            /**
             * Format: int64
             * @description Samples that count against the objective.
             */
            events: number | null;
            /** @description The state before. */
            from: string;
            /** @description Note of the actor. */
            note: string | null;
            /** @description Why. */
            reason: string;
            /**
             * Format: int64
             * @description Requests behind the value.
             */
            samples: number | null;
            /**
             * Format: double
             * @description The threshold that the value was compared with.
             */
            threshold: number | null;
            /** @description The state after. */
            to: string;
            /**
             * Format: double
             * @description The value then.
             */
            value: number | null;
        };
        /** @description One time that a rule fired for a group. */
        IncidentBody: {
            /**
             * Format: date-time
             * @description Time of the acknowledgement.
             */
            acknowledged_at: string | null;
            /** @description User who acknowledged it. */
            acknowledged_by: string | null;
            /**
             * Format: double
             * @description The latest value while it is open, then the value when it fired.
             */
            actual_value: number | null;
            /** @description Incident id, the same from firing to end. */
            alert_id: string;
            /** @description Whether the rule is a dry run, which sends no notifications. */
            dry_run: boolean;
            /**
             * Format: date-time
             * @description End of the incident.
             */
            ended_at: string | null;
            /**
             * Format: int64
             * @description Number of these requests that count as events, such as errors.
             */
            events: number;
            /** @description Values by dimension; empty without groups. */
            group: {
                [key: string]: string;
            };
            /** @description Labels of the rule. */
            labels: {
                [key: string]: string;
            };
            /** @description Summary when it fired, one sentence. */
            message: string;
            /** @description The metric, spelled as in the rule. */
            metric: string;
            /** @description `>`, `<`, `>=`, `<=` or `==`. */
            operator: string;
            /**
             * Format: double
             * @description The most extreme value.
             */
            peak_value: number | null;
            /** @description The budget period. */
            period: string | null;
            /** @description Reason of the end: `recovered`, `no_traffic`, `period_ended`, `rule_removed`, `rule_changed` or `manual`. */
            reason: string | null;
            /** @description Rule id. */
            rule: string;
            /** @description Display name of the rule. */
            rule_name: string;
            /** @description URL of the rule's runbook. */
            runbook: string | null;
            /**
             * Format: int64
             * @description Number of requests behind the actual value.
             */
            samples: number;
            /** @description Severity of the rule. */
            severity: string;
            /**
             * Format: date-time
             * @description End of the silence that suppresses notifications.
             */
            silenced_until: string | null;
            /** @description firing, recovering, flapping or resolved. */
            state: string;
            /**
             * Format: double
             * @description The threshold when it fired.
             */
            threshold: number;
            /**
             * Format: date-time
             * @description Start of the incident.
             */
            triggered_at: string;
            /**
             * Format: double
             * @description The value when it fired.
             */
            triggered_value: number | null;
            /** @description Unit of the values: `ratio`, `ms`, `per_minute`, `usd` or `count`. */
            unit: string;
        };
        /** @description An incident with its history and its notifications. */
        IncidentDetailBody: {
            /** @description Oldest first. */
            deliveries: components["schemas"]["DeliveryBody"][];
            /** @description Oldest first. */
            history: components["schemas"]["HistoryBody"][];
            /** @description The incident. */
            incident: components["schemas"]["IncidentBody"];
        };
        /** @description A page of incidents. */
        IncidentsBody: {
            /** @description Newest first. */
            incidents: components["schemas"]["IncidentBody"][];
            /** @description Value of `cursor` for the next page; null at the end. */
            next_cursor: string | null;
        };
        /** @description Outcome of each record of a body. */
        IngestReport: {
            /** @description Records stored: they are on disk. */
            accepted: number;
            /** @description Fields that may carry content, by name, with how often they came; they were dropped unread. */
            dropped_content_fields: {
                [key: string]: number;
            };
            /** @description Records that were stored before. */
            duplicates: number;
            /** @description Unknown fields, by name, with how often they came. */
            ignored_fields: {
                [key: string]: number;
            };
            /** @description The records that were not acceptable, at most the first 1,000. */
            rejected: components["schemas"]["RejectionBody"][];
            /** @description All records that were not acceptable, when not all are listed. */
            rejected_total?: number;
            /** @description Position of the first record that was not read, because 10,000 in a row before it were rejected. */
            unread_from?: number;
        };
        /** @description The queue and the writer. */
        IngestStatus: {
            /**
             * Format: int64
             * @description Records stored.
             */
            accepted_total: number;
            /**
             * Format: double
             * @description Median duration of a transaction in the last minutes.
             */
            commit_median_ms?: number | null;
            /**
             * Format: double
             * @description 99th percentile of the duration of a transaction in the last minutes.
             */
            commit_p99_ms?: number | null;
            /**
             * Format: double
             * @description Total duration of all transactions, in seconds.
             */
            commit_seconds_total: number;
            /**
             * Format: int64
             * @description Transactions.
             */
            commits_total: number;
            /**
             * Format: int64
             * @description Content-like fields dropped unread.
             */
            dropped_content_fields_total: number;
            /**
             * Format: int64
             * @description Records that were already stored.
             */
            duplicates_total: number;
            /**
             * Format: int64
             * @description Transactions that failed and were rolled back.
             */
            failed_commits_total: number;
            /**
             * Format: date-time
             * @description End of the last successful transaction.
             */
            last_commit_at?: string | null;
            /**
             * Format: int64
             * @description Records rejected because the queue was full.
             */
            overloaded_total: number;
            /**
             * Format: int64
             * @description Maximum queue depth in records.
             */
            queue_max_records: number;
            /**
             * Format: int64
             * @description Queue depth in records.
             */
            queue_records: number;
            /**
             * Format: int64
             * @description Those rejected because retention has deleted the raw rows of their day.
             */
            rejected_after_retention_total: number;
            /**
             * Format: int64
             * @description Records rejected one by one because of a field.
             */
            rejected_total: number;
        };
        /**
         * @example 2026-01-31T09:00:00Z
         * @example 2026-01-31
         * @example now-7d/d
         */
        Instant: string;
        /** @description An API key without its secret. */
        KeyBody: {
            /**
             * Format: date-time
             * @description Time of its creation.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description From when on it is refused.
             */
            expires_at: string | null;
            /** @description The public part of the key. */
            id: string;
            /**
             * Format: date-time
             * @description When it was last accepted.
             */
            last_used_at: string | null;
            /** @description The name given at its creation. */
            name: string;
            /**
             * Format: date-time
             * @description When it was revoked.
             */
            revoked_at: string | null;
            /** @description Its scopes. */
            scopes: string[];
            /** @description The only spaces it may send to and query; null: all. */
            spaces: string[] | null;
        };
        /** @description Every key. */
        KeysBody: {
            /** @description Newest first. */
            keys: components["schemas"]["KeyBody"][];
        };
        /** @description Latencies of each kind. */
        Latencies: {
            /** @description Time to assemble the context. */
            context: components["schemas"]["LatencyBody"];
            /** @description Time inside the LLM call. */
            llm: components["schemas"]["LatencyBody"];
            /** @description From the start of the LLM call to the first generated delta. */
            time_to_first_token: components["schemas"]["LatencyBody"];
            /** @description From the start of the request to its end. */
            total: components["schemas"]["LatencyBody"];
        };
        /** @description The four latencies over time. */
        LatenciesBody: {
            /** @description Of assembling the context. */
            context: components["schemas"]["LatencySeriesBody"];
            /** @description Of the LLM call. */
            llm: components["schemas"]["LatencySeriesBody"];
            /** @description From the start of the LLM call to the first generated delta. */
            time_to_first_token: components["schemas"]["LatencySeriesBody"];
            /** @description Of the whole request. */
            total: components["schemas"]["LatencySeriesBody"];
        };
        /** @description Statistics of one latency in milliseconds; null over nothing. */
        LatencyBody: {
            /** Format: double */
            average_ms: number | null;
            /** Format: double */
            max_ms: number | null;
            /** Format: double */
            median_ms: number | null;
            /** Format: double */
            min_ms: number | null;
            /** Format: double */
            p95_ms: number | null;
            /** Format: double */
            p99_ms: number | null;
        };
        /** @description One latency over time; null where nothing is known. */
        LatencySeriesBody: {
            /** @description Sum over count. */
            average_ms: (number | null)[];
            /** @description 50th percentile. */
            median_ms: (number | null)[];
            /** @description 95th percentile. */
            p95_ms: (number | null)[];
            /** @description 99th percentile. */
            p99_ms: (number | null)[];
            /** @description Over the whole range. */
            range: components["schemas"]["LatencyStatsBody"];
        };
        /** @description Statistics of one latency over the whole range. */
        LatencyStatsBody: {
            /**
             * Format: double
             * @description Sum over count.
             */
            average_ms: number | null;
            /**
             * Format: int64
             * @description Requests with a known latency.
             */
            count: number;
            /**
             * Format: double
             * @description Greatest.
             */
            max_ms: number | null;
            /**
             * Format: double
             * @description 50th percentile.
             */
            median_ms: number | null;
            /**
             * Format: double
             * @description 95th percentile.
             */
            p95_ms: number | null;
            /**
             * Format: double
             * @description 99th percentile.
             */
            p99_ms: number | null;
        };
        /** @description How to log in. */
        LoginBody: {
            /** @description The admin token. */
            token: string;
        };
        /** @description A key to make. */
        NewKeyBody: {
            /**
             * Format: date-time
             * @description Instant of expiry (RFC 3339); never by default.
             */
            expires_at?: string | null;
            /** @description Its name: letters, digits and `_ . : / -`. */
            name: string;
            /** @description Its scopes: ingest, read, metrics, admin. */
            scopes: components["schemas"]["ScopeName"][];
            /** @description The only spaces it may send to and query; all by default. */
            spaces?: string[] | null;
        };
        /** @description A silence to make. */
        NewSilenceBody: {
            /** @description Why. */
            comment: string;
            /**
             * Format: int32
             * @description For how long; this or `ends_at`.
             */
            duration_s?: number | null;
            /**
             * Format: date-time
             * @description Until when; this or `duration_s`.
             */
            ends_at?: string | null;
            /** @description Dimension to value, with `*` for anything. Default: every group. */
            group?: {
                [key: string]: string;
            };
            /** @description Id of a rule, with `*` for anything. Default: `*`. */
            rule?: string;
            /**
             * Format: date-time
             * @description From when. Default: now.
             */
            starts_at?: string | null;
        };
        /** @description The present, whatever the range. */
        NowBody: {
            /**
             * Format: double
             * @description Average total latency of the last hour.
             */
            average_ms: number | null;
            /**
             * Format: double
             * @description Errors of the last hour in percent of its requests.
             */
            error_rate_percent: number | null;
            /**
             * Format: int64
             * @description Requests of the last minute.
             */
            requests_per_minute: number;
            /**
             * Format: double
             * @description Cost of the local day so far.
             */
            today_cost_usd: number | null;
            /**
             * Format: int64
             * @description Tokens of the local day so far.
             */
            today_tokens: number;
        };
        /**
         * @description Average times of the phases over all requests; one without a phase, such as a cached response without an
         *     LLM call, counts with none.
         */
        PhasesBody: {
            /**
             * Format: double
             * @description Assembling the context.
             */
            context_ms: number | null;
            /**
             * Format: double
             * @description The LLM call.
             */
            llm_ms: number | null;
            /**
             * Format: double
             * @description The rest of the total.
             */
            other_ms: number | null;
        };
        /** @description The same figures for the range just before: as many whole months or days by the calendar, else as many hours. */
        PreviousBody: {
            /**
             * Format: date-time
             * @description As `complete_from` of the result, for this range.
             */
            complete_from?: string;
            /** @description One for each bucket, without `group_by`. */
            data_points?: components["schemas"]["DataPoint"][];
            /**
             * Format: date-time
             * @description First instant after.
             */
            end: string;
            /** @description One for each group that has requests, with `group_by`. */
            series?: components["schemas"]["SeriesBody"][];
            /**
             * Format: date-time
             * @description First instant inside.
             */
            start: string;
        };
        /** @description The range compared with. */
        PreviousRangeBody: {
            /**
             * Format: date-time
             * @description The first instant from which its figures are complete, when it is not `start`.
             */
            complete_from?: string;
            /**
             * Format: date-time
             * @description First instant after.
             */
            end: string;
            /**
             * Format: date-time
             * @description First instant inside.
             */
            start: string;
        };
        /** @description The wire form of a problem (RFC 9457). */
        Problem: {
            /** @description The fault of this request and its remedy. */
            detail: string;
            /** @description Each violation, if the position is known. */
            errors?: components["schemas"]["Violation"][];
            /** @description The request's id, as in `X-Request-Id` and the server's log. */
            instance: string;
            /**
             * Format: int32
             * @description The HTTP status.
             */
            status: number;
            /** @description Counts of the records of a large body that were stored before the failure. */
            stored?: components["schemas"]["Stored"];
            /** @description The kind of problem in words. */
            title: string;
            /** @description Stable identifier of the kind of problem. */
            type: string;
        };
        /** @description One request. Every field is optional; `null` means unknown. */
        Record: {
            /** @description 0 for the first attempt, 1 for the first retry, and so on; at most 1,000. */
            attempt?: number | null;
            /** @description Whether the application's own response cache served the request; absent: no. */
            cache_hit?: boolean | null;
            /** @description The part of `cache_write_prompt_tokens` that is cached for an hour. */
            cache_write_1h_prompt_tokens?: number | null;
            /** @description The part of `prompt_tokens` written to the provider's prompt cache. */
            cache_write_prompt_tokens?: number | null;
            /** @description The part of `prompt_tokens` served from the provider's prompt cache. */
            cached_prompt_tokens?: number | null;
            /** @description Whether the caller disconnected: neither success nor error. */
            cancelled?: boolean | null;
            /** @description Output tokens; at most 1,000,000,000. */
            completion_tokens?: number | null;
            /** @description Time to assemble the context, in milliseconds. */
            context_latency_ms?: number | null;
            /** @description Cost in US dollars, at most 1,000,000; stored to a billionth. */
            cost_usd?: number | null;
            /** @description A short code of the error, up to 64 bytes; never a sentence. */
            error_code?: string | null;
            /**
             * @description The type of the error; present exactly if the request failed.
             * @enum {string|null}
             */
            error_type?: "network" | "timeout" | "rate_limit" | "server" | "validation" | "auth" | "content_filter" | "other" | null;
            /** @description Why the model stopped: `stop`, `length`, or another code of up to 64 bytes. */
            finish_reason?: string | null;
            /** @description HTTP status of the response, 100 to 599. */
            http_status?: number | null;
            /** @description Time inside the LLM call, in milliseconds. */
            llm_latency_ms?: number | null;
            /** @description Name of the model, up to 128 bytes. */
            model?: string | null;
            /** @description `chat`, `completion`, `responses`, `embeddings`, or another code of up to 64 bytes. */
            operation?: string | null;
            /** @description Input tokens; at most 1,000,000,000. */
            prompt_tokens?: number | null;
            /** @description The provider that runs the model, up to 128 bytes. */
            provider?: string | null;
            /** @description The provider's id of the response, up to 128 bytes. */
            provider_response_id?: string | null;
            /** @description The part of `completion_tokens` spent on reasoning. */
            reasoning_tokens?: number | null;
            /** @description Your id, up to 128 bytes; generated if it is absent. */
            request_id?: string | null;
            /** @description The service tier named in the provider's response, up to 64 bytes. */
            service_tier?: string | null;
            /** @description The session, up to 512 bytes; stored as a keyed hash. */
            session?: string | null;
            /** @description Workspace, project or team, up to 128 bytes. */
            space?: string | null;
            /** @description Start of the request: RFC 3339, or milliseconds since 1970 as a number. Default: arrival. */
            started_at?: string | number | null;
            /** @description Whether the response was streamed. */
            streamed?: boolean | null;
            /** @description Up to 8 short tags of up to 64 bytes: an object, or an array of texts. */
            tags?: Record<string, never> | string[] | null;
            /** @description Time from the start of the LLM call to the first generated delta, in milliseconds. */
            time_to_first_token_ms?: number | null;
            /** @description Time from the start of the request to its end, in milliseconds; at most one day. */
            total_latency_ms?: number | null;
            /** @description The user, up to 512 bytes; stored as a keyed hash. */
            user?: string | null;
        } & {
            [key: string]: unknown;
        };
        Records: components["schemas"]["Record"] | components["schemas"]["Record"][];
        /** @description Why one record was not acceptable. */
        RejectionBody: {
            /** @description Name of the field, or `(record)`. */
            field: string;
            /** @description Position in the body, from 0. */
            index: number;
            /** @description The fault and its remedy. */
            reason: string;
        };
        /** @description One stored request; unknown is null. */
        RequestBody: {
            /** @description Id of the API key that delivered the record. */
            api_key: string | null;
            /**
             * Format: int32
             * @description 0 for the first try, 1 for the first retry, ...
             */
            attempt: number;
            /** @description The app's own response cache served it. */
            cache_hit: boolean;
            /**
             * Format: int64
             * @description The part of `cache_write_prompt_tokens` that is cached for an hour.
             */
            cache_write_1h_prompt_tokens: number | null;
            /**
             * Format: int64
             * @description The part of the input written to the provider's prompt cache.
             */
            cache_write_prompt_tokens: number | null;
            /**
             * Format: int64
             * @description The part of the input that the provider had in its prompt cache.
             */
            cached_prompt_tokens: number | null;
            /** @description The caller went away. */
            cancelled: boolean;
            /**
             * Format: int64
             * @description Output tokens.
             */
            completion_tokens: number | null;
            /**
             * Format: double
             * @description Time to assemble the context.
             */
            context_latency_ms: number | null;
            /** @description Who said so: client, provider or table. */
            cost_source: string | null;
            /**
             * Format: double
             * @description Cost.
             */
            cost_usd: number | null;
            /** @description Short code of the error. */
            error_code: string | null;
            /** @description The kind of error. */
            error_type: string | null;
            /** @description Why the model stopped. */
            finish_reason: string | null;
            /**
             * Format: int32
             * @description HTTP status of the response.
             */
            http_status: number | null;
            /**
             * Format: double
             * @description Time inside the LLM call.
             */
            llm_latency_ms: number | null;
            /** @description Name of the model. */
            model: string | null;
            /** @description `chat`, `completion`, `responses`, `embedding`, ... */
            operation: string | null;
            /** @description success, error or cancelled. */
            outcome: string;
            /**
             * Format: int64
             * @description Input tokens.
             */
            prompt_tokens: number | null;
            /** @description Who ran the model. */
            provider: string | null;
            /** @description The provider's id of the response. */
            provider_response_id: string | null;
            /**
             * Format: int64
             * @description The part of the output spent on reasoning.
             */
            reasoning_tokens: number | null;
            /** @description The sender's id, or the one given on arrival. */
            request_id: string;
            /** @description The tier of service that the provider's response names. */
            service_tier: string | null;
            /** @description Keyed hash of the session. */
            session: string | null;
            /** @description The route by which it came. */
            source: string;
            /** @description Workspace, project or team. */
            space: string | null;
            /**
             * Format: date-time
             * @description Start.
             */
            started_at: string;
            /** @description Whether the response was streamed. */
            streamed: boolean | null;
            /** @description Short tags. */
            tags: {
                [key: string]: string;
            } | null;
            /**
             * Format: double
             * @description From the start of the LLM call to the first generated delta.
             */
            time_to_first_token_ms: number | null;
            /**
             * Format: double
             * @description From the start of the request to its end.
             */
            total_latency_ms: number | null;
            /** @description Pseudonym of the user. */
            user: string | null;
        };
        /** @description Numbers of requests over fixed windows, regardless of `window`. */
        RequestRate: {
            /**
             * Format: int64
             * @description In the last 24 hours.
             */
            per_day: number;
            /**
             * Format: int64
             * @description In the last hour.
             */
            per_hour: number;
            /**
             * Format: int64
             * @description In the last minute.
             */
            per_minute: number;
        };
        /** @description Requests over time. */
        RequestSeriesBody: {
            /** @description In the bucket. */
            count: number[];
            /** @description A minute of the part of the bucket that lies in the range and has happened. */
            per_minute: (number | null)[];
            /** @description In the bucket at the same place of the range compared with. */
            previous?: (number | null)[];
            /** @description The same a minute. */
            previous_per_minute?: (number | null)[];
        };
        /** @description A page of stored requests. */
        RequestsBody: {
            /** @description Value of `cursor` for the next page; null at the end. */
            next_cursor: string | null;
            /** @description Newest first. */
            requests: components["schemas"]["RequestBody"][];
        };
        /** @description One group. */
        RowBody: {
            /** @description Its name. */
            name: string;
            /**
             * Format: int64
             * @description Its requests.
             */
            requests: number;
            /**
             * Format: double
             * @description Part of the total in percent; null for metrics that do not add up.
             */
            share_percent: number | null;
            /**
             * Format: double
             * @description The value of the metric.
             */
            value: number | null;
        };
        /** @description Rows of a statement. */
        RowsBody: {
            /** @description Names of the columns. */
            columns: string[];
            /**
             * Format: double
             * @description Duration of the statement.
             */
            elapsed_ms: number;
            rows: (null | number | string)[][];
            /** @description There were more rows than the limits, `query.sql_max_rows` and 16 MiB, allow. */
            truncated: boolean;
        };
        /** @description A rule and its state. */
        RuleBody: components["schemas"]["RuleDefinitionBody"] & {
            /** @description Whether there are more groups than `max_groups`; only the largest are evaluated then. */
            is_truncated: boolean;
            /**
             * Format: date-time
             * @description Time of the last evaluation.
             */
            last_evaluated_at: string | null;
            /**
             * Format: int64
             * @description Number of requests behind it.
             */
            last_samples: number;
            /**
             * Format: double
             * @description Last value of the worst group, or of the largest if all are `ok`; null without data.
             */
            last_value: number | null;
            /**
             * Format: date-time
             * @description Time of the value.
             */
            last_value_at: string | null;
            /**
             * @description The worst state of its groups: `ok`, `no_data`, `pending`, `recovering`, `flapping`, `firing`,
             *     `error`; or `inactive`.
             */
            state: string;
            /** @description Why the rule is inactive, or another remark. */
            state_detail: string | null;
            /** @description Number of groups by state, without plain `ok` ones. */
            states: {
                [key: string]: number;
            };
        };
        /** @description A rule as it is configured. */
        RuleDefinitionBody: {
            /** @description Dimensions to group by, with one alert per group. */
            by: string[];
            /** @description Channels for notifications, in addition to the log. */
            channels: string[];
            /**
             * Format: int32
             * @description Number of consecutive clear evaluations before an incident ends.
             */
            clear_consecutive: number;
            /**
             * Format: double
             * @description The value at which an incident may end.
             */
            clear_threshold: number;
            /**
             * Format: double
             * @description Confidence with which a share must pass the threshold; 0 compares the plain share.
             */
            confidence: number;
            /**
             * Format: int32
             * @description Number of consecutive violations before it fires.
             */
            consecutive: number;
            /** @description Whether the rule is evaluated and recorded without notifications. */
            dry_run: boolean;
            /** @description Rule id. */
            id: string;
            /** @description Whether it is one of the default rules. */
            is_default: boolean;
            /** @description Labels passed to receivers. */
            labels: {
                [key: string]: string;
            };
            /**
             * Format: double
             * @description The limit that the threshold of a budget or a capacity is a share of.
             */
            limit: number | null;
            /** @description The metric. */
            metric: string;
            /**
             * Format: int64
             * @description Minimum number of errors in the window.
             */
            min_events: number;
            /**
             * Format: int64
             * @description Minimum number of requests in the window.
             */
            min_samples: number;
            /** @description Display name. */
            name: string;
            /** @description `>`, `<`, `>=`, `<=` or `==`. */
            operator: string;
            /** @description day, week or month for a budget; null for a rolling window. */
            period: string | null;
            /** @description URL of the runbook. */
            runbook: string | null;
            /** @description Severity. */
            severity: string;
            /**
             * Format: double
             * @description The threshold.
             */
            threshold: number;
            /** @description Unit of the values: `ratio`, `ms`, `per_minute`, `usd` or `count`. */
            unit: string;
            /**
             * Format: double
             * @description Width of the rolling window; null for a budget.
             */
            window_s: number | null;
        };
        /** @description Every rule and channel. */
        RulesBody: {
            /**
             * Format: date-time
             * @description Time of this response.
             */
            as_of: string;
            /** @description Channels by name. */
            channels: components["schemas"]["ChannelBody"][];
            /** @description Whether rules are evaluated. */
            enabled: boolean;
            /**
             * Format: int64
             * @description Time between two evaluations.
             */
            interval_s: number;
            /**
             * Format: date-time
             * @description Time of the last evaluation.
             */
            last_evaluated_at: string | null;
            /** @description Maximum number of groups of one rule. */
            max_groups: number;
            /**
             * Format: int64
             * @description Evaluations skipped since startup because the previous one was still running.
             */
            missed_evaluations: number;
            /** @description The default rules, then the others in the order of the configuration. */
            rules: components["schemas"]["RuleBody"][];
        };
        /** @enum {string} */
        ScopeName: "ingest" | "read" | "metrics" | "admin";
        /** @description The points of one group. */
        SeriesBody: {
            /** @description One for each bucket. */
            data_points: components["schemas"]["DataPoint"][];
            /** @description The value of each dimension of `group_by`. */
            group: {
                [key: string]: string;
            };
        };
        /** @description Whether a browser is logged in. */
        SessionBody: {
            /**
             * Format: date-time
             * @description When the session ends.
             */
            expires_at: string | null;
            /** @description It may see the dashboard. */
            logged_in: boolean;
            /** @description The server requires no token. */
            open: boolean;
            /** @description The configured zone. */
            time_zone: string;
            /** @description Version of the program. */
            version: string;
        };
        /**
         * @description How the time of an average request divides into assembling the context, the LLM call and everything else;
         *     together they are the average total.
         */
        ShareBody: {
            /** @description Assembling the context. */
            context_ms: (number | null)[];
            /** @description The LLM call. */
            llm_ms: (number | null)[];
            /** @description The rest of the total. */
            other_ms: (number | null)[];
            /** @description Over the whole range. */
            range: components["schemas"]["PhasesBody"];
        };
        /** @description A silence. */
        SilenceBody: {
            /** @description Why. */
            comment: string;
            /**
             * Format: date-time
             * @description Time of its creation.
             */
            created_at: string;
            /** @description Its author. */
            created_by: string;
            /**
             * Format: date-time
             * @description Until when.
             */
            ends_at: string;
            /** @description Dimension to value, with `*` for anything. */
            group: {
                [key: string]: string;
            };
            /** @description Identity. */
            id: string;
            /** @description Id of a rule, with `*` for anything. */
            rule: string;
            /**
             * Format: date-time
             * @description From when.
             */
            starts_at: string;
            /** @description active, pending or expired. */
            state: string;
        };
        /** @description Silences. */
        SilencesBody: {
            /** @description Latest end first. */
            silences: components["schemas"]["SilenceBody"][];
        };
        /** @description Traffic to generate. */
        SimulateBody: {
            /**
             * Format: int32
             * @description They start within this many minutes before now.
             * @default 60
             */
            minutes: number;
            /**
             * Format: int32
             * @description Number of requests.
             * @default 1000
             */
            requests: number;
            /**
             * Format: int64
             * @description Seed of the random generator: the same seed makes the same traffic.
             */
            seed?: number | null;
        };
        /** @description Result of generating traffic. */
        SimulatedBody: {
            /** @description Records stored. */
            accepted: number;
            /** @description Records that were stored before. */
            duplicates: number;
            /** @description Records rejected because retention has deleted the single requests of their day. */
            rejected: number;
            /**
             * Format: int64
             * @description The seed, to make the same traffic again.
             */
            seed: number;
        };
        /** @description The moment and the ranges of the figures, which move on by themselves. */
        StampBody: {
            /**
             * Format: date-time
             * @description The moment of the figures.
             */
            as_of: string;
            /**
             * Format: date-time
             * @description First instant after, resolved.
             */
            end: string;
            /** @description The range compared with, with `compare`. */
            previous?: components["schemas"]["PreviousRangeBody"];
            /**
             * Format: date-time
             * @description First instant inside, resolved.
             */
            start: string;
        };
        /** @description A statement. */
        StatementBody: {
            /** @description One read-only statement, such as `select * from usage_daily limit 10`. */
            sql: string;
        };
        /** @description The state of every part. */
        StatusBody: {
            /** @description Alerts. */
            alerts: components["schemas"]["AlertsStatusBody"];
            backup: components["schemas"]["BackupStatus"] | null;
            /** @description The hot cache. */
            cache: components["schemas"]["CacheStatus"];
            /** @description The server's clock. */
            clock: components["schemas"]["ClockStatus"];
            /** @description The clocks of senders. */
            clock_skew: components["schemas"]["ClockSkewStatus"];
            /** @description The in-process collector. */
            collector: components["schemas"]["CollectorStatus"];
            /** @description The compactor. */
            compactor: components["schemas"]["CompactorStatus"];
            /** @description Distinct values of the interned dimensions. */
            dimensions: components["schemas"]["DimensionsStatus"];
            /** @description The pass-through gateway. */
            gateway: components["schemas"]["GatewayStatus"];
            /** @description The queue and the writer. */
            ingest: components["schemas"]["IngestStatus"];
            /** @description Reasons for the degraded state, as text. */
            problems: string[];
            /**
             * Format: int32
             * @description Version of the schema of the file.
             */
            schema_version: number;
            /**
             * Format: date-time
             * @description Start of the server.
             */
            started_at: string;
            /** @description `ok` or `degraded`. */
            status: string;
            /** @description The file. */
            storage: components["schemas"]["StorageStatus"];
            /** @description Where the rules of time zones come from. */
            time_zones: components["schemas"]["TimeZonesBody"];
            /**
             * Format: int64
             * @description Time since then.
             */
            uptime_s: number;
            /** @description Version of the program. */
            version: string;
        };
        /** @description The file. */
        StorageStatus: {
            /**
             * Format: int64
             * @description The database file.
             */
            database_bytes: number;
            /** @description Whether the last write failed because the disk is full. */
            disk_full: boolean;
            /**
             * Format: int64
             * @description Free pages of the database file, in bytes; `null` while the file cannot be read.
             */
            free_bytes?: number | null;
            /**
             * Format: date-time
             * @description Start of the oldest request with a raw row; `null` if there is none or the file cannot be read.
             */
            oldest_request_at?: string | null;
            /**
             * Format: int64
             * @description Raw rows kept; `null` while the file cannot be read.
             */
            requests?: number | null;
            /**
             * Format: int64
             * @description The write-ahead log.
             */
            wal_bytes: number;
        };
        /** @description Records that are on disk. */
        Stored: {
            /** @description Stored now. */
            accepted: number;
            /** @description Stored before. */
            duplicates: number;
        };
        /** @description One figure. */
        TileBody: {
            /** @description For each bucket. */
            buckets: (number | null)[];
            /**
             * Format: double
             * @description Over the range compared with.
             */
            previous?: number | null;
            /**
             * Format: double
             * @description Over the range; null over nothing.
             */
            value: number | null;
        };
        /** @description The figures of the whole range. */
        TilesBody: {
            /** @description Average total latency. */
            average_ms: components["schemas"]["TileBody"];
            /** @description Requests served by the app's response cache, in percent of all. */
            cache_hit_rate_percent: components["schemas"]["TileBody"];
            /** @description Cost. */
            cost_usd: components["schemas"]["TileBody"];
            /** @description Errors in percent of all requests. */
            error_rate_percent: components["schemas"]["TileBody"];
            /** @description 95th percentile of the total latency. */
            p95_ms: components["schemas"]["TileBody"];
            /** @description Requests. */
            requests: components["schemas"]["TileBody"];
            /** @description Prompt and completion tokens. */
            tokens: components["schemas"]["TileBody"];
        };
        /** @description Where the rules of time zones come from: read once, at the first use after the start. */
        TimeZonesBody: {
            /** @description Release of the copy in the program. */
            bundled_version: string;
            /** @description The folder, of the system's copy. */
            path: string | null;
            /** @description `system` or `bundled`. */
            source: string;
            /** @description All of it in words, such as `system 2026b at /usr/share/zoneinfo`. */
            summary: string;
            /** @description Release of the IANA database, such as `2026b`; null when the system does not say. */
            version: string | null;
        };
        /** @description Tokens over the window. */
        TokenUsage: {
            /**
             * Format: double
             * @description Average over the requests with known tokens; null without such a request.
             */
            average_per_request: number | null;
            /**
             * Format: int64
             * @description Output.
             */
            completion: number;
            /**
             * Format: int64
             * @description Input.
             */
            prompt: number;
            /**
             * Format: int64
             * @description Total of the local day of the configured zone so far.
             */
            today_total: number;
            /**
             * Format: int64
             * @description Prompt plus completion.
             */
            total: number;
        };
        /** @description Tokens over time. */
        TokensBody: {
            /** @description The part of the input that the provider had in its prompt cache. */
            cached_prompt: number[];
            /** @description Output. */
            completion: number[];
            /** @description Input. */
            prompt: number[];
            /** @description The part of the output spent on reasoning. */
            reasoning: number[];
        };
        /** @description The leading groups of one dimension; `total` aggregates the rows and `other`. */
        TopBody: {
            /** @description The dimension. */
            by: string;
            /** @description Number of groups that have requests. */
            groups: number;
            /** @description All other groups together. */
            other: components["schemas"]["TopRowBody"];
            /** @description Whether percentiles are known. */
            percentiles: boolean;
            /** @description The leading groups. */
            rows: components["schemas"]["TopRowBody"][];
            /** @description Order of the rows. */
            sort: string;
            /** @description The statistic, for latencies. */
            stat: string;
            /** @description All groups together; by error type, all errors. */
            total: components["schemas"]["TopRowBody"];
            /** @description Starts of the buckets of the rows' `trend`; absent where only single requests would know it. */
            trend_timestamps?: string[];
        };
        /** @description One group. */
        TopRowBody: components["schemas"]["PhasesBody"] & {
            /**
             * Format: double
             * @description Average total latency.
             */
            average_ms: number | null;
            /**
             * Format: double
             * @description Requests served by the app's response cache, in percent of its requests.
             */
            cache_hit_rate_percent: number | null;
            /**
             * Format: double
             * @description In percent of all cost.
             */
            cost_share_percent: number | null;
            /**
             * Format: double
             * @description Cost; null when of no request it is known.
             */
            cost_usd: number | null;
            /**
             * Format: double
             * @description In percent of its requests.
             */
            error_rate_percent: number | null;
            /**
             * Format: int64
             * @description Errors.
             */
            errors: number;
            /**
             * Format: double
             * @description Median of the total latency.
             */
            median_ms: number | null;
            /** @description Its name. */
            name: string;
            /**
             * Format: double
             * @description 95th percentile of the total latency.
             */
            p95_ms: number | null;
            /**
             * Format: int64
             * @description Requests in the range compared with.
             */
            previous_requests?: number;
            /**
             * Format: int64
             * @description Requests.
             */
            requests: number;
            /**
             * Format: double
             * @description In percent of all requests.
             */
            requests_share_percent: number | null;
            /**
             * Format: int64
             * @description Prompt and completion tokens.
             */
            tokens: number;
            /** @description Requests in each of at most 48 buckets, of the first ten rows. */
            trend?: number[];
        };
        /** @description One thing that is wrong with a request. */
        Violation: {
            /** @description The fault and its remedy. */
            detail: string;
            /** @description The parameter, or the field of the body. */
            parameter: string;
        };
        /** @description A short word. */
        WordBody: {
            /** @description `ok`. */
            status: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    alerts_backtest: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BacktestBody"];
            };
        };
        responses: {
            /** @description The replayed incidents. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BacktestedBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_channel_test: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The channel. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Response of the receiver. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChannelTestBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_explain: {
        parameters: {
            query: {
                /** @description The id of the rule. */
                rule: string;
                /** @description The group, once for each dimension, as `space:acme`. Default: the rule without groups. */
                group?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The evaluations. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExplainBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing of this name that the key may see. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_incidents: {
        parameters: {
            query?: {
                /** @description Only incidents that were open at or after this instant, in the forms of other routes. */
                start?: string;
                /** @description Only incidents that were open before this instant, in the forms of `start`. Default: now. */
                end?: string;
                /** @description IANA zone in which `start` and `end` without an offset are read. Default: the configured one. */
                tz?: string;
                /** @description Only incidents in these states; `open` is all but `resolved`. */
                state?: ("open" | "firing" | "recovering" | "flapping" | "resolved")[];
                /** @description Only incidents of the rule with this id. */
                rule?: string;
                /** @description Maximum number of lines of the page. */
                limit?: number;
                /** @description Where the page before ended: its `next_cursor`. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IncidentsBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_incident: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `alert_id` of the incident. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The incident. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IncidentDetailBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing of this name that the key may see. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_ack: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `alert_id` of the incident. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["AckBody"] | null;
            };
        };
        responses: {
            /** @description Noted. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IncidentBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_close: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `alert_id` of the incident. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["CloseBody"] | null;
            };
        };
        responses: {
            /** @description It is over. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IncidentBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_rules: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Rules and channels. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RulesBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_silences: {
        parameters: {
            query?: {
                /** @description `current`: active or still to come; `expired`: over. */
                state?: "current" | "expired";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Latest end first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SilencesBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_silence: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewSilenceBody"];
            };
        };
        responses: {
            /** @description Made. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SilenceBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A name in the body is unknown; the detail says which there are. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    alerts_unsilence: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The silence. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is over. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    audit_trail: {
        parameters: {
            query?: {
                /** @description Maximum number of lines of the page. */
                limit?: number;
                /** @description Where the page before ended: its `next_cursor`. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    dimension_values: {
        parameters: {
            query?: {
                /** @description Prefix of the values. Default: all values. */
                prefix?: string;
                /** @description Maximum number of values. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description space, user, model, provider or error_type. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The values. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DimensionValuesBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing of this name that the key may see. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    keys_list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Every key. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeysBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    keys_create: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewKeyBody"];
            };
        };
        responses: {
            /** @description Made. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedKeyBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    keys_revoke: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The public part of the key. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Revoked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics_alerts: {
        parameters: {
            query?: {
                /** @description Only incidents that triggered at or after this instant, in the forms of `start`. Default: the beginning. */
                since?: string;
                /** @description Maximum number of incidents. */
                limit?: number;
                /** @description Only incidents in these states; `open` is all but `resolved`. */
                state?: ("open" | "firing" | "recovering" | "flapping" | "resolved")[];
                /** @description Only incidents of the rule with this id. */
                rule?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Newest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AlertsBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics_breakdown: {
        parameters: {
            query: {
                /** @description The dimension to break down by. */
                by: "space" | "user" | "model" | "provider" | "error_type";
                /** @description The metric. */
                metric?: "request_rate" | "total_latency" | "context_latency" | "llm_latency" | "time_to_first_token" | "prompt_tokens" | "completion_tokens" | "total_tokens" | "error_rate" | "cache_hit_rate" | "cost";
                /** @description The statistic, for latencies. */
                stat?: "average" | "median" | "p95" | "p99" | "min" | "max";
                /** @description Maximum number of rows; the rest is `other`. */
                limit?: number;
                /**
                 * @description Start, inclusive: RFC 3339, a date, epoch seconds or milliseconds, or relative such as now-1h or now-7d/d. Default:
                 *     24 hours before `end`.
                 */
                start?: string;
                /** @description End, exclusive, in the forms of `start`. Default: now. */
                end?: string;
                /**
                 * @description IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: the configured
                 *     zone, shown in UTC.
                 * @example Europe/Warsaw
                 */
                tz?: string;
                /** @description Only these spaces; `(none)`: without one. */
                space?: string[];
                /** @description Only these users: the plain id, hashed on arrival, or the pseudonym. */
                user?: string[];
                /** @description Only these models. */
                model?: string[];
                /** @description Only these providers. */
                provider?: string[];
                /** @description Only errors of these types. */
                error_type?: ("network" | "timeout" | "rate_limit" | "server" | "validation" | "auth" | "content_filter" | "other")[];
                /** @description Only these outcomes. */
                outcome?: ("success" | "error" | "cancelled")[];
                /** @description Only requests that came by these routes. */
                source?: ("collector" | "rest" | "gateway" | "otlp" | "litellm" | "import")[];
                /** @description Only streamed requests, or only others. */
                streamed?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The groups. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BreakdownBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics_current: {
        parameters: {
            query?: {
                /** @description The rolling window of everything but the request rates. */
                window?: "minute" | "hour" | "day" | "week" | "month";
                /** @description Only these spaces; `(none)`: without one. */
                space?: string[];
                /** @description Only these users: the plain id, hashed on arrival, or the pseudonym. */
                user?: string[];
                /** @description Only these models. */
                model?: string[];
                /** @description Only these providers. */
                provider?: string[];
                /** @description Only errors of these types. */
                error_type?: ("network" | "timeout" | "rate_limit" | "server" | "validation" | "auth" | "content_filter" | "other")[];
                /** @description Only these outcomes. */
                outcome?: ("success" | "error" | "cancelled")[];
                /** @description Only requests that came by these routes. */
                source?: ("collector" | "rest" | "gateway" | "otlp" | "litellm" | "import")[];
                /** @description Only streamed requests, or only others. */
                streamed?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The numbers. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CurrentBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics_dashboard: {
        parameters: {
            query?: {
                /**
                 * @description Start, inclusive: RFC 3339, a date, epoch seconds or milliseconds, or relative such as now-1h or now-7d/d. Default:
                 *     24 hours before `end`.
                 */
                start?: string;
                /** @description End, exclusive, in the forms of `start`. Default: now. */
                end?: string;
                /**
                 * @description IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: the configured
                 *     zone, shown in UTC.
                 * @example Europe/Warsaw
                 */
                tz?: string;
                /** @description Width of the buckets. Default: the finest that gives at most about 400 buckets. */
                aggregation?: "minute" | "15m" | "hourly" | "daily" | "weekly" | "monthly";
                /**
                 * @description `previous` compares with the range just before: as many months or days of the calendar, else hours; `week` with
                 *     the same times a week earlier.
                 */
                compare?: "previous" | "week";
                /** @description The latency of the heatmap. */
                latency?: "total_latency" | "context_latency" | "llm_latency" | "time_to_first_token";
                /** @description Only these parts of the result. Default: all. CSV is of one part. */
                part?: ("tiles" | "requests" | "latency" | "share" | "errors" | "heatmap" | "tokens" | "cost" | "top")[];
                /** @description The dimension of the table. */
                top?: "space" | "user" | "model" | "provider" | "error_type";
                /** @description Order of the rows of the table, largest first. */
                sort?: "request_rate" | "total_latency" | "context_latency" | "llm_latency" | "time_to_first_token" | "prompt_tokens" | "completion_tokens" | "total_tokens" | "error_rate" | "cache_hit_rate" | "cost";
                /** @description The statistic, for latencies. */
                stat?: "average" | "median" | "p95" | "p99" | "min" | "max";
                /** @description Maximum number of rows of the table; the rest is `other`. */
                limit?: number;
                /** @description How the result is written. Default: as the header Accept says, else json. */
                format?: "json" | "csv";
                /** @description CSV begins with a byte order mark. */
                bom?: boolean;
                /** @description Only these spaces; `(none)`: without one. */
                space?: string[];
                /** @description Only these users: the plain id, hashed on arrival, or the pseudonym. */
                user?: string[];
                /** @description Only these models. */
                model?: string[];
                /** @description Only these providers. */
                provider?: string[];
                /** @description Only errors of these types. */
                error_type?: ("network" | "timeout" | "rate_limit" | "server" | "validation" | "auth" | "content_filter" | "other")[];
                /** @description Only these outcomes. */
                outcome?: ("success" | "error" | "cancelled")[];
                /** @description Only requests that came by these routes. */
                source?: ("collector" | "rest" | "gateway" | "otlp" | "litellm" | "import")[];
                /** @description Only streamed requests, or only others. */
                streamed?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The figures; CSV of one part. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DashboardBody"];
                    "text/csv": string;
                };
            };
            /** @description The figures match `If-None-Match`. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics_heatmap: {
        parameters: {
            query?: {
                /** @description The latency. */
                type?: "total_latency" | "context_latency" | "llm_latency" | "time_to_first_token";
                /** @description Width of the buckets. Default: the finest that gives at most about 400 buckets. */
                aggregation?: "minute" | "15m" | "hourly" | "daily" | "weekly" | "monthly";
                /**
                 * @description Start, inclusive: RFC 3339, a date, epoch seconds or milliseconds, or relative such as now-1h or now-7d/d. Default:
                 *     24 hours before `end`.
                 */
                start?: string;
                /** @description End, exclusive, in the forms of `start`. Default: now. */
                end?: string;
                /**
                 * @description IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: the configured
                 *     zone, shown in UTC.
                 * @example Europe/Warsaw
                 */
                tz?: string;
                /** @description Only these spaces; `(none)`: without one. */
                space?: string[];
                /** @description Only these users: the plain id, hashed on arrival, or the pseudonym. */
                user?: string[];
                /** @description Only these models. */
                model?: string[];
                /** @description Only these providers. */
                provider?: string[];
                /** @description Only errors of these types. */
                error_type?: ("network" | "timeout" | "rate_limit" | "server" | "validation" | "auth" | "content_filter" | "other")[];
                /** @description Only these outcomes. */
                outcome?: ("success" | "error" | "cancelled")[];
                /** @description Only requests that came by these routes. */
                source?: ("collector" | "rest" | "gateway" | "otlp" | "litellm" | "import")[];
                /** @description Only streamed requests, or only others. */
                streamed?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HeatmapBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics_historical: {
        parameters: {
            query: {
                /** @description The metric. */
                type: "request_rate" | "total_latency" | "context_latency" | "llm_latency" | "time_to_first_token" | "prompt_tokens" | "completion_tokens" | "total_tokens" | "error_rate" | "cache_hit_rate" | "cost";
                /** @description The statistic, for latencies. */
                stat?: "average" | "median" | "p95" | "p99" | "min" | "max";
                /** @description Width of the buckets. Default: the finest that gives at most about 400 buckets. */
                aggregation?: "minute" | "15m" | "hourly" | "daily" | "weekly" | "monthly";
                /** @description One series for each value of these dimensions (space, user, model, provider, `error_type`), separated by commas. */
                group_by?: string[];
                /** @description Maximum number of series, largest first, with `group_by`; the rest becomes one series `(other)`. */
                limit?: number;
                /** @description `previous` adds the range just before: as many months or days of the calendar, else hours. */
                compare?: "previous";
                /**
                 * @description Start, inclusive: RFC 3339, a date, epoch seconds or milliseconds, or relative such as now-1h or now-7d/d. Default:
                 *     24 hours before `end`.
                 */
                start?: string;
                /** @description End, exclusive, in the forms of `start`. Default: now. */
                end?: string;
                /**
                 * @description IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: the configured
                 *     zone, shown in UTC.
                 * @example Europe/Warsaw
                 */
                tz?: string;
                /** @description Only these spaces; `(none)`: without one. */
                space?: string[];
                /** @description Only these users: the plain id, hashed on arrival, or the pseudonym. */
                user?: string[];
                /** @description Only these models. */
                model?: string[];
                /** @description Only these providers. */
                provider?: string[];
                /** @description Only errors of these types. */
                error_type?: ("network" | "timeout" | "rate_limit" | "server" | "validation" | "auth" | "content_filter" | "other")[];
                /** @description Only these outcomes. */
                outcome?: ("success" | "error" | "cancelled")[];
                /** @description Only requests that came by these routes. */
                source?: ("collector" | "rest" | "gateway" | "otlp" | "litellm" | "import")[];
                /** @description Only streamed requests, or only others. */
                streamed?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The values. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HistoricalBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics_simulate: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["SimulateBody"] | null;
            };
        };
        responses: {
            /** @description It is stored. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SimulatedBody"];
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OpenAPI 3.1. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": unknown;
                };
            };
        };
    };
    requests_list: {
        parameters: {
            query?: {
                /** @description Start, inclusive, in the forms of the other routes. Default: the beginning. */
                start?: string;
                /** @description End, exclusive, in the forms of `start`. Default: now. */
                end?: string;
                /**
                 * @description IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: the configured
                 *     zone, shown in UTC.
                 * @example Europe/Warsaw
                 */
                tz?: string;
                /** @description Maximum number of lines of the page. */
                limit?: number;
                /** @description Where the page before ended: its `next_cursor`. */
                cursor?: string;
                /** @description How the result is written. Default: as the header Accept says, else json. */
                format?: "json" | "csv";
                /** @description CSV begins with a byte order mark. */
                bom?: boolean;
                /** @description The latency that `min_ms` and `max_ms` are about. */
                latency?: "total_latency" | "context_latency" | "llm_latency" | "time_to_first_token";
                /** @description Only requests whose latency is known and at least this, in milliseconds. */
                min_ms?: number;
                /** @description Only requests whose latency is known and less than this, in milliseconds. */
                max_ms?: number;
                /** @description Only these spaces; `(none)`: without one. */
                space?: string[];
                /** @description Only these users: the plain id, hashed on arrival, or the pseudonym. */
                user?: string[];
                /** @description Only these models. */
                model?: string[];
                /** @description Only these providers. */
                provider?: string[];
                /** @description Only errors of these types. */
                error_type?: ("network" | "timeout" | "rate_limit" | "server" | "validation" | "auth" | "content_filter" | "other")[];
                /** @description Only these outcomes. */
                outcome?: ("success" | "error" | "cancelled")[];
                /** @description Only requests that came by these routes. */
                source?: ("collector" | "rest" | "gateway" | "otlp" | "litellm" | "import")[];
                /** @description Only streamed requests, or only others. */
                streamed?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page; the header Link names the next, and CSV that has one says so in its last row. */
            200: {
                headers: {
                    /** @description The next page, as `rel="next"`. */
                    Link?: string;
                    /** @description `true` when CSV lacks rows. */
                    "X-Chatgauge-Truncated"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RequestsBody"];
                    "text/csv": string;
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    requests_ingest: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description Records; `Content-Encoding` gzip, zstd and deflate are understood. */
        requestBody: {
            content: {
                "application/json": components["schemas"]["Records"];
                "application/x-ndjson": string;
            };
        };
        responses: {
            /** @description At least one record was accepted, or there were none. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IngestReport"];
                };
            };
            /** @description The body cannot be read; `stored`, when present, counts the records stored before that. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope ingest. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large, as sent or decompressed. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The content type or encoding is not supported. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Every record was rejected. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IngestReport"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The queue or the disk is full, or the server is shutting down; nothing of the records that `stored` does not count was stored: send again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    requests_get: {
        parameters: {
            query?: {
                /** @description Its start, which finds it at once. Without it the newest request with this id is looked for. */
                started_at?: string;
                /**
                 * @description IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: the configured
                 *     zone, shown in UTC.
                 * @example Europe/Warsaw
                 */
                tz?: string;
            };
            header?: never;
            path: {
                /** @description Its `request_id`. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The request. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RequestBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is nothing of this name that the key may see. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    session_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Whether it is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionBody"];
                };
            };
            /** @description A parameter is unknown. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    session_create: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["LoginBody"];
            };
        };
        responses: {
            /** @description Logged in; the cookie is set. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The body is not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token is not the admin token. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request comes from another site. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many bad tokens; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    session_delete: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Logged out; the cookie is gone. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The body is not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token is not the admin token. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request comes from another site. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many bad tokens; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sql_get: {
        parameters: {
            query: {
                /** @description One read-only statement. */
                sql: string;
                /** @description How the result is written. Default: as the header Accept says, else json. */
                format?: "json" | "csv";
                /** @description CSV begins with a byte order mark. */
                bom?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The rows; CSV that lacks some says so in its last row. */
            200: {
                headers: {
                    /** @description `true` when CSV lacks rows. */
                    "X-Chatgauge-Truncated"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RowsBody"];
                    "text/csv": string;
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sql_post: {
        parameters: {
            query?: {
                /** @description How the result is written. Default: as the header Accept says, else json. */
                format?: "json" | "csv";
                /** @description CSV begins with a byte order mark. */
                bom?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["StatementBody"];
            };
        };
        responses: {
            /** @description The rows; CSV that lacks some says so in its last row. */
            200: {
                headers: {
                    /** @description `true` when CSV lacks rows. */
                    "X-Chatgauge-Truncated"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RowsBody"];
                    "text/csv": string;
                };
            };
            /** @description A parameter or field is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope admin. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such thing. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The current state does not allow this. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 64 KiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    status: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The state. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StatusBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    stream: {
        parameters: {
            query?: {
                /** @description Topics of the events: `requests` (default), `alerts`, or both. */
                topic?: ("requests" | "alerts")[];
                /**
                 * @description IANA zone that hours, days, weeks and months are cut in, and that instants are shown in. Default: the configured
                 *     zone, shown in UTC.
                 * @example Europe/Warsaw
                 */
                tz?: string;
                /** @description The latency that `min_ms` and `max_ms` are about. */
                latency?: "total_latency" | "context_latency" | "llm_latency" | "time_to_first_token";
                /** @description Only requests whose latency is known and at least this, in milliseconds. */
                min_ms?: number;
                /** @description Only requests whose latency is known and less than this, in milliseconds. */
                max_ms?: number;
                /** @description Only these spaces; `(none)`: without one. */
                space?: string[];
                /** @description Only these users: the plain id, hashed on arrival, or the pseudonym. */
                user?: string[];
                /** @description Only these models. */
                model?: string[];
                /** @description Only these providers. */
                provider?: string[];
                /** @description Only errors of these types. */
                error_type?: ("network" | "timeout" | "rate_limit" | "server" | "validation" | "auth" | "content_filter" | "other")[];
                /** @description Only these outcomes. */
                outcome?: ("success" | "error" | "cancelled")[];
                /** @description Only requests that came by these routes. */
                source?: ("collector" | "rest" | "gateway" | "otlp" | "litellm" | "import")[];
                /** @description Only streamed requests, or only others. */
                streamed?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Events. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    telemetry_health: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In short. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HealthBody"];
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    healthz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WordBody"];
                };
            };
        };
    };
    litellm_ingest: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description `StandardLoggingPayload`s. */
        requestBody: {
            content: {
                "application/json": unknown;
                "application/x-ndjson": string;
            };
        };
        responses: {
            /** @description Outcome of each payload. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IngestReport"];
                };
            };
            /** @description The body cannot be read; `stored`, when present, counts the records stored before that. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope ingest. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is too large, as sent or decompressed. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The content type or encoding is not supported. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The queue or the disk is full, or the server is shutting down; nothing of the records that `stored` does not count was stored: send again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    prometheus_metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Text format 0.0.4. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain; version=0.0.4": string;
                };
            };
            /** @description A parameter is unknown or not acceptable. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The key lacks the scope, or is bound to other spaces. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests; `Retry-After` says when to come back. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too busy, too slow or shutting down; `Retry-After` says when to come back. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readyz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It can. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WordBody"];
                };
            };
            /** @description Not now; the detail says why. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    traces_ingest: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description An `ExportTraceServiceRequest`; `Content-Encoding` gzip, zstd and deflate are understood. */
        requestBody: {
            content: {
                "application/json": Record<string, never>;
                "application/x-protobuf": string;
            };
        };
        responses: {
            /** @description An `ExportTraceServiceResponse`; `partialSuccess` counts the rejected spans. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
            /** @description The body cannot be read; do not send it again. All errors are a `google.rpc.Status`. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
            /** @description No token, or an invalid one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
            /** @description The key lacks the scope ingest. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
            /** @description The body stopped arriving. */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
            /** @description The body is too large, as sent or decompressed. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
            /** @description The content type or encoding is not supported. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
            /** @description Too many requests; send again after `Retry-After`. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
            /** @description The server is busy, its disk is full or it is shutting down; send again after `Retry-After`. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                    "application/x-protobuf": string;
                };
            };
        };
    };
}
