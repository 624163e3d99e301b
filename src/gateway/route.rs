//! Maps method and path to an upstream: a pure function.

use crate::model::Name;
use crate::model::record::limits;
use crate::provider::Dialect;

/// The destination of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination<'p> {
    /// The space in the path.
    pub(super) space: Option<Name>,
    /// Name of the upstream.
    pub(super) upstream: &'p str,
    /// The path at the upstream, with its leading slash.
    pub(super) path: &'p str,
    /// The dialect to record; `None` to forward and only count.
    pub(super) dialect: Option<Dialect>,
}

/// Default upstream of Anthropic's dialect, for paths that name none.
const ANTHROPIC: &str = "anthropic";
/// Default upstream of all other paths.
const OPENAI: &str = "openai";

/// Parses `[/s/SPACE][/UPSTREAM]/v1/...`; `None` if the path names no upstream.
pub(super) fn route<'p>(
    is_post: bool,
    path: &'p str,
    speaks_anthropic: bool,
    is_upstream: impl Fn(&str) -> bool,
) -> Option<Destination<'p>> {
    let (space, path) = match path.strip_prefix("/s/") {
        Some(rest) => {
            let (space, _) = rest.split_once('/')?;
            (Some(decode(space)?), rest.get(space.len()..)?)
        }
        None => (None, path),
    };
    let first = path.strip_prefix('/')?.split('/').next()?;
    let (upstream, path) = if first == "v1" {
        let is_messages = path == "/v1/messages" || path.starts_with("/v1/messages/");
        (if is_messages || speaks_anthropic { ANTHROPIC } else { OPENAI }, path)
    } else {
        (first, path.get(1 + first.len()..)?)
    };
    let path = if path.is_empty() { "/" } else { path };
    let dialect = if is_post { dialect(path) } else { None };
    is_upstream(upstream).then_some(Destination { space, upstream, path, dialect })
}

/// The dialect, by the end of the path, so that the prefixes of compatible providers work.
fn dialect(path: &str) -> Option<Dialect> {
    [
        ("/chat/completions", Dialect::Chat),
        ("/responses", Dialect::Responses),
        ("/embeddings", Dialect::Embeddings),
        ("/messages", Dialect::Messages),
    ]
    .into_iter()
    .find_map(|(end, dialect)| path.ends_with(end).then_some(dialect))
}

/// Decodes a path segment; `None` if it is empty, too long or not UTF-8.
pub(super) fn decode(segment: &str) -> Option<Name> {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(value.unwrap_or(byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    let text = String::from_utf8(decoded).ok()?;
    let text = text.trim();
    (!text.is_empty() && text.len() <= limits::HASHED_INPUT_BYTES).then(|| Name::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<(Option<String>, String, String, Option<Dialect>)> {
        let known = |name: &str| ["openai", "anthropic", "azure"].contains(&name);
        let route = route(true, path, false, known)?;
        let space = route.space.map(|space| space.to_string());
        Some((space, route.upstream.to_owned(), route.path.to_owned(), route.dialect))
    }

    #[test]
    fn a_path_may_name_a_space_and_an_upstream() {
        let found = |space: Option<&str>, upstream: &str, path: &str, dialect| {
            Some((space.map(str::to_owned), upstream.to_owned(), path.to_owned(), dialect))
        };
        let chat = Some(Dialect::Chat);
        let path = "/v1/chat/completions";
        assert_eq!(of(path), found(None, "openai", path, chat));
        assert_eq!(of("/openai/v1/chat/completions"), found(None, "openai", path, chat));
        assert_eq!(
            of("/s/sales/openai/v1/chat/completions"),
            found(Some("sales"), "openai", path, chat)
        );
        assert_eq!(of("/s/Zażółć%20x/v1/responses").unwrap().0.as_deref(), Some("Zażółć x"));
        assert_eq!(
            of("/v1/messages"),
            found(None, "anthropic", "/v1/messages", Some(Dialect::Messages))
        );
        let count = "/v1/messages/count_tokens";
        assert_eq!(of(count), found(None, "anthropic", count, None));
        let deployment = "/openai/deployments/x/embeddings";
        let azure = of(&format!("/azure{deployment}"));
        assert_eq!(azure, found(None, "azure", deployment, Some(Dialect::Embeddings)));
        assert_eq!(of("/openai"), found(None, "openai", "/", None));
    }

    #[test]
    fn other_paths_mean_nothing() {
        for path in ["/", "", "/evil.example/v1/x", "/s/", "/s/sales", "/s//v1/x", "/healthz", "*"]
        {
            assert_eq!(of(path), None, "{path}");
        }
        let get = route(false, "/v1/chat/completions", false, |_| true).unwrap();
        assert_eq!(get.dialect, None);
        let models = route(false, "/v1/models", true, |_| true).unwrap();
        assert_eq!(models.upstream, "anthropic", "whoever speaks Anthropic means Anthropic");
    }
}
