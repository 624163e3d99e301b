//! Recognises e-mail addresses and phone numbers in identifiers.

use memchr::{memchr, memchr2};

/// Number of digits of a phone number.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Number of digits of a phone number without plus and separators; 13 digits are epoch
/// milliseconds.
const PLAIN_PHONE_DIGITS: std::ops::RangeInclusive<usize> = 10..=12;
/// Maximum number of consecutive separators inside a phone number, as in `(030) - 12`.
const SEPARATORS_IN_A_ROW: usize = 3;

/// Whether `text` seems to identify a person: it contains an e-mail address, is a phone number, or
/// contains one in international form.
///
/// Dates, UUIDs, versions, model names and request ids are not personal.
///
/// # Example
/// ```
/// use chatgauge::privacy::looks_personal;
/// assert!(looks_personal("team of alice@example.com"));
/// assert!(looks_personal("+49 (170) 123 45 67"));
/// assert!(!looks_personal("gpt-4o-2024-05-13"));
/// ```
pub fn looks_personal(text: &str) -> bool {
    // Almost every name is decided here, so this line determines the cost of the check.
    let has_sign = text.bytes().any(|byte| matches!(byte, b'@' | b'%' | b'+'));
    (has_sign && (contains_email(text.as_bytes()) || contains_international_number(text)))
        || (may_begin_number(text) && is_phone_number(text))
}

/// Whether the first byte can start a phone number: a digit, a parenthesis, whitespace or a scheme.
fn may_begin_number(text: &str) -> bool {
    match text.bytes().next() {
        Some(b'0'..=b'9' | b'(') => true,
        Some(byte) if byte.is_ascii_alphabetic() => memchr(b':', text.as_bytes()).is_some(),
        Some(byte) => byte.is_ascii_whitespace() || !byte.is_ascii(),
        None => false,
    }
}

fn contains_email(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut before: &[u8] = &[];
    while let Some(offset) = memchr2(b'@', b'%', rest) {
        let (head, tail) = rest.split_at(offset);
        let local = if head.is_empty() { before } else { head };
        let domain = tail.strip_prefix(b"@").or_else(|| tail.strip_prefix(b"%40"));
        if let Some(domain) = domain
            && local.last().copied().is_some_and(ends_local_part)
            && starts_with_domain(domain)
        {
            return true;
        }
        let (sign, next) = tail.split_at(1);
        (before, rest) = (sign, domain.unwrap_or(next));
    }
    false
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || byte == b'_'
}

fn ends_local_part(byte: u8) -> bool {
    is_word(byte) || b".%+-'\"!#$&*=?^`{|}~".contains(&byte)
}

/// Whether `bytes` start with a label followed by a dot and a plausible top-level domain.
fn starts_with_domain(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|&byte| !is_word(byte) && byte != b'-' && byte != b'.');
    let (domain, _) = bytes.split_at(end.unwrap_or(bytes.len()));
    let mut labels = domain.split(|&byte| byte == b'.');
    labels.next().is_some_and(|first| !first.is_empty()) && labels.any(is_top_level)
}

fn is_top_level(label: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    let letters = label.iter().take_while(|byte| is_letter(byte)).count();
    letters >= 2 && label.get(letters).is_none_or(|&next| next == b'-')
}

fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '(' | ')' | '.' | '/' | '-'
            // Spaces and hyphens that word processors insert into numbers.
            | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{2010}' | '\u{2011}' | '\u{2013}'
    )
}

/// Whether a plus without a letter or digit before it is followed by a plausible number of digits.
fn contains_international_number(text: &str) -> bool {
    let mut before = None;
    text.char_indices().any(|(at, c)| {
        let starts = c == '+' && !before.is_some_and(char::is_alphanumeric);
        before = Some(c);
        starts
            && text.get(at + 1..).is_some_and(|rest| PHONE_DIGITS.contains(&leading_digits(rest)))
    })
}

/// Number of digits of the number at the start of `text`, ignoring separators.
fn leading_digits(text: &str) -> usize {
    let (mut digits, mut separators) = (0, 0);
    for c in text.chars() {
        if c.is_ascii_digit() {
            (digits, separators) = (digits + 1, 0);
        } else if is_separator(c) && separators < SEPARATORS_IN_A_ROW {
            separators += 1;
        } else {
            break;
        }
    }
    digits
}

/// Whether the whole text is a phone number without a plus.
fn is_phone_number(text: &str) -> bool {
    let text = without_scheme(text.trim());
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '(') {
        return false;
    }
    let (mut digits, mut separators) = (0_usize, 0_usize);
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits += 1;
        } else if is_separator(c) {
            separators += 1;
        } else {
            return false;
        }
    }
    if is_international_prefix(text) {
        return PHONE_DIGITS.contains(&(digits - 2));
    }
    if separators == 0 {
        return PLAIN_PHONE_DIGITS.contains(&digits);
    }
    PHONE_DIGITS.contains(&digits) && !begins_with_date(text.as_bytes()) && !is_version(text)
}

fn without_scheme(text: &str) -> &str {
    const SCHEMES: [&str; 5] = ["tel", "phone", "sms", "callto", "whatsapp"];
    match text.split_once(':') {
        Some((scheme, rest)) if SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)) => {
            rest.trim_start()
        }
        _ => text,
    }
}

/// Whether `text` starts with `00` and a country code, which never starts with 0.
fn is_international_prefix(text: &str) -> bool {
    text.strip_prefix("00").is_some_and(|rest| {
        rest.chars().find(|&c| !is_separator(c)).is_some_and(|c| ('1'..='9').contains(&c))
    })
}

