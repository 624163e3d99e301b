//! Tests of channels as typed.

use super::*;
use crate::config::Config;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn check(toml: &str) -> Result<Vec<ChannelConfig>, String> {
    let channels: BTreeMap<String, RawChannel> = toml::from_str(toml).unwrap();
    check_channels(&channels).map_err(|error| error.to_string())
}

#[test]
fn each_type_is_accepted() {
    let channels = check(&format!(
        "[ops]\ntype = \"webhook\"\nurl = \"https://hooks.example/a?b=c\"\nsecret = \"{KEY}\"\n\
         [chat]\ntype = \"slack\"\nurl = \"http://127.0.0.1:80/services/T/B/x\"\n\
         [am]\ntype = \"alertmanager\"\nurls = [\"http://[::1]:9093\", \"http://b:9093/am/\"]\nusername = \"u\"\npassword = \"p\"\n\
         [mail]\ntype = \"email\"\nhost = \"smtp.example.org\"\nfrom = \"A <a@b.example>\"\nto = [\"c@d.example\"]\n"
    ))
    .unwrap();
    let targets: Vec<String> = channels.iter().map(ChannelConfig::target).collect();
    assert_eq!(
        targets,
        [
            "http://[::1]:9093, http://b:9093",
            "http://127.0.0.1:80",
            "smtp://smtp.example.org:587",
            "https://hooks.example",
        ]
    );
}

#[test]
fn errors_name_the_key_and_not_the_secret() {
    let table = [
        ("[ops]\n", "ops.type: is missing"),
        ("[ops]\ntype = \"pager\"", "ops.type: \"pager\" is none of"),
        ("[log]\ntype = \"slack\"", "log: the log always exists"),
        ("[Ops]\ntype = \"slack\"", "Ops: a channel's name"),
        ("[o-p]\ntype = \"slack\"", "CHATGAUGE_ALERTING_CHANNELS_O_P_URL"),
        ("[ops]\ntype = \"slack\"\nurl = \"ftp://hunter2\"", "ops.url: is not http(s)"),
        ("[ops]\ntype = \"slack\"\nurl = \"https://u:hunter2@h/\"", "ops.url: is not http(s)"),
        ("[ops]\ntype = \"slack\"\nurl = \"https://h:0/hunter2\"", "ops.url: is not http(s)"),
        ("[ops]\ntype = \"slack\"\nurl = \"https://h/hunter2 x\"", "ops.url: is not http(s)"),
        ("[ops]\ntype = \"slack\"\nurl = \"(hidden)\"", "ops.url: (hidden) is what"),
        (
            "[ops]\ntype = \"slack\"\nurl = \"http://h\"\nsecret = \"hunter2\"",
            "ops.secret: a channel of type slack",
        ),
        (
            "[ops]\ntype = \"slack\"\nurl = \"http://h\"\nurl_file = \"/x\"",
            "ops.url: set it or url_file",
        ),
        ("[ops]\ntype = \"slack\"\nurl_file = \"/nonexistent\"", "ops.url_file: /nonexistent: "),
        (
            "[ops]\ntype = \"webhook\"\nurl = \"http://h\"\nsecret = \"hunter2\"",
            "ops.secret: is not whsec_",
        ),
        (
            "[ops]\ntype = \"webhook\"\nurl = \"http://h\"\nbearer_token = \"hunter2\\n\"",
            "ops.bearer_token: must be visible",
        ),
        (
            "[ops]\ntype = \"webhook\"\nurl = \"http://h\"\npassword = \"hunter2\"",
            "ops.username: is missing",
        ),
        ("[am]\ntype = \"alertmanager\"", "am.urls: name 1 to"),
        ("[m]\ntype = \"email\"", "m.host: is missing"),
        (
            "[m]\ntype = \"email\"\nhost = \"h\"\nfrom = \"nobody\"",
            "m.from: \"nobody\" is not an address",
        ),
        ("[m]\ntype = \"email\"\nhost = \"h\"\nfrom = \"a@b.c\"", "m.to: name 1 to"),
        (
            "[m]\ntype = \"email\"\nhost = \"h\"\ntls = \"none\"\nallow_plaintext = true",
            "m.tls: \"none\" is for",
        ),
        ("[m]\ntype = \"email\"\nhost = \"127.0.0.1\"\ntls = \"none\"", "m.tls: \"none\" is for"),
        ("[m]\ntype = \"email\"\nhost = \"h\"\nport = 0", "m.port: 0 is not between"),
    ];
    for (toml, expected) in table {
        let refused = check(toml).unwrap_err();
        assert!(refused.contains(expected), "{toml}: {refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn secrets_come_from_files_and_variables() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("url");
    std::fs::write(&path, "https://hooks.example/from-file\n").unwrap();
    let toml = format!("[ops-1]\ntype = \"slack\"\nurl_file = \"{}\"", path.display());
    let of = |channels: &[ChannelConfig]| match &channels[0].kind {
        ChannelKind::Slack { endpoint } => endpoint.url.reveal().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(&check(&toml).unwrap()), "https://hooks.example/from-file");

    let file = directory.path().join("chatgauge.toml");
    std::fs::write(&file, "[alerting.channels.ops-1]\ntype = \"slack\"\n").unwrap();
    let load = |name: &str, value: &str| {
        let name = format!("CHATGAUGE_ALERTING_CHANNELS_{name}");
        Config::load(Some(&file), [(name, value.to_owned())], [])
    };
    let config = load("OPS_1_URL", "https://h.example/x").unwrap();
    assert_eq!(of(&config.alerting.channels), "https://h.example/x");
    let error = load("OPS_1_URL", "nowhere").unwrap_err().to_string();
    let place = "CHATGAUGE_ALERTING_CHANNELS_OPS_1_URL: alerting.channels.ops-1.url: is not http";
    assert!(error.starts_with(place), "{error}");
    for other in ["OPS_URL", "OPS_1_HOST", "OPS_1_", "URL"] {
        let error = load(other, "https://h.example/x").unwrap_err().to_string();
        assert!(error.contains("there is no such variable"), "{error}");
    }
}

#[test]
fn nothing_shows_a_secret() {
    let channels = check(&format!(
        "[a]\ntype = \"webhook\"\nurl = \"https://h.example/hunter2\"\nsecret = \"{KEY}\"\nbearer_token = \"hunter2\"\n\
         [b]\ntype = \"email\"\nhost = \"h\"\nusername = \"u\"\npassword = \"hunter2\"\nfrom = \"a@b.c\"\nto = [\"a@b.c\"]\n\
         [c]\ntype = \"alertmanager\"\nurls = [\"http://h/hunter2\"]\n"
    ))
    .unwrap();
    let mut shown = format!("{channels:?}");
    for channel in &channels {
        let raw = RawChannel::from(channel);
        shown += &format!("{raw:?}{}{}", toml::to_string(&raw).unwrap(), channel.target());
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{shown}");
    assert!(!shown.contains("77, 242"), "the key's bytes: {shown}");
}
