//! Tests of the configuration.

use std::path::Path;
use std::time::Duration;

use super::example::{Example, HEADER};
use super::*;
use crate::error::Error;

fn load(
    toml: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &str, &str)],
) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chatgauge.toml");
    std::fs::write(&path, toml).unwrap();
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let flags = flags.iter().map(|(flag, key, value)| ConfigFlag {
        flag: (*flag).to_owned(),
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    let shorten = format!("{}/", directory.path().display());
    Config::load(Some(&path), environment, flags)
        .map_err(|error| error.to_string().replace(&shorten, ""))
}

/// `UPDATE_EXAMPLE=1` rewrites the file.
#[test]
fn the_example_file_is_generated_and_has_every_key_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/config.example.toml");
    let mut example = Example { text: HEADER.to_owned() };
    Config::default().write_example("", &mut example);
    let example = example.text;
    if std::env::var_os("UPDATE_EXAMPLE").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == example, "{} is out of date: run with UPDATE_EXAMPLE=1", path.display());
    let raw: RawConfig = toml::from_str(&example).unwrap();
    assert_eq!(raw, RawConfig::from(&Config::default()));
    assert_eq!(raw.check().unwrap(), Config::default());
}

/// The rows of the tables in `page` whose first column is `column`, as cells.
fn rows(page: &str, column: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        match cells.get(1) {
            Some(first) if first == column => is_inside = true,
            Some(first) if is_inside && !first.starts_with("---") => rows.push(cells),
            Some(_) => {}
            None => is_inside = false,
        }
    }
    rows
}

