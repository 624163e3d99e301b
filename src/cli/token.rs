//! The admin token: configured, or generated at the first start and stored beside the database.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::service::random_text;

/// Number of random bytes in a token.
const TOKEN_BYTES: usize = 24;

/// The admin token and its origin.
#[derive(Debug)]
pub(super) enum AdminToken {
    /// From the configuration.
    Configured(String),
    /// Read from its file.
    Stored(String, PathBuf),
    /// Generated at this start.
    Generated(String, PathBuf),
}

impl AdminToken {
    /// The token itself.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Configured(token) | Self::Stored(token, _) | Self::Generated(token, _) => token,
        }
    }

    /// The message printed at startup; it contains the token only once, when generated.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Configured(_) => "using the configured admin token\n".to_owned(),
            Self::Stored(_, path) => format!("the admin token is in {}\n", path.display()),
            Self::Generated(token, path) => format!(
                "generated an admin token: {token}\nit is stored in {} and not shown again\n",
                path.display()
            ),
        }
    }
}

/// The server's admin token; generates and stores one if there is none.
pub(super) fn admin_token(config: &Config) -> Result<AdminToken> {
    if let Some(token) = &config.http.admin_token {
        return Ok(AdminToken::Configured(token.reveal().to_owned()));
    }
    let path = token_path(config);
    if let Some(token) = read_private(&path)? {
        return Ok(AdminToken::Stored(token, path));
    }
    let token = random_text::<TOKEN_BYTES>();
    store(&path, &token).map_err(|source| Error::Io { path: path.clone(), source })?;
    Ok(AdminToken::Generated(token, path))
}

/// The admin token of an earlier start; `None` if authentication is disabled or no token was
/// generated.
pub(super) fn existing_admin_token(config: &Config) -> Result<Option<String>> {
    if config.http.no_auth {
        return Ok(None);
    }
    match &config.http.admin_token {
        Some(token) => Ok(Some(token.reveal().to_owned())),
        None => read_private(&token_path(config)),
    }
}

fn token_path(config: &Config) -> PathBuf {
    let mut name = crate::store::resolved(&config.store.path).into_os_string();
    name.push(".token");
    PathBuf::from(name)
}

/// Reads a token from a file that only its owner may read; `None` if the file does not exist.
fn read_private(path: &Path) -> Result<Option<String>> {
    let metadata = match fs::metadata(path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| Error::Io { path: path.to_owned(), source })?,
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        let reason =
            format!("other users can read this token; run: chmod 600 '{}'", path.display());
        return Err(Error::database(path, reason));
    }
    let text =
        fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = "contains no token; remove the file to generate a new one";
        return Err(Error::database(path, reason));
    }
    Ok(Some(token.to_owned()))
}

/// Writes the token to a temporary file first, because a truncated token file would lock everybody
/// out.
fn store(path: &Path, token: &str) -> std::io::Result<()> {
    let draft = path.with_added_extension("new");
    // A leftover of a failed attempt may have another mode; usually there is none.
    drop(fs::remove_file(&draft));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
