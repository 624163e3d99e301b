//! A file of an earlier version of the program: schema 9, with raw rows that are not rolled up yet.

use std::sync::OnceLock;

use refinery::{Migration, Target};

use super::disk::Files;
use super::load::now_ms;
use super::stage::Stage;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The version of the schema.
const VERSION: i32 = 9;
/// Rows of the file.
const ROWS: i64 = 4_000;

/// The files, and the ids of their rows.
fn old_files() -> &'static (Files, Vec<String>) {
    static FILES: OnceLock<(Files, Vec<String>)> = OnceLock::new();
    FILES.get_or_init(|| {
        let stage = Stage::new(0);
        let mut connection = stage.place.connection();
        // The pragmas of the program.
        connection
            .execute_batch("pragma auto_vacuum = incremental; pragma application_id = 1128810305; pragma journal_mode = wal;")
            .expect("an empty file");
        let mut runner = embedded::migrations::runner();
        let newest = runner.get_migrations().iter().map(Migration::version).max();
        assert!(newest > Some(VERSION), "schema {VERSION} is not an old one");
        runner = runner.set_target(Target::Version(VERSION));
        runner.run(&mut connection).expect("the schema of an earlier version");
        let ids = fill(&connection);
        connection.close().expect("a file that can be closed");
        // Beside records the program makes no key.
        let mut key = stage.place.database().into_os_string();
        key.push(".key");
        std::fs::write(key, "07".repeat(32)).expect("a key file");
        (stage.place.files(), ids)
    })
}

fn fill(connection: &rusqlite::Connection) -> Vec<String> {
    let now_ms = now_ms();
    let mut insert = connection
        .prepare(
            "insert into requests (started_at_ms, request_id, source, user_id, space_id, model_id, operation_id,
                 outcome, cache_hit, attempt, error_code_id, finish_reason_id, total_latency_us,
                 context_latency_us, llm_latency_us, prompt_tokens, completion_tokens)
             values (?1, ?2, 2, ?3, ?4, 0, 0, ?5, 0, 0, 0, 0, ?6, ?7, ?8, ?9, ?10)",
        )
        .expect("the table of requests");
    connection.execute_batch("begin").expect("a transaction");
    for space in 2..5 {
        let sql = "insert into spaces values (?1, 'space ' || ?1)";
        connection.execute(sql, [space]).expect("a space");
    }
    for user in 2..32 {
        connection.execute("insert into users values (?1, 'user ' || ?1)", [user]).expect("a user");
    }
    let mut ids = Vec::new();
    for n in 0..ROWS {
        let id = format!("old-{}", letters(n));
        let (total, context) = (1_000 + n * 997 % 9_000_000, n * 31 % 1_000);
        insert
            .execute(rusqlite::params![
                now_ms - n * 60_000,
                id,
                2 + n % 30,
                2 + n % 3,
                n % 10,
                total,
                context,
                total - context,
                1 + n % 4_000,
                n % 900
            ])
            .expect("a row");
        ids.push(id);
    }
    connection.execute_batch("commit").expect("a transaction");
    ids
}

fn letters(number: i64) -> String {
    (0..6)
        .rev()
        .map(|digit| char::from(b'a' + u8::try_from(number >> (4 * digit) & 15).unwrap_or(0)))
        .collect()
}

/// A stage with such a file.
pub(crate) fn stage(seed: u64) -> Stage {
    let (files, ids) = old_files();
    let stage = Stage::new(seed);
    stage.place.restore(files);
    stage.truth().adopt(ids.clone());
    stage
}
