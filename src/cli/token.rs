//! The admin token: configured, or made at the first start and kept beside the database.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
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
    let mut name = crate::store::resolved(&config.store.path).into_os_string();
    name.push(".token");
    let path = PathBuf::from(name);
    match fs::read_to_string(&path) {
        Ok(token) if !token.trim().is_empty() => {
            Ok(AdminToken::Kept(token.trim().to_owned(), path))
        }
        Ok(_) => Err(Error::database(path, "is empty; remove it, and a new token is made")),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            let token = random_text::<TOKEN_BYTES>();
            keep(&path, &token).map_err(|source| Error::Io { path: path.clone(), source })?;
            Ok(AdminToken::Made(token, path))
        }
        Err(source) => Err(Error::Io { path, source }),
    }
}

fn keep(path: &Path, token: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}