/// Whether `bytes` start with a date: `2024-11-16`, `16.11.2024` or `20241116`.
fn begins_with_date(bytes: &[u8]) -> bool {
    let number = |from: usize, len: usize| {
        let digits = bytes.get(from..from + len)?;
        digits.iter().try_fold(0_u32, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
        })
    };
    let is_mark = |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, b'-' | b'.' | b'/'));
    let ends = |at: usize| !bytes.get(at).is_some_and(u8::is_ascii_digit);
    let year = |at| number(at, 4).is_some_and(|year| (1900..2100).contains(&year));
    let month = |at| number(at, 2).is_some_and(|month| (1..=12).contains(&month));
    let day = |at| number(at, 2).is_some_and(|day| (1..=31).contains(&day));
    (year(0) && is_mark(4) && month(5) && is_mark(7) && day(8))
        || (year(0) && month(4) && day(6) && ends(8))
        || (day(0) && is_mark(2) && month(3) && is_mark(5) && year(6) && ends(10))
}

/// Whether `text` is dotted digits with a part that is too short or too long for a phone number.
/// The first part is not checked, because it may be a country code.
fn is_version(text: &str) -> bool {
    let mut parts = text.split('.');
    if !parts.clone().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return false;
    }
    parts.next();
    parts.any(|part| !(2..=5).contains(&part.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_and_numbers_are_personal() {
        for text in [
            "alice@example.com",
            "Alice.B+tag@mail.example.co.uk",
            "space of alice@example.com, urgent",
            "mailto:alice@example.com?subject=x",
            "<alice@example.com>",
            "alice%40example.com",
            "ALICE@EXAMPLE.COM.",
            "jösé@exämple.de",
            "a@b.io",
            "x@@y@host.org",
            "%%40@host.org",
            "o'brien@host.org-team",
            "user@xn--e1afmkfd.com",
            "+491701234567",
            "+49 170 1234567",
            "+1 (555) 123-4567",
            "+44.20.7946.0958",
            "tel:+491701234567",
            "call +49 (0) 170 / 123 45 67 now",
            "+1234567",
            "00491701234567",
            "0049 170 1234567",
            "(555) 123-4567",
            "555-123-4567",
            "555.123.4567",
            "1.800.555.1234",
            "06.12.34.56.78",
            "030/1234567",
            "123-4567",
            "01701234567",
            "5551234567",
            "tel:030-1234567",
            "+49\u{a0}170\u{a0}1234567",
        ] {
            assert!(looks_personal(text), "{text}");
        }
    }

    #[test]
    fn identifiers_are_not_personal() {
        for text in [
            "",
            "@",
            "%40",
            "@scope/package.name",
            "a@b",
            "a@.com",
            "gpt-4o-2024-05-13",
            "claude-3@20240229",
            "claude-3-5-sonnet-v2@20241022",
            "text-bison@001",
            "model@1.0-beta",
            "meta.llama3-70b-instruct-v1:0",
            "req-123456789",
            "req_5551234567",
            "chatcmpl-9aBcD1234567890",
            "2024-11-16",
            "2024-11-16T10:00:00Z",
            "2024-11-16 10:00",
            "2024-11-16-1234567",
            "2024/11/16",
            "20241116",
            "20241116-123456",
            "16.11.2024",
            "1731715200123",
            "123456",
            "1234567",
            "123456789",
            "1234567890123456",
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "12345678-1234-1234-1234-123456789012",
            "1.2.3",
            "120.0.6099.109",
            "1.0.20240513",
            "v1.0+20240513",
            "1.0.0+20240513",
            "100%",
            "50%405",
            "+12",
            "+12345678901234567890",
            "u_abcdefghijklmnop",
            "(none)",
            "team (7 members)",
        ] {
            assert!(!looks_personal(text), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn an_address_is_found_anywhere(
            before in "[ -~]{0,20}[ ,;:<]",
            local in "[a-z0-9._+-]{0,10}[a-z0-9]",
            at in "@|%40",
            host in "[a-z0-9]{1,10}",
            top in "[a-z]{2,6}",
            after in "([ ,;>/][ -~]{0,20})?",
        ) {
            let text = format!("{before}{local}{at}{host}.{top}{after}");
            prop_assert!(looks_personal(&text), "{}", text);
        }

        #[test]
        fn an_international_number_is_found(
            digits in proptest::collection::vec(0_u8..10, 7..=15),
            separators in proptest::collection::vec("[ ()./-]{0,2}", 15),
        ) {
            let mut text = String::from("+");
            for (digit, separator) in digits.iter().zip(&separators) {
                text.push_str(&digit.to_string());
                text.push_str(separator);
            }
            prop_assert!(looks_personal(&text), "{}", text);
        }

        #[test]
        fn uuids_and_dates_are_never_personal(id: u128, ms in 0_i64..4_000_000_000_000) {
            let uuid = uuid::Uuid::from_u128(id).to_string();
            prop_assert!(!looks_personal(&uuid), "{}", uuid);
            let date = crate::model::Timestamp::from_unix_ms(ms).to_string();
            prop_assert!(!looks_personal(&date), "{}", date);
            let model = format!("model-{}", date.get(..10).unwrap_or_default());
            prop_assert!(!looks_personal(&model), "{}", model);
        }

        #[test]
        fn any_text_gets_an_answer(text in "\\PC*", noisy in "[0-9@%+. ()/-]{0,40}") {
            looks_personal(&text);
            looks_personal(&noisy);
        }
    }
}
