//! Recognises prose, as opposed to names.

/// Minimum number of words of prose; the longest names of models and departments have fewer.
const PROSE_WORDS: usize = 6;
/// Minimum number of words of prose with a question or exclamation mark.
const ASKING_WORDS: usize = 3;
/// Sentence marks of scripts without spaces or with their own marks.
const MARKS: [char; 6] = ['。', '，', '？', '！', '؟', '।'];

/// Whether `text` reads like a sentence: it has six words, or three and a question or exclamation mark.
///
/// # Example
/// ```
/// use chatgauge::privacy::reads_like_prose;
/// assert!(reads_like_prose("Alice Smith asked about her results"));
/// assert!(reads_like_prose("Is it cancer?"));
/// assert!(!reads_like_prose("Meta Llama 3 70B Instruct"));
/// ```
pub fn reads_like_prose(text: &str) -> bool {
    // Nearly every name of a record ends here.
    if text.bytes().all(|byte| byte.is_ascii() && byte != b' ') {
        return false;
    }
    let (mut words, mut asks) = (0, false);
    for word in text.split_whitespace().filter(|word| word.contains(char::is_alphabetic)) {
        words += 1;
        asks |= word.trim_end_matches(['"', '\'', ')', '”', '’']).ends_with(['?', '!']);
    }
    words >= PROSE_WORDS || (asks && words >= ASKING_WORDS) || text.contains(MARKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_prose_and_names_are_not() {
        for text in [
            "Alice Smith asked about her results",
            "what did Dr. Żółw say today",
            "Am I pregnant?",
            "He said \"I quit!\" loudly",
            "我叫李雷，我病了",
            "我病了。",
            "Summarize\u{a0}this letter to my landlord please",
        ] {
            assert!(reads_like_prose(text), "{text}");
        }
        for text in [
            "",
            "sales",
            "Meta Llama 3 70B Instruct",
            "Claude 3.5 Sonnet (new)",
            "Research & Development, Acme Inc.",
            "Yahoo! Japan",
            "what?",
            "Room 1 2 3 4 5",
            "华东区销售团队",
            "Żółw 100%",
            "a/b_c-d.e:f",
        ] {
            assert!(!reads_like_prose(text), "{text}");
        }
    }
}
