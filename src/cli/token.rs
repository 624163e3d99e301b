//! The admin token: configured, or made at the first start and kept beside the database.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::service::random_text;

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 24;

/// Where the token came from.
#[derive(Debug)]
pub(super) enum AdminToken {
    /// From the configuration.
    Configured(String),
    /// From its file.
    Kept(String, PathBuf),
    /// Made just now.
    Made(String, PathBuf),
}

impl AdminToken {
    /// The token itself.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Configured(token) | Self::Kept(token, _) | Self::Made(token, _) => token,
        }
    }

    /// What a server says about its token at the start; the token itself only the first time.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Configured(_) => "the admin token is the configured one\n".to_owned(),
            Self::Kept(_, path) => format!("the admin token is in {}\n", path.display()),
            Self::Made(token, path) => format!(
                "made an admin token: {token}\nit is kept in {} and not shown again\n",
                path.display()
            ),
        }
    }
}

/// The admin token of a server.
///
/// # Errors
/// When its file cannot be read or written.
pub(super) fn admin_token(config: &Config) -> Result<AdminToken> {
    if let Some(token) = &config.http.admin_token {
        return Ok(AdminToken::Configured(token.clone()));
    }
    let path = token_path(config);
    if let Some(token) = read_private(&path)? {
        return Ok(AdminToken::Kept(token, path));
    }
    let token = random_text::<TOKEN_BYTES>();
    keep(&path, &token).map_err(|source| Error::Io { path: path.clone(), source })?;
    Ok(AdminToken::Made(token, path))
}

/// The admin token of a server that was started before; `None`: none is asked for, or none was made.
///
/// # Errors
/// When its file cannot be read.
pub(super) fn existing_admin_token(config: &Config) -> Result<Option<String>> {
    if config.http.no_auth {
        return Ok(None);
    }
    match &config.http.admin_token {
        Some(token) => Ok(Some(token.clone())),
        None => read_private(&token_path(config)),
    }
}

fn token_path(config: &Config) -> PathBuf {
    let mut name = crate::store::resolved(&config.store.path).into_os_string();
    name.push(".token");
    PathBuf::from(name)
}

/// The token in a file that only its owner may read; `None` when there is no such file.
fn read_private(path: &Path) -> Result<Option<String>> {
    let metadata = match fs::metadata(path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| Error::Io { path: path.to_owned(), source })?,
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        let reason = format!("others may read this token; run: chmod 600 '{}'", path.display());
        return Err(Error::database(path, reason));
    }
    let text =
        fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = "holds no token; remove it, and a new one is made";
        return Err(Error::database(path, reason));
    }
    Ok(Some(token.to_owned()))
}

/// Writes the token to a draft first: a file cut short by a crash would lock everybody out.
fn keep(path: &Path, token: &str) -> std::io::Result<()> {
    let draft = path.with_added_extension("new");
    // What an earlier attempt left behind may have another mode; there is none as a rule.
    drop(fs::remove_file(&draft));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