/// The names of the keys in a cell: what stands between backticks.
fn keys(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_documentation_names_the_keys_and_defaults_of_retention() {
    let page = include_str!("../../docs/configuration.md");
    let defaults = toml::Table::try_from(RawRetention::from(&Config::default().retention)).unwrap();
    let mut days = 0;
    for cells in rows(page, "level") {
        for key in keys(&cells[2]) {
            assert_eq!(cells[3], format!("{} days", defaults[key]), "{key}");
            days += 1;
        }
    }
    assert_eq!(days, 3);
}

#[test]
fn the_documentation_of_alerts_has_every_key_of_a_rule() {
    let page = include_str!("../../docs/alerts.md");
    let rows = rows(page, "key");
    let documented: Vec<&str> = rows.iter().flat_map(|cells| keys(&cells[1])).collect();
    let example = "[[alerting.rule]]\nunknown = 1";
    let error = toml::from_str::<RawConfig>(example).unwrap_err();
    let known: Vec<&str> = keys(error.message()).skip(1).collect();
    assert!(known.len() > 20, "{error}");
    for key in known.into_iter().filter(|key| !["id", "name"].contains(key)) {
        assert!(documented.contains(&key), "docs/alerts.md does not describe `{key}`");
    }
}

#[test]
fn an_empty_configuration_is_the_default() {
    assert_eq!(Config::load(None, [], []).unwrap(), Config::default());
}

#[test]
fn each_layer_overrides_the_one_before() {
    let file = "time_zone = \"Europe/Warsaw\"\n[store]\npath = \"a.db\"\nreaders = 2\n[query]\ntimeout_ms = 5\n";
    let environment = [
        ("CHATGAUGE_DB", "b.db"),
        ("CHATGAUGE_QUERY_TIMEOUT_MS", "1_000"),
        ("CHATGAUGE_HTTP_NO_AUTH", "true"),
        ("CHATGAUGE_GATEWAY_UPSTREAMS_OPENAI_URL", "http://127.0.0.1:9"),
        ("CHATGAUGE_LOG", "debug"),
        ("CHATGAUGE_ADMIN_TOKEN", ""),
        ("HOME", "/root"),
    ];
    let flags = [("--db", "store.path", "c.db"), ("--listen", "http.listen", "localhost:1")];
    let config = load(file, &environment, &flags).unwrap();
    assert_eq!(config.time_zone, "Europe/Warsaw".parse::<Tz>().unwrap());
    assert_eq!(config.store.path, Path::new("c.db"));
    assert_eq!(config.store.readers, 2);
    assert_eq!(config.query.timeout, Duration::from_secs(1));
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:1");
    assert_eq!(config.http.admin_token, None);
    assert!(config.http.no_auth);
    assert_eq!(config.gateway.upstreams["openai"].url, "http://127.0.0.1:9");
}

#[test]
fn errors_name_the_place_the_key_and_what_is_allowed() {
    let refusals = [
        load("[http]\nlisten = 5", &[], &[]),
        load("[http]\n\nlisten = \"nowhere\"", &[], &[]),
        load("[htp]\n", &[], &[]),
        load("[retention]\nmax_bytes = 5", &[], &[]),
        load("[store\n", &[], &[]),
        load("", &[("CHATGAUGE_QUERY_HOT_CACHE_MAX_BYTES", "50000001")], &[]),
        load("", &[("CHATGAUGE_LISTN", "x")], &[]),
        load("", &[("CHATGAUGE_STORE_READERS", "many")], &[]),
        load("", &[("CHATGAUGE_DB", "a"), ("CHATGAUGE_STORE_PATH", "b")], &[]),
        load("", &[], &[("--option", "retention.raw_day", "1")]),
        load("time_zone = \"Mars\"", &[], &[]),
    ];
    let text: String =
        refusals.map(|refusal| format!("{}\n", refusal.unwrap_err())).into_iter().collect();
    assert_eq!(
        text,
        "\
chatgauge.toml, line 2: http.listen: invalid type: integer `5`, expected a string
chatgauge.toml, line 3: http.listen: \"nowhere\" is not an IP address and a port such as 127.0.0.1:8089 or [::1]:8089
chatgauge.toml, line 1: htp: there is no such key; did you mean http or otlp or store?
chatgauge.toml, line 2: retention.max_bytes: 5 is neither 0 (no limit) nor at least 10000000
chatgauge.toml, line 1: unclosed table, expected `]`
CHATGAUGE_QUERY_HOT_CACHE_MAX_BYTES: query.hot_cache_max_bytes: 50000001 is not between 1000000 and 50000000
CHATGAUGE_LISTN: there is no such variable; did you mean CHATGAUGE_LISTEN or CHATGAUGE_DB or CHATGAUGE_HTTP_LISTEN?
CHATGAUGE_STORE_READERS: store.readers: \"many\" is not a whole number
CHATGAUGE_STORE_PATH: CHATGAUGE_DB sets the same key, store.path; set one of them
--option: retention.raw_day: there is no such key; did you mean retention.raw_days or retention.max_bytes or retention.minute_days?
chatgauge.toml, line 1: time_zone: \"Mars\" is not an IANA time zone such as UTC or Europe/Warsaw
"
    );
}

#[test]
fn errors_of_the_file_say_what_to_write() {
    let huge = "99999999999999999999";
    for (toml, expected) in [
        (
            "[retention]\nraw_dayz = 5".to_owned(),
            "line 2: retention.raw_dayz: there is no such key; did you mean raw_days or max_bytes or minute_days?",
        ),
        (
            "[retension]".to_owned(),
            "line 1: retension: there is no such key; did you mean retention or ",
        ),
        (
            "store = { readers = 2, reader = 3 }".to_owned(),
            "line 1: store.reader: there is no such key; did you mean readers or ",
        ),
        (
            "retention = 5".to_owned(),
            "line 1: retention: invalid type: integer `5`, expected a table",
        ),
        (
            "[[retention]]\nraw_days = 5".to_owned(),
            "line 1: retention: is an array; write `[retention]`, which is a single table",
        ),
        (
            "\nretention = [5]".to_owned(),
            "line 2: retention: is an array; write `[retention]`, which is a single table",
        ),
        (
            "[alerting.rule]\nid = \"a\"".to_owned(),
            "line 1: alerting.rule: invalid type: table, expected an array; write `[[alerting.rule]]` above each rule",
        ),
        (
            format!("[store]\nreaders = {huge}"),
            "line 2: store.readers: 99999999999999999999 is not between 1 and 64",
        ),
        (
            format!("[store]\nreaders = -{huge}"),
            "line 2: store.readers: -99999999999999999999 is not between 1 and 64",
        ),
        (
            "[store]\nreaders = 9223372036854775808".to_owned(),
            "line 2: store.readers: 9223372036854775808 is not between 1 and 64",
        ),
        (
            format!("[retention]\nmax_bytes = {huge}"),
            "line 2: retention.max_bytes: 99999999999999999999 is not between -9223372036854775808 and ",
        ),
    ] {
        let error = load(&toml, &[], &[]).unwrap_err();
        let expected = format!("chatgauge.toml, {expected}");
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
    let option = load("", &[], &[("-o", "store.readers", huge)]).unwrap_err();
    assert_eq!(option, "-o: store.readers: 99999999999999999999 is not between 1 and 64");
}

#[test]
fn a_file_that_is_no_text_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let refusal = |path: &Path| Config::load(Some(path), [], []).unwrap_err().to_string();
    let error = refusal(directory.path());
    assert!(
        error.ends_with(": is a directory; give the file in it, such as chatgauge.toml"),
        "{error}"
    );
    let path = directory.path().join("chatgauge.toml");
    for (bytes, line) in [(&b"# a\ntime_zone = \"\xe9\""[..], 2), (&b"\xff\xfea\0"[..], 1)] {
        std::fs::write(&path, bytes).unwrap();
        let error = refusal(&path);
        let expected = format!("chatgauge.toml, line {line}: is not UTF-8; save the file as UTF-8");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn a_mistyped_time_zone_is_recognised() {
    let error = load("time_zone = \"europe/warsaw\"", &[], &[]).unwrap_err();
    assert!(error.ends_with("is not an IANA time zone; did you mean Europe/Warsaw?"), "{error}");
}

#[test]
fn a_public_address_without_auth_is_refused() {
    let refused = load("[http]\nlisten = \"0.0.0.0:80\"\nno_auth = true", &[], &[]).unwrap_err();
    assert_eq!(
        refused,
        "chatgauge.toml, line 3: http.no_auth: must be false when http.listen is 0.0.0.0:80, which \
         other machines can reach; listen on 127.0.0.1 or keep the tokens"
    );
    assert!(load("[http]\nlisten = \"[::1]:80\"\nno_auth = true", &[], &[]).is_ok());
    assert!(load("[http]\nlisten = \"0.0.0.0:80\"", &[], &[]).is_ok());
}

#[test]
fn a_named_file_must_exist() {
    let path = Path::new("/nonexistent/chatgauge.toml");
    assert!(matches!(Config::load(Some(path), [], []), Err(Error::Io { .. })));
    let variable = ("CHATGAUGE_CONFIG".to_owned(), "/nonexistent/chatgauge.toml".to_owned());
    assert!(matches!(Config::load(None, [variable], []), Err(Error::Io { .. })));
}

#[test]
fn a_printed_configuration_is_in_effect_and_hides_the_token() {
    let environment = [("CHATGAUGE_ADMIN_TOKEN", "hunter2"), ("CHATGAUGE_STORE_READERS", "9")];
    let config = load("", &environment, &[]).unwrap();
    let printed = config.to_toml();
    assert!(!printed.contains("hunter2"));
    let mut raw: RawConfig = toml::from_str(&printed).unwrap();
    assert!(raw.check().is_err(), "a printed configuration must not set the token to (hidden)");
    raw.http.admin_token = None;
    assert_eq!(raw.check().unwrap().store, config.store);
    let wrong = load("[http]\nadmin_token = \"hunter2 with spaces\"\n", &[], &[]).unwrap_err();
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let wrong = load("[http]\nadmin_token = \"hunter2\n", &[], &[]).unwrap_err();
    assert!(!wrong.contains("hunter2"), "{wrong}");
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_of_this_name_are_ignored() {
    let environment = [
        ("CHATGAUGE_PORT", "tcp://10.96.12.7:8089"),
        ("CHATGAUGE_PORT_8089_TCP", "tcp://10.96.12.7:8089"),
        ("CHATGAUGE_PORT_8089_TCP_ADDR", "10.96.12.7"),
        ("CHATGAUGE_PORT_8089_TCP_PORT", "8089"),
        ("CHATGAUGE_PORT_8089_TCP_PROTO", "tcp"),
        ("CHATGAUGE_SERVICE_HOST", "10.96.12.7"),
        ("CHATGAUGE_SERVICE_PORT", "8089"),
        ("CHATGAUGE_SERVICE_PORT_HTTP", "8089"),
        ("CHATGAUGE_FOO_SERVICE_HOST", "10.96.12.8"),
    ];
    assert_eq!(load("", &environment, &[]).unwrap(), Config::default());
    for variable in [("CHATGAUGE_PORT", "8089"), ("CHATGAUGE_SERVICE_HOST", "chatgauge.local")] {
        let error = load("", &[variable], &[]).unwrap_err();
        assert!(error.contains("there is no such variable"), "{error}");
    }
}
