//! Recognises keys, tokens and passwords in identifiers.

use memchr::memchr;
use memchr::memmem::find;

/// Minimum length of a key that is recognised by its prefix, in bytes.
const KEY_BYTES: usize = 19;
/// Minimum number of bytes after the prefix of a key.
const KEY_TAIL_BYTES: usize = 16;
/// Minimum length of an alphanumeric run with letters and digits that counts as random rather than as a word, in bytes.
const RANDOM_RUN_BYTES: usize = 8;
/// Minimum length of the token after `Bearer`, in bytes.
const BEARER_BYTES: usize = 16;
/// Minimum length of the value after `password=`, in bytes.
const ASSIGNED_BYTES: usize = 4;

/// Prefixes of the keys of known services, in lower case, because some emitters change the case.
const KEY_PREFIXES: [&[u8]; 28] = [
    b"sk-",
    b"sk_",
    b"rk_",
    b"akia",
    b"asia",
    b"aiza",
    b"ya29.",
    b"eyj",
    b"ghp_",
    b"gho_",
    b"ghu_",
    b"ghs_",
    b"ghr_",
    b"github_pat_",
    b"glpat-",
    b"xoxa-",
    b"xoxb-",
    b"xoxp-",
    b"xoxs-",
    b"xapp-",
    b"hf_",
    b"gsk_",
    b"xai-",
    b"npm_",
    b"pplx-",
    b"sg.",
    b"whsec_",
    b"cg_",
];
/// Suffixes of names whose value is a secret, in lower case.
const ASSIGNED_NAMES: [&[u8]; 9] = [
    b"password",
    b"passwd",
    b"pwd",
    b"secret",
    b"token",
    b"apikey",
    b"api_key",
    b"api-key",
    b"access_key",
];

/// Whether `text` contains credentials: a key with the prefix of a known service, a JSON web token, a bearer
/// token, a URL with a password, or an assignment such as `api_key=...`.
///
/// Keys without a characteristic prefix, such as 40 random characters, are not recognised.
///
/// # Example
/// ```
/// use chatgauge::privacy::looks_secret;
/// assert!(looks_secret("sk-proj-a1B2c3D4e5F6g7H8"));
/// assert!(looks_secret("postgres://app:hunter2@db/chat"));
/// assert!(!looks_secret("chatcmpl-9aBcD1234567890"));
/// ```
pub fn looks_secret(text: &str) -> bool {
    let bytes = text.as_bytes();
    contains_key(bytes)
        || (memchr(b'@', bytes).is_some() && contains_url_password(bytes))
        || (memchr(b'=', bytes).is_some() && contains_assignment(bytes))
        || (memchr(b' ', bytes).is_some() && contains_credentials(bytes))
}

/// Whether a key begins at the start of a word: `task-` contains no `sk-`.
fn contains_key(bytes: &[u8]) -> bool {
    if bytes.len() < KEY_BYTES {
        return false;
    }
    let mut before = b' ';
    bytes.iter().enumerate().any(|(at, &byte)| {
        let begins = byte.is_ascii_alphanumeric() && !before.is_ascii_alphanumeric();
        before = byte;
        begins && begins_with_key(bytes.get(at..).unwrap_or_default())
    })
}

fn begins_with_key(bytes: &[u8]) -> bool {
    KEY_PREFIXES.iter().any(|prefix| {
        let Some((start, rest)) = bytes.split_at_checked(prefix.len()) else { return false };
        start.eq_ignore_ascii_case(prefix) && is_key_tail(rest, start)
    })
}

fn is_key_tail(rest: &[u8], prefix: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let len = rest.iter().take_while(|byte| is_part(byte)).count();
    let (tail, _) = rest.split_at(len);
    if tail.len() < KEY_TAIL_BYTES {
        return false;
    }
    let mut runs = tail.split(|byte| !byte.is_ascii_alphanumeric());
    if prefix.eq_ignore_ascii_case(b"akia") || prefix.eq_ignore_ascii_case(b"asia") {
        // The ids of AWS are one run, of capitals and not always with a digit. `asia-southeast1` is a region of Google Cloud.
        let is_capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        return tail.iter().all(is_capital) || is_random(tail) && runs.count() == 1;
    }
    runs.any(is_random)
}

fn is_random(run: &[u8]) -> bool {
    run.len() >= RANDOM_RUN_BYTES
        && run.iter().any(u8::is_ascii_digit)
        && run.iter().any(u8::is_ascii_alphabetic)
}

