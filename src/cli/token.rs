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

/// The admin token.
pub(super) struct AdminToken {
    pub(super) token: String,
    /// The message printed at startup; it contains the token only once, when it is generated.
    pub(super) message: String,
}

/// The server's admin token; generates and stores one if there is none. `None` if authentication is disabled.
pub(super) fn admin_token(config: &Config) -> Result<Option<AdminToken>> {
    if config.http.no_auth {
        return Ok(None);
    }
    let path = token_path(config);
    let file = path.display();
    if let Some(token) = existing_admin_token(config)? {
        let message = match config.http.admin_token {
            Some(_) => "using the configured admin token\n".to_owned(),
            None => format!("the admin token is in {file}\n"),
        };
        return Ok(Some(AdminToken { token, message }));
    }
    let token = random_text::<TOKEN_BYTES>();
    store(&path, &token).map_err(|source| Error::Io { path: path.clone(), source })?;
    let message =
        format!("generated an admin token: {token}\nit is stored in {file} and not shown again\n");
    Ok(Some(AdminToken { token, message }))
}

/// The admin token of the configuration or of an earlier start; `None` if authentication is disabled or no token was
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
    let fail = |source| Error::Io { path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(fail)?,
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        let reason =
            format!("other users can read this token; run: chmod 600 '{}'", path.display());
        return Err(Error::database(path, reason));
    }
    let text = fs::read_to_string(path).map_err(fail)?;
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
