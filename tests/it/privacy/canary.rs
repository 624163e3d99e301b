//! Texts that nobody may find again: each holds a mark, and every form of a mark can be searched for.

use std::sync::LazyLock;

use data_encoding::{BASE64_NOPAD, HEXLOWER};
use memchr::memmem::Finder;
use proptest::prelude::*;

/// In every address, secret and sentence. With letters and digits, as keys have them.
pub(crate) const MARK: &str = "zq7canary9k";
/// The phone number of the texts, as it is written.
const PHONES: [&str; 3] = ["15799007317", "157 9900 7317", "157-9900-7317"];

fn needles() -> Vec<Vec<u8>> {
    let marks = [MARK, &MARK.to_uppercase()].map(str::to_owned).into_iter();
    marks.chain(PHONES.map(str::to_owned)).flat_map(|mark| forms(mark.as_bytes())).collect()
}

/// A mark as it is, in hexadecimal digits, in base64 at each of its three places, percent-encoded and escaped for JSON.
fn forms(mark: &[u8]) -> Vec<Vec<u8>> {
    let hex = HEXLOWER.encode(mark);
    let each = |before: &str| -> String {
        mark.iter().map(|byte| format!("{before}{byte:02x}")).collect()
    };
    let mut forms = vec![
        mark.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        each("%").into_bytes(),
        each("%").to_uppercase().into_bytes(),
        each("\\u00").into_bytes(),
    ];
    for offset in 0..3 {
        let shifted = [&[0; 3][..offset], mark].concat();
        // Without the characters that hold bits of what stands before and after.
        let (first, end) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
        forms.push(BASE64_NOPAD.encode(&shifted).as_bytes()[first..end].to_vec());
    }
    forms
}

/// Whether one of the forms of a mark stands in `bytes`; gives what stands around it.
pub(crate) fn find(bytes: &[u8]) -> Option<String> {
    static FINDERS: LazyLock<Vec<Finder<'static>>> =
        LazyLock::new(|| needles().iter().map(|needle| Finder::new(needle).into_owned()).collect());
    let at = FINDERS.iter().find_map(|finder| finder.find(bytes))?;
    let around = &bytes[at.saturating_sub(80)..(at + 80).min(bytes.len())];
    Some(String::from_utf8_lossy(around).into_owned())
}

fn filler() -> impl Strategy<Value = String> {
    "[a-z0-9]{8,14}"
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Maria Schmidt",
        "Żaneta Ćwik",
        "李雷",
        "Mary O'Neil",
        "José \"Pepe\" Ruiz",
    ])
}

fn address() -> impl Strategy<Value = String> {
    let forms = vec![
        "L@example.com",
        "L%40example.org",
        "<L@mail.example.co.uk>",
        "mailto:L@example.com",
        "team of L@exämple.de",
    ];
    (name(), filler(), prop::sample::select(forms)).prop_map(|(name, filler, form)| {
        let first = name.split(' ').next().unwrap_or_default();
        form.replace('L', &format!("{first}.{MARK}{filler}"))
    })
}

fn phone() -> impl Strategy<Value = String> {
    let forms = vec![
        "+4915799007317",
        "+49 157 9900 7317",
        "tel:+49-157-9900-7317",
        "call +49 (0) 157 9900 7317",
    ];
    prop::sample::select(forms).prop_map(str::to_owned)
}

/// Numbers that are recognised only when they stand alone.
fn plain_phone() -> impl Strategy<Value = String> {
    let forms = vec!["004915799007317", "0157 9900 7317", "0157-9900-7317"];
    prop::sample::select(forms).prop_map(str::to_owned)
}

fn secret() -> impl Strategy<Value = String> {
    let forms = vec![
        "sk-proj-FM",
        "sk-ant-api03-MF",
        "Bearer M.F",
        "ghp_FMF",
        "github_pat_11F_M",
        "xoxb-123456789012-MF",
        "AIzaMF",
        "eyJhbGciOiJIUzI1NiJ9.eyJM.F",
        "https://maria:M@db.example/x",
        "postgres://app:MF@localhost:5432/chat",
        "https://h.example/cb?access_token=M&x=F",
        "OPENAI_API_KEY=sk-MF",
    ];
    let keys = (prop::sample::select(forms), filler()).prop_map(|(form, filler)| {
        let parts: String = form
            .chars()
            .map(|c| match c {
                'F' => filler.clone(),
                'M' => MARK.to_owned(),
                c => c.to_string(),
            })
            .collect();
        parts
    });
    // Four letters of the prefix, and 16 capitals and digits.
    let aws = "[A-Z2-7]{5}".prop_map(|rest| format!("AKIA{}{rest}", MARK.to_uppercase()));
    prop_oneof![4 => keys, 1 => aws]
}

fn sentence() -> impl Strategy<Value = String> {
    let forms = vec![
        "N asked about the diagnosis of M today",
        "Is M pregnant?",
        "summarize the letter that M wrote to N",
        "N said: \"M is ill\", and I believe\\know it </p>",
        "please, tell M: {\"why\":'not'} or what, N!",
        "我叫N，M病了",
    ];
    (prop::sample::select(forms), name())
        .prop_map(|(form, name)| form.replace('N', name).replace('M', MARK))
}

/// A text that may be kept by no field: an address, a phone number, a secret or a sentence; some of them far behind others.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let found_anywhere = prop_oneof![
        2 => address(),
        1 => phone(),
        3 => secret(),
        3 => sentence(),
    ];
    let behind = (found_anywhere.clone(), 1_usize..300)
        .prop_map(|(text, pad)| format!("{} {text}", "x".repeat(pad)));
    prop_oneof![8 => found_anywhere, 1 => behind, 1 => plain_phone()]
}

#[test]
fn a_mark_is_found_in_every_form() {
    let hidden = format!("{{\"a\":\"{MARK} +4915799007317\"}}");
    assert!(find(hidden.as_bytes()).is_some());
    for offset in 0..3 {
        let text = format!("{}{MARK}abc", "x".repeat(offset));
        assert!(find(BASE64_NOPAD.encode(text.as_bytes()).as_bytes()).is_some(), "{text}");
        assert!(find(HEXLOWER.encode(text.as_bytes()).as_bytes()).is_some(), "{text}");
    }
    assert!(find(b"%7a%71%37%63%61%6e%61%72%79%39%6b").is_some());
    assert_eq!(find(b"zq7 canary9k"), None);
}