/// `scheme://user:password@host`.
fn contains_url_password(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = find(rest, b"://") {
        rest = rest.get(at + 3..).unwrap_or_default();
        let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b' ');
        let (authority, _) = rest.split_at(rest.iter().position(ends).unwrap_or(rest.len()));
        let user_info = authority.iter().rposition(|byte| *byte == b'@').unwrap_or(0);
        let (user_info, _) = authority.split_at(user_info);
        if memchr(b':', user_info).is_some_and(|colon| colon + 1 < user_info.len()) {
            return true;
        }
    }
    false
}

fn contains_assignment(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'=').any(|(at, _)| {
        let (name, value) = bytes.split_at(at);
        let is_value = |byte: &u8| byte.is_ascii_graphic() && *byte != b'&';
        is_name_of_secret(name)
            && value.iter().skip(1).take_while(|byte| is_value(byte)).count() >= ASSIGNED_BYTES
    })
}

/// Whether the value of a field with this name is a secret: `api_key`, `DB_PASSWORD`, `access_token`.
pub(super) fn is_name_of_secret(name: &[u8]) -> bool {
    ASSIGNED_NAMES.iter().any(|known| ends_with(name, known))
}

fn ends_with(bytes: &[u8], end: &[u8]) -> bool {
    let start = bytes.len().checked_sub(end.len());
    let last = start.and_then(|start| bytes.get(start..));
    last.is_some_and(|last| last.eq_ignore_ascii_case(end))
}

/// `Bearer` and a token, or the head of a private key.
fn contains_credentials(bytes: &[u8]) -> bool {
    let mut words = bytes.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut is_bearer = false;
    let has_token = words.any(|word| {
        let is_token = is_bearer
            && word.len() >= BEARER_BYTES
            && word.iter().any(u8::is_ascii_digit)
            && word.iter().all(u8::is_ascii_graphic);
        is_bearer = ends_with(word, b"bearer");
        is_token
    });
    has_token || find(bytes, b"PRIVATE KEY-----").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tokens_and_passwords_are_secrets() {
        for text in [
            "sk-proj-a1B2c3D4e5F6g7H8",
            "key sk-ant-api03-a1B2c3D4e5F6g7H8-x",
            "SK-LF-0190A5D8-AC96-774B-BCCE-B302099A8057",
            "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
            "AKIAIOSFODNNEXAMPLEA",
            "akia2osfodnn7example",
            "AIzaSyA1b2C3d4E5f6G7h8I9j0",
            "ghp_a1B2c3D4e5F6g7H8i9J0",
            "github_pat_11ABCDEFG0a1B2c3D4_x",
            "xoxb-123456789012-abcdef123456",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
            "Bearer a1B2c3D4e5F6g7H8",
            "authorization: bearer 0190a5d8-ac96-774b",
            "https://alice:hunter2@example.com/x",
            "postgres://app:p@ss@db:5432/chat",
            "mongodb+srv://app:hunter2@localhost",
            "https://h/x?api_key=hunter2",
            "DB_PASSWORD=hunter2",
            "-----BEGIN RSA PRIVATE KEY-----",
        ] {
            assert!(looks_secret(text), "{text}");
        }
    }

    #[test]
    fn names_tell_what_their_values_are() {
        for name in ["password", "DB_PASSWORD", "api_key", "openai.api-key", "access_token"] {
            assert!(is_name_of_secret(name.as_bytes()), "{name}");
        }
        for name in ["", "key", "tokens", "tier", "max_tokens", "secretary"] {
            assert!(!is_name_of_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn identifiers_are_not_secrets() {
        for text in [
            "",
            "gpt-4o-2024-05-13",
            "sk-learn-classifier-for-europe-v2",
            "task-0190a5d8ac96774bbcce",
            "asiapacificoperationsteam",
            "asia-southeast1-support-team",
            "hf_meta-llama-3-70b-instruct",
            "xai-grok-4-fast-reasoning-2025",
            "chatcmpl-9aBcD1234567890",
            "msg_01XFDUDYJgAACzvnptvVoYEL",
            "h_uovw3dmeotibopju",
            "bearer",
            "Bearer of good news",
            "https://example.com/x",
            "ssh://git@github.com/x",
            "vertex_ai/claude-sonnet-4@20250514",
            "ollama:llama3@sha256",
            "a=b",
            "token=",
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331",
        ] {
            assert!(!looks_secret(text), "{text}");
        }
    }
}
