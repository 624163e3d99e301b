//! A filled file of version 1 of the schema, and the program with a migration after its newest one.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::disk::Files;
use super::stage::Stage;

/// The file that tests of upgrades keep; its requests are of November 2026.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/schema/v1.db.gz");

/// The files, and the ids of their rows.
fn old_files() -> &'static (Files, Vec<String>) {
    static FILES: OnceLock<(Files, Vec<String>)> = OnceLock::new();
    FILES.get_or_init(|| {
        let stage = Stage::new(0);
        let mut bytes = Vec::new();
        let packed = std::fs::File::open(FIXTURE).expect("the filled file");
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("a packed file");
        std::fs::write(stage.place.database(), bytes).expect("a file to write");
        let connection = stage.place.connection();
        // Any key is accepted for a file that knows none. Requests of the gateway are verified by another id.
        let adapt =
            "update _store_state set pseudonym_key_check = null; update requests set source = 0;";
        connection.execute_batch(adapt).expect("the state of the store");
        let mut statement =
            connection.prepare("select request_id from request_log").expect("a view");
        let ids = statement.query_map([], |row| row.get(0)).expect("the requests");
        let ids = ids.collect::<rusqlite::Result<Vec<String>>>().expect("their ids");
        drop(statement);
        connection.close().expect("a file that can be closed");
        // Beside records the program makes no key.
        let mut key = stage.place.database().into_os_string();
        key.push(".key");
        std::fs::write(key, "07".repeat(32)).expect("a key file");
        (stage.place.files(), ids)
    })
}

/// The program with one more migration. `cargo test` builds it with the examples.
fn next_version() -> PathBuf {
    let program =
        Path::new(env!("CARGO_BIN_EXE_chatgauge")).with_file_name("examples").join("next_version");
    assert!(program.exists(), "missing {program:?}; build it: cargo build --example next_version");
    program
}

/// A stage with such a file; nothing in it is too old for retention.
pub(crate) fn stage(seed: u64) -> Stage {
    let (files, ids) = old_files();
    let mut stage = Stage::new(seed);
    stage.place.program = next_version();
    stage.options = vec!["retention.raw_days=36500".to_owned()];
    stage.place.restore(files);
    stage.truth().adopt(ids.clone());
    stage
}
